"""Answers that their clients may ask for again by themselves: a repeat ends what is left of the earlier attempt.

The SDKs of other makers retry without a key that would join them to their stream, and say so in a header. Where the
first attempt's socket died half-open nobody has seen its client leave: the model would write both answers.

A repeat does not say of which attempt. One that was refused, or whose client was seen to leave, has nothing left, so it
is remembered, and its repeat ends nobody: else the third of three equal questions, refused as one too many and asked
again, would end the other two. Refused: to end the oldest unfinished answer alone, which is still somebody's.
"""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Final

from gateway.relay.connection import ClientConnection
from services.dialects.foreign import MAY_REPEAT
from services.http.client import TransportError
from services.wire.events import ApiError

REMEMBERED_S: Final = 120.0
"""How long an attempt that is over may wait for its repeat: the SDKs heed a Retry-After of a minute at most."""
MOST_REMEMBERED: Final = 1000
"""Past it the oldest are forgotten, and their repeats end what is left, as if they had been stuck."""


class Repeats:
    """Which answers are unfinished at this gateway, by who asked what, and which attempts had none.

    Args:
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unfinished: defaultdict[bytes, list[ClientConnection]] = defaultdict(list)
        self._over: deque[tuple[float, bytes]] = deque(maxlen=MOST_REMEMBERED)  # the oldest first

    @contextlib.contextmanager
    def noted(self, question: bytes, connection: ClientConnection) -> Iterator[None]:
        """Know an answer until it is over.

        Args:
            question: the same for the same words of the same caller on the same route, and for nothing else.
        """
        unfinished = self._unfinished[question]
        unfinished.append(connection)
        try:
            yield
        except asyncio.CancelledError:  # its client was seen to leave
            self._remember(question)
            raise
        except ApiError as refused:
            if refused.failed.code in MAY_REPEAT:
                self._remember(question)
            raise
        finally:
            unfinished.remove(connection)
            if not unfinished:
                del self._unfinished[question]

    async def end_earlier(self, question: bytes) -> None:
        """Stop the unfinished answers to this question, if the attempt that is repeated may be one of them.

        They are closed at the model server when it returns.
        """
        if self._forget_one(question):
            return
        for connection in tuple(self._unfinished.get(question, ())):
            with contextlib.suppress(TransportError):  # who asks next is told that nobody is there
                await _stop(connection)

    def _remember(self, question: bytes) -> None:
        self._over.append((self._clock(), question))

    def _forget_one(self, question: bytes) -> bool:
        """Forget one attempt that is over; return whether there was one."""
        since = self._clock() - REMEMBERED_S
        while self._over and self._over[0][0] < since:
            self._over.popleft()
        found = next((one for one in self._over if one[1] == question), None)
        if found is not None:
            self._over.remove(found)
        return found is not None


async def _stop(connection: ClientConnection) -> None:
    """Stop a connection's stream, or, where its id is not known yet, take back the one that began it."""
    proxy = connection.proxy
    if proxy is None:
        return
    if connection.stream_id:
        await proxy.stop(connection.stream_id, connection.request_id, connection.principal.owner)
    elif connection.follower is not None:
        await proxy.depart(connection.follower, unseen=True)
