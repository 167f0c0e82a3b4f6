"""One client: whole frames in from a hop, whole frames out to a sink, in the callback that brought them.

A hop may break and be followed again, once; the client's connection goes on. Only three things may come to the
client without the proxy having said them: heartbeats, the gateway's own fields in `start` and `done`, and
`error upstream_disconnected` when the stream cannot be reached again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from gateway.relay.hop import KEPT_BYTES, Hop
from gateway.relay.timeline import Timeline
from services.http.connection import ResponseEnd
from services.runtime.watchdog import Watchdog
from services.telemetry.stream_metrics import CHUNKS_PER_SAMPLE
from services.wire.events import ConnectionEnd
from services.wire.native import HopBroken, MarkedFrame, NativeReader, lost_hop_frame, marked_frame

HEARTBEATS_MISSED: Final = 3
"""So many of the hop's heartbeats without a byte, and the hop is taken for broken."""
LAST_CHUNK_S: Final = 1.0
"""How long a hop may take to end its body after the terminal frame; its connection can be kept if it does."""


class Sink(Protocol):
    """Where frames go: a client's socket, or what gathers a whole answer."""

    written: int

    def write(self, frames: bytes) -> bool:
        """Take whole frames; False asks for a pause."""
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
        again: follows the stream again after a number; None when it cannot be had.
        began: whether this connection began the stream: only then it is known how long the first token took here.
        start_fields: the gateway's own fields of `start`.
        gap_seen: told the seconds between two reads with content.
        chunk_passed: told the seconds from a read to the return of its write, of one read in sixteen.
    """

    def __init__(
        self,
        timeline: Timeline,
        *,
        request_id: str,
        position: int,
        began: bool,
        start_fields: Mapping[str, Any],
        again: Callable[[int], Awaitable[Hop | None]],
        gap_seen: Callable[[float], None],
        chunk_passed: Callable[[float], None],
    ) -> None:
        self._sink: Sink | None = None
        self._early: list[bytes] = []  # frames that came before there was a sink
        self._timeline = timeline
        self._request_id = request_id
        self._start_fields = start_fields
        self._again = again
        self._gap_seen = gap_seen
        self._chunk_passed = chunk_passed
        self._began = began
        self._reader = NativeReader(position)
        self._first_number = position
        self._hop: Hop | None = None
        self._silence_s = 0.0
        self._heard_at = time.monotonic()
        self._paused_at: float | None = None
        self._was_paused = False
        self._hop_is_over = False
        self._followed_again = False
        self._failure: Exception | None = None
        self._wake = asyncio.Event()
        self._watchdog = Watchdog(self._listen)
        self.violations = 0  # times that a hop brought what no proxy writes
        self.marked = 0  # frames that are no content, for the count of chunks
        self.end: MarkedFrame | None = None
        self.model_server: Mapping[str, Any] = {}  # the model server's own last numbers
        self.end_reason: str | None = None

    @property
    def chunks(self) -> int:
        """Content events that passed: numbers grow by one for each event, merged or not."""
        return max(0, self._reader.last_number - self._first_number - self.marked)

    @property
    def decode_s(self) -> float | None:
        """How long the model server says that it decoded, None where it did not say."""
        decode_ns = self.model_server.get("eval_duration")
        return None if decode_ns is None else decode_ns / 1e9

    @property
    def bytes_out(self) -> int:
        """Bytes written to the client, framing included."""
        return self._sink.written if self._sink is not None else 0

    def owes(self) -> bool:
        """Whether more is there for the client than its transport takes."""
        return self._paused_at is not None

    def cut(self, reason: ConnectionEnd) -> None:
        """End the connection without a terminal frame and without a word to the proxy; the first reason stands."""
        if self.end_reason is None:
            self.end_reason = reason
            if self._sink is not None and reason is ConnectionEnd.HANDED_OVER:
                self._sink.close()
            elif self._sink is not None:
                self._sink.abort()
            self._wake.set()

    def take_up(self, hop: Hop) -> bytes:
        """Begin to carry ``hop``; return the frames that are here already, to leave with the headers."""
        self._attach(hop)
        if self._timeline.first_content is not None:
            self._timeline.first_heard = hop.kept_at
        first, self._early = b"".join(self._early), []
        return first

    async def run(self, sink: Sink) -> None:
        """Carry the hop, and what replaces it, to ``sink`` until the stream or the connection has its end."""
        self._sink = sink
        for frames in self._early:
            self._write(frames)
        self._first_frames_left()
        if self.end_reason == ConnectionEnd.HANDED_OVER:  # while the headers were on their way
            sink.close()
        try:
            while self.end_reason is None:
                await self._wake.wait()
                self._wake.clear()
                if self._failure is not None:
                    raise self._failure
                if self.end_reason is None:
                    await self._attend()
            await self._let_hop_end()
        finally:
            self.close()

    def close(self) -> None:
        """Carry no more, and close the hop; harmless when it is closed."""
        self._watchdog.stop()
        self._stop_blocking()
        if self._hop is not None:
            self._hop.abort()

    async def _attend(self) -> None:
        if self._hop_is_over:
            await self._follow_again()
        elif self._paused_at is not None:
            assert self._sink is not None
            await self._sink.drain()
            self._stop_blocking()
            if self._hop is not None and self._hop.call is not None:
                self._hop.call.resume()

    # --- the token path

    def _carry(self, data: bytes) -> None:
        now = self._heard_at = time.monotonic()
        if self.end_reason is not None or self._failure is not None:
            return
        try:
            runs = self._runs(data, now)
            if runs:
                self._pass_on(runs[0] if len(runs) == 1 else b"".join(runs), now)
        except Exception as exc:  # noqa: BLE001 ours, not the hop's, which would be followed again: `run` raises it
            self._failure = exc
            self._wake.set()

    def _runs(self, data: bytes, now: float) -> list[bytes]:
        runs: list[bytes] = []
        try:
            for run in self._reader.feed(data):
                if isinstance(run, bytes):
                    answers = b"event: token\n" in run or b"event: tool_call\n" in run
                    if answers or b"event: thinking\n" in run:
                        gap_s = self._timeline.content_came(now, answers)
                        if gap_s is not None:
                            self._gap_seen(gap_s)
                    runs.append(run)
                else:
                    runs.append(self._rewritten(run))
        except HopBroken:
            self.violations += 1
            self._break_hop()
        return runs

    def _pass_on(self, frames: bytes, now: float) -> None:
        takes_more = self._write(frames)
        if self._timeline.content_reads % CHUNKS_PER_SAMPLE == 1 and self._sink is not None:
            self._handed_on(now)
        if self.end is not None:
            self._timeline.answered = now
            self._timeline.last_written = time.monotonic()
            self.end_reason = self.end.end_reason
            self._wake.set()
        elif not takes_more:
            self._pause(now)

    def _write(self, frames: bytes) -> bool:
        if self._sink is None:
            self._early.append(frames)
            return sum(map(len, self._early)) < KEPT_BYTES
        return self._sink.write(frames)

    def _first_frames_left(self) -> None:
        """What came before there was a sink has been handed to it."""
        timeline, written = self._timeline, time.monotonic()
        timeline.first_written = None if timeline.first_content is None else written
        timeline.last_written = None if timeline.answered is None else written

    def _handed_on(self, read_at: float) -> None:
        """One read in sixteen, and the first: what it took from the read to the write."""
        written = time.monotonic()
        if self._timeline.first_written is None:
            self._timeline.first_written = written
        self._chunk_passed(written - read_at)

    def _rewritten(self, frame: MarkedFrame) -> bytes:
        self.marked += 1
        if frame.event == "start":
            frame.data.update(self._start_fields)
        elif frame.is_end:
            self.end = frame
            self.model_server = frame.data.pop("model_server", self.model_server)
            if frame.event == "done" and self._began and self._timeline.first_content is not None:
                ttft_s = self._timeline.first_content - self._timeline.accepted
                frame.data["gateway"] = {"ttft_ms": round(ttft_s * 1000, 1)}
        return marked_frame(frame)

    # --- the hop

    def _attach(self, hop: Hop) -> None:
        headers = hop.head.result().headers
        self._silence_s = HEARTBEATS_MISSED * _seconds(headers.get("sluice-heartbeat", ""))
        self._hop, self._hop_is_over = hop, False
        self._heard_at = time.monotonic()
        hop.carry(self._carry, self._hop_ended)
        self._watchdog.start()
        if hop.call is not None and self._paused_at is None:
            hop.call.resume()

    def _hop_ended(self, _end: ResponseEnd) -> None:
        self._hop_is_over = True
        self._wake.set()

    def _break_hop(self) -> None:
        if self._hop is not None:
            self._hop.abort()
        self._hop_is_over = True
        self._wake.set()

    async def _follow_again(self) -> None:
        """A hop ended without the stream's end: follow again, once; or say so. Slowness is the client's own."""
        if self._paused_at is not None:
            self.cut(ConnectionEnd.SLOW_CLIENT)
            return
        hop = None if self._followed_again else await self._again(self._reader.last_number)
        slow, self._followed_again = self._was_paused, True
        if hop is not None:
            self._attach(hop)
        elif slow:  # what it needed has left the log while it kept us waiting
            self.cut(ConnectionEnd.SLOW_CLIENT)
        elif self.end_reason is None:
            self._write(lost_hop_frame(self._request_id))
            self.end_reason = "upstream_disconnected"

    async def _let_hop_end(self) -> None:
        if self.end is not None and self._hop is not None and self._hop.call is not None:
            await asyncio.wait([self._hop.call.released], timeout=LAST_CHUNK_S)

    def _pause(self, now: float) -> None:
        if self._hop is not None and self._hop.call is not None:
            self._hop.call.pause()
        self._paused_at, self._was_paused = now, True
        self._wake.set()

    def _stop_blocking(self) -> None:
        if self._paused_at is not None:
            self._heard_at = time.monotonic()
            self._timeline.blocked_s += self._heard_at - self._paused_at
            self._paused_at = None

    def _listen(self, now: float) -> float | None:
        """The one timer of a relay: is the hop silent while we read it?"""
        if self._hop_is_over or self.end_reason is not None:
            return None
        due = self._heard_at + self._silence_s
        if self._paused_at is not None:
            return now + self._silence_s
        if now >= due:
            self._break_hop()
            return None
        return due


def _seconds(text: str) -> float:
    try:
        return min(max(0.05, float(text)), 60.0)  # in this order NaN is 0.05
    except ValueError:
        return 10.0
