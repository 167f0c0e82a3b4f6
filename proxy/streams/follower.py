"""One reader of a log: a position and a sink. Live, it is handed frames as they come; behind, it catches up."""

import time
from collections.abc import Callable
from typing import Protocol

import structlog

from proxy.streams.log import LeftTheLog, StreamLog
from services.dialects.dialect import Dialect
from services.runtime.wake import Wake
from services.wire.events import ConnectionEnd, Status
from services.wire.native import Numbered

log = structlog.get_logger()


class FollowerSink(Protocol):
    """Where frames go; a socket's or another."""

    def write(self, frames: bytes, framed: bytes = b"", last: bool = False) -> bool:
        """Take whole frames; False asks for a pause.

        Args:
            framed: for who passes on what came as one HTTP chunk.
            last: nothing follows them.
        """
        ...

    @property
    def paused(self) -> bool:
        """Whether a pause is asked for."""
        ...

    async def drain(self) -> None:
        """Wait until the pause is over."""
        ...

    def abort(self) -> None:
        """Cut the reader off now."""
        ...


class Follower:
    """A reader of one stream.

    Args:
        name: what its gateway calls it; "" for a direct client.
        position: the number it has already.
        began: whether it is the one that started the stream.
        wrote: told when it has written what the log held already; what comes live is seen where it comes from.
    """

    def __init__(
        self,
        stream_log: StreamLog,
        dialect: Dialect,
        *,
        name: str,
        position: int,
        began: bool,
        wrote: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = stream_log
        self.dialect = dialect
        self.name = name
        self.position = position
        self.began = began
        self.cut_as: ConnectionEnd | None = None
        self.blocked_s = 0.0  # for which its client took nothing and more was owed
        self._wrote = wrote
        self._sink: FollowerSink | None = None
        self._live = False
        self._leaving = 0  # the last number of the first frames
        self._shown: Status | None = None
        self._wake = Wake()

    @property
    def knows_the_stream(self) -> bool:
        """Whether its `start` frame was written: from then on it has an id to come back with."""
        return self.position > 0

    @property
    def is_on_its_way(self) -> bool:
        """Whether its headers are not out yet, for no fault of its own."""
        return self._sink is None and self.cut_as is None

    @property
    def _is_over(self) -> bool:
        return self.cut_as is not None or self._log.end is not None

    @property
    def is_behind(self) -> bool:
        """Whether more is owed to it than its transport holds."""
        return not self._live and self.position < self._log.last

    @property
    def leaves_whole(self) -> bool:
        """Whether the first frames are all that there will be."""
        return self._log.end is not None and self._leaving == self._log.last

    def first_frames(self) -> bytes:
        """Return the frames of what the log holds already, to leave with the headers; :meth:`follow` says they left."""
        events = self._after()
        if not events:
            return b""
        self._leaving = events[-1][0]
        return self.dialect.frames(events)

    async def follow(self, sink: FollowerSink, status: Status | None) -> None:
        """Write to ``sink`` what the log holds and will hold; return when the end is written or it is cut.

        The client's pace becomes ours only while it is behind; live, the frames pass by :meth:`push` and this waits.

        Args:
            status: what the stream waits for now: who joins is told.
        """
        self._sink = sink
        if self.cut_as is not None:  # while its headers were on their way
            sink.abort()
        if self._leaving > self.position:
            self.position = self._leaving
            self._wrote()
        while self.cut_as is None:
            if sink.paused:
                await self._drained(sink)
            elif events := self._after():
                self._write(sink, self.dialect.frames(events), events[-1][0])
                self._wrote()
            elif self._is_over:
                return
            else:
                self._live = True  # in the same step as the empty look above, without an await
                if status is not None:
                    self.show(status)
                    status = None
                self._wake.clear()
                await self._wake.wait()

    def push(self) -> None:
        """Hand on what is new, in the tick in which it came; called for every chunk."""
        sink, stream_log = self._sink, self._log
        if not self._live or sink is None:
            return
        try:
            if stream_log.newest_text is not None and self.position == stream_log.last - 1:
                # one part of text is new, as at nearly every read: it need not be taken out of the log again
                frames = self.dialect.text(stream_log.newest_kind, stream_log.last, stream_log.newest_text)
                takes_more = self._write(sink, frames, stream_log.last)
            else:
                events = self._after()
                takes_more = not events or self._write(sink, self.dialect.frames(events), events[-1][0])
            if not takes_more or self.position < stream_log.last:  # a chunk may bring more than one piece
                self._fall_behind()
        except Exception as exc:  # noqa: BLE001 logged there
            self._failed(exc)
        if self._log.end is not None:
            self._fall_behind()

    def show(self, status: Status) -> None:
        """Tell a live reader what the stream waits for; what it was told on joining is not repeated."""
        if self._live and self._sink is not None and not self._sink.paused and status is not self._shown:
            self._shown = status
            try:
                self._sink.write(self.dialect.status(status))
            except Exception as exc:  # noqa: BLE001 logged there
                self._failed(exc)

    def cut(self, why: ConnectionEnd) -> None:
        """End the connection without a terminal event; the first reason stands."""
        if self.cut_as is None:
            self.cut_as = why
            if self._sink is not None:
                self._sink.abort()
        self._fall_behind()

    def _failed(self, exc: Exception) -> None:
        """End with a failure of ours that is this reader's alone: the producer and the others go on."""
        log.error("follower.failed", exc_info=exc)
        self.cut(ConnectionEnd.CLIENT_GONE)

    async def _drained(self, sink: FollowerSink) -> None:
        since = time.monotonic()
        try:
            await sink.drain()
        finally:
            self.blocked_s += time.monotonic() - since

    def _after(self) -> list[Numbered]:
        try:
            return self._log.after(self.position)
        except LeftTheLog:
            self.cut(ConnectionEnd.SLOW_CLIENT)
            return []

    def _write(self, sink: FollowerSink, frames: bytes, last: int) -> bool:
        self.position = last
        return sink.write(frames, b"", self._log.end is not None and last == self._log.last)

    def _fall_behind(self) -> None:
        self._live = False
        self._wake.set()
