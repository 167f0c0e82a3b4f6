"""One answer that is kept: looked at in its proxy's snapshots from its first row to its last."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson

from gateway.conversations.answer import lost, taken_from
from gateway.conversations.writer import Writer
from gateway.errors import GONE
from gateway.relay.hop import Hop
from gateway.relay.proxies import Proxies
from gateway.relay.upstream import HopFollower
from gateway.store.rows import Answer
from services.http.client import TransportError
from services.http.connection import ResponseEnd
from services.runtime.wake import Wake
from services.wire.events import ApiError, Code

SAVE_S: Final = 5.0
MOST_SAVE_S: Final = 60.0
"""The first save comes after five seconds, the next after ten more: a long text is written a few times."""
LOOK_S: Final = 0.5
"""Between two looks at an answer that nobody here reads: it ends within seconds, and nobody tells us."""
UNREACHABLE_S: Final = 4.0
"""So long without its proxy, and what is known of an answer is all that there will be. A lease, the time until somebody
looks for it, and this are less than 20 s, within which rows settle where the gateway and the proxy die together."""
STORED_S: Final = 0.25
"""Most that an answer's end waits for its row."""


@dataclass(frozen=True, slots=True)
class KeptStream:
    """Where an answer comes from: its stream, whose it is on the hop, and what leaving it means."""

    id: str
    owner: str
    leave: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What its client is told of an answer that is kept.

    Attributes:
        told: the fields that `start` has of it.
        keeper: who writes it here; its end waits for that.
        is_its_reader: its keeper counts on this client's connection to hear of the end.
    """

    told: Mapping[str, Any]
    keeper: "KeptAnswer | None" = None
    is_its_reader: bool = False

    def left(self) -> None:
        """The client's connection is over."""
        if self.keeper is not None and self.is_its_reader:
            self.keeper.left()


class KeptAnswer:
    """Reads one answer for the database.

    Args:
        answer: what is known of it.
        is_read: whether a connection of this gateway reads its stream, and tells of the end.
        told: what `start` says of it.
    """

    def __init__(
        self,
        answer: Answer,
        stream: KeptStream,
        proxies: Proxies,
        writer: Writer,
        *,
        is_read: bool,
        told: Mapping[str, Any],
    ) -> None:
        self.id = answer.id
        self.told = told
        self.stream_id = stream.id
        self._answer = answer
        self._stream = stream
        self._proxies = proxies
        self._writer = writer
        self._is_read = is_read
        self._wake = Wake()
        self._saved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._hop: Hop | None = None
        self._hop_is_over = True
        self._hold_at = 0.0
        self._last = 0  # number of the newest event that is known
        self._missed_at: float | None = None  # when its proxy first did not say, since it last did

    # --- what its reader tells

    async def stored(self) -> bool:
        """The end has come: write it, and say whether that was done within a moment."""
        self.left()
        with suppress(TimeoutError):
            async with asyncio.timeout(STORED_S):
                return await asyncio.shield(self._saved)
        return False

    def left(self) -> None:
        """Its reader is gone, or has read all: nobody tells of the end any more."""
        self._is_read = False
        self._wake.set()

    # --- what its keeper says

    async def stop(self) -> None:
        """Stop its stream, by name; one that cannot be reached writes nothing either, for there is no row."""
        with suppress(TransportError, ApiError):
            await self._proxies.of(self.stream_id).stop(self.stream_id, secrets.token_hex(8), self._stream.owner)

    # --- the task

    async def keep(self) -> None:
        """Save what is known from time to time, and the end."""
        interval_s = SAVE_S
        save_at = time.monotonic() + interval_s
        if self._is_read:
            await self._wait(save_at)
        try:
            while not await self._is_over():
                if time.monotonic() >= save_at:
                    self._writer.save(self._answer)
                    interval_s = min(2 * interval_s, MOST_SAVE_S)
                    save_at = time.monotonic() + interval_s
                await self._wait(save_at)
        finally:
            self._let_go()
        self._saved.set_result(await self._writer.save(self._answer))

    async def save_now(self) -> None:
        """Save what there is: this gateway is being stopped."""
        await self._is_over()
        self._writer.save(self._answer)

    async def _is_over(self) -> bool:
        """Look at the answer; whether its end is known."""
        try:
            snapshot = await self._snapshot()
        except ApiError:
            self._answer = lost(self._answer, Code.STREAM_GONE)
        else:
            self._note(snapshot)
        return self._answer.is_final

    def _note(self, snapshot: Mapping[str, Any] | None) -> None:
        now = time.monotonic()
        if snapshot is not None:
            self._missed_at, self._last = None, snapshot["last"]
            self._answer = taken_from(snapshot, self._answer)
        elif self._is_read:
            self._missed_at = None  # its reader hears of its end
        elif self._missed_at is None:
            self._missed_at = now
        elif now - self._missed_at >= UNREACHABLE_S:
            self._answer = lost(self._answer, Code.UPSTREAM_DISCONNECTED)

    async def _snapshot(self) -> Mapping[str, Any] | None:
        """Return what its proxy holds; None if it does not say.

        Raises:
            ApiError: it holds nothing, or no proxy of ours does.
        """
        try:
            answer = await self._proxies.of(self.stream_id).snapshot(self.stream_id, self._stream.owner)
        except TransportError:
            return None
        if answer.status == HTTPStatus.GONE:
            raise ApiError(GONE)
        if answer.status != HTTPStatus.OK:
            return None
        read: dict[str, Any] = orjson.loads(answer.body)
        return read

    async def _wait(self, until: float) -> None:
        """Return when there is something to look at: ``until`` at the latest."""
        wait_s = until - time.monotonic()
        if not self._is_read and not await self._holds():
            wait_s = min(wait_s, LOOK_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        self._wake.clear()

    # --- as a follower: a stream that goes on when its reader leaves ends if nobody follows it

    async def _holds(self) -> bool:
        """Whether the stream is followed from here, where that is what keeps it going."""
        if self._stream.leave != "continue":
            return False
        if self._hop_is_over and time.monotonic() >= self._hold_at:
            self._hold_at = time.monotonic() + LOOK_S  # one that is refused is not asked again at once
            await self._follow()
        return not self._hop_is_over

    async def _follow(self) -> None:
        self._let_go()
        hop = Hop()
        follower = HopFollower.new(self.id, owner=self._stream.owner)
        try:
            proxy = self._proxies.of(self.stream_id)
            hop.call = await proxy.follow(self.stream_id, self._last, follower, hop)
        except (TransportError, ApiError):
            return
        self._hop, self._hop_is_over = hop, False
        hop.carry(_to_nobody, self._hop_ended)

    def _hop_ended(self, _end: ResponseEnd) -> None:
        self._hop_is_over = True
        self._wake.set()

    def _let_go(self) -> None:
        if self._hop is not None:
            self._hop.carry(_to_nobody, _told_nobody)
            self._hop.abort()
        self._hop, self._hop_is_over = None, True


def _to_nobody(_data: bytes, _framed: bytes = b"") -> None:
    """The text is in the snapshot."""


def _told_nobody(_end: ResponseEnd) -> None:
    """Nobody waits any more."""
