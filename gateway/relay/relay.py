"""One client: whole frames in from a hop, frames out to a sink, in the callback that brought them.

    FollowedHop -> Relay -> (a Passage: PassThrough or Translated) -> Relay -> a sink

A hop may break and be followed again, once; the client's connection goes on. Only three things may come to the
client without the proxy having said them: heartbeats, the gateway's own fields in `start` and `done`, and an end
where the stream cannot be reached again, or its client could not come back for the rest.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gateway.relay.content_meter import ContentMeter
from gateway.relay.followed_hop import FollowedHop
from gateway.relay.hop import KEPT_BYTES, Hop
from gateway.relay.passage import Passage
from services.runtime.wake import Wake
from services.telemetry.stream_metrics import CHUNKS_PER_SAMPLE
from services.wire.events import ConnectionEnd, Failed, shutting_down
from services.wire.native import LOST_HOP, ControlFrame, HopBroken


class RelaySink(Protocol):
    """Where frames go: a client's socket, or nowhere, where a whole answer is gathered on the way."""

    @property
    def written(self) -> int:
        """Bytes so far."""
        ...

    def write(self, frames: bytes, framed: bytes = b"", last: bool = False) -> bool:
        """Take whole frames; False asks for a pause.

        Args:
            framed: the same as one HTTP chunk, where they came as one.
            last: nothing follows them.
        """
        ...

    async def drain(self) -> None:
        """Wait until the pause is over."""
        ...

    def close(self) -> None:
        """End without the last chunk, after what was written."""
        ...

    def abort(self) -> None:
        """End now."""
        ...


class Relay:
    """Carries one stream to one client.

    Args:
        passage: makes the client's frames.
        again: follows the stream again after a number; None when it cannot be had.
    """

    def __init__(self, passage: Passage, meter: ContentMeter, *, again: Callable[[int], Awaitable[Hop | None]]) -> None:
        self._passage = passage
        self._passed = passage.passed
        self._meter = meter
        self._sink: RelaySink | None = None
        self._early: list[bytes] = []  # frames that came before there was a sink
        self._paused_at: float | None = None
        self._was_paused = False
        self._failure: Exception | None = None
        self._wake = Wake()
        self._hop = FollowedHop(self._carry, self._wake.set, again)
        self.violations = 0  # times that a hop brought what no proxy writes
        self.end_reason: str | None = None

    @property
    def end(self) -> ControlFrame | None:
        """The terminal frame of the stream, if it came."""
        return self._passed.end

    @property
    def model_server(self) -> Mapping[str, Any]:
        """The model server's own last numbers."""
        return self._passed.model_server

    @property
    def chunks(self) -> int:
        """Content events that passed."""
        return self._passed.chunks

    @property
    def decode_s(self) -> float | None:
        """How long the model server says that it decoded, None where it did not say."""
        return self._passed.decode_s

    @property
    def can_resume(self) -> bool:
        """Whether its client comes back for the rest after a cut."""
        return self._passage.can_resume

    @property
    def bytes_out(self) -> int:
        """Bytes written to the client, framing included."""
        return self._sink.written if self._sink is not None else 0

    def owes(self) -> bool:
        """Whether more is there for the client than its transport takes."""
        return self._paused_at is not None

    def cut(self, reason: ConnectionEnd) -> None:
        """End the connection without the stream's end and without a word to the proxy; the first reason stands."""
        if self.end_reason is None:
            self.end_reason = reason
            if reason is ConnectionEnd.HANDED_OVER:
                self._hand_over()
            elif self._sink is not None:
                self._sink.abort()
            self._wake.set()

    def fail(self, failed: Failed) -> bool:
        """End the connection by a failure of the gateway's own, in no log and without an id; False: it had its end."""
        if self.end_reason is not None:
            return False
        self._write(self._passage.close(failed))
        self.end_reason = failed.code
        self._wake.set()
        return True

    def attach(self, hop: Hop) -> bytes:
        """Begin to carry ``hop``; return the frames that are here already, to leave with the headers."""
        self._hop.attach(hop)
        if self._meter.timeline.first_content is not None:
            self._meter.timeline.first_heard = hop.kept_at
        return self._taken_early()

    async def first_frames(self, hop: Hop) -> bytes:
        """Begin to carry ``hop``; return the first frames as soon as there are some, or nothing if it ended before."""
        first = self.attach(hop)
        while not first and self.end_reason is None:
            await self._woken()
            first = self._taken_early()
        self._wake.set()  # for `run`: what woke this may not be attended to yet
        return first

    async def run(self, sink: RelaySink) -> None:
        """Carry the hop, and what replaces it, to ``sink`` until the stream or the connection has its end."""
        self._sink = sink
        for frames in self._early:
            self._write(frames)
        self._meter.first_frames_left()
        if self.end_reason == ConnectionEnd.HANDED_OVER:  # while the headers were on their way
            self._hand_over()
        try:
            while self.end_reason is None:
                await self._woken()
            if self.end is not None:
                await self._hop.let_end()
        finally:
            self.close()

    def close(self) -> None:
        """Carry no more, and close the hop; harmless when it is closed."""
        self._stop_blocking()
        self._hop.close()

    # --- the token path

    def _carry(self, data: bytes, framed: bytes = b"") -> None:
        now = self._hop.heard_at = time.monotonic()
        if self.end_reason is not None or self._failure is not None:
            return
        try:
            if self._passage.passes(data, now):
                self._pass_on(data, now, framed)
            elif frames := self._made_of(data, now):
                self._pass_on(frames[0] if len(frames) == 1 else b"".join(frames), now)
        except Exception as exc:  # noqa: BLE001 ours, not the hop's, which would be followed again: `run` raises it
            self._failure = exc
            self._wake.set()

    def _made_of(self, data: bytes, now: float) -> list[bytes]:
        """Return the frames that ``data`` is for the client; an end that says nothing there is an empty one."""
        frames: list[bytes] = []
        try:
            self._passage.take(data, now, frames)
        except HopBroken:
            self.violations += 1
            self._hop.break_off()
        if self._passage.holds_end:
            self._wake.set()
        return frames

    def _pass_on(self, frames: bytes, now: float, framed: bytes = b"") -> None:
        timeline, end = self._meter.timeline, self._passed.end
        takes_more = self._write(frames, framed, end is not None)
        if timeline.content_reads % CHUNKS_PER_SAMPLE == 1 and self._sink is not None:
            self._meter.handed_on(now)
        if end is not None:
            timeline.answered = now
            timeline.last_written = time.monotonic()
            self.end_reason = end.end_reason
            self._wake.set()
        elif not takes_more:
            self._pause(now)

    def _write(self, frames: bytes, framed: bytes = b"", last: bool = False) -> bool:
        if self._sink is not None:
            return self._sink.write(frames, framed, last)
        self._early.append(frames)
        self._wake.set()
        return sum(map(len, self._early)) < KEPT_BYTES

    # --- what has to be waited for

    async def _woken(self) -> None:
        """Wait until something has to be done, and do it."""
        await self._wake.wait()
        self._wake.clear()
        if self._failure is not None:
            raise self._failure
        if self.end_reason is not None:
            return
        if self._passage.holds_end:
            await self._let_end_pass()
        elif self._hop.is_over:
            await self._follow_again()
        elif self._paused_at is not None and self._sink is not None:
            await self._sink.drain()
            self._stop_blocking()
            self._hop.resume()

    async def _let_end_pass(self) -> None:
        end = await self._passage.held_end()
        if self.end_reason is None:  # else it was cut meanwhile
            self._pass_on(end, time.monotonic())

    async def _follow_again(self) -> None:
        """A hop ended without the stream's end: follow again, once; or say so. Slowness is the client's own."""
        if self._paused_at is not None:
            self.cut(ConnectionEnd.SLOW_CLIENT)
            return
        slow = self._was_paused
        self._passed.reader.begin_anew()  # or the next hop's first frame would be read as the rest of a cut one
        if await self._hop.follow_again(self._passed.last_number):
            return
        if slow:  # what it needed has left the log while it kept us waiting
            self.cut(ConnectionEnd.SLOW_CLIENT)
        else:
            self.fail(LOST_HOP)

    def _hand_over(self) -> None:
        """Break off for a client that comes back for the rest; another one is told that there is none."""
        if self._sink is None:
            return
        if self.can_resume:
            self._sink.close()
        else:
            self._sink.write(self._passage.close(shutting_down(0.0).failed))

    def _taken_early(self) -> bytes:
        first, self._early = b"".join(self._early), []
        return first

    def _pause(self, now: float) -> None:
        self._hop.pause()
        self._paused_at, self._was_paused = now, True
        self._wake.set()

    def _stop_blocking(self) -> None:
        if self._paused_at is not None:
            self._meter.timeline.blocked_s += time.monotonic() - self._paused_at
            self._paused_at = None
