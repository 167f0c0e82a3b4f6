"""Answers that their clients may ask for again by themselves: a repeat ends what is left of the earlier attempt.

The SDKs of other makers retry without a key that would join them to their stream, and say so in a header. Where the
first attempt's socket died half-open nobody has seen its client leave: the model would write both answers.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterator

from gateway.relay.connection import ClientConnection
from services.http.client import TransportError


class Repeats:
    """Which answers are unfinished at this gateway, by who asked what."""

    def __init__(self) -> None:
        self._unfinished: defaultdict[bytes, list[ClientConnection]] = defaultdict(list)

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
        finally:
            unfinished.remove(connection)
            if not unfinished:
                del self._unfinished[question]

    async def end_earlier(self, question: bytes) -> None:
        """Stop the unfinished answers to this question; they are closed at the model server when it returns."""
        for connection in tuple(self._unfinished.get(question, ())):
            with contextlib.suppress(TransportError):  # who asks next is told that nobody is there
                await _stop(connection)


async def _stop(connection: ClientConnection) -> None:
    """Stop a connection's stream, or, where its id is not known yet, take back the one that began it."""
    proxy = connection.proxy
    if proxy is None:
        return
    if connection.stream_id:
        await proxy.stop(connection.stream_id, connection.request_id, connection.principal.owner)
    elif connection.follower is not None:
        await proxy.depart(connection.follower, unseen=True)
