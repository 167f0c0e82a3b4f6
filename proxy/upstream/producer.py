"""The one task of a stream that asks the model: permit, calls, deadlines, and giving everything back.

The task waits; the tokens pass through :class:`UpstreamCall` without it. Whatever ends the stream, its ``finally``
closes the upstream connection first and gives the permit back after that.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from proxy.providers.adapter import Adapter, AttemptFailed
from proxy.streams.permits import Place
from proxy.streams.stream import Stream
from proxy.upstream.call import UpstreamCall
from proxy.upstream.progress import Progress
from proxy.upstream.retry import wait_before_next
from proxy.upstream.transport import Transport, Unreachable
from proxy.upstream.wedge_watch import WedgeWatch
from services.http.connection import HttpCall
from services.runtime.watchdog import Watchdog
from services.wire.events import Code, Failed, FinishReason, Phase, Stage, Status

log = structlog.get_logger()

IDLE_FACTOR: Final = 4
"""With tools or a format the model server holds a whole call back: its silence lasts longer."""
LAST_CHUNK_S: Final = 1.0
"""How long after its last word a model server may take to end the body; the connection can be kept if it does."""

FIRST_TOKEN_TIMEOUT: Final = Failed(
    Code.UPSTREAM_TIMEOUT, "The model server gave no first token in time.", stage=Stage.FIRST_TOKEN
)
_IDLE: Final = Failed(Code.UPSTREAM_TIMEOUT, "The model server fell silent.", stage=Stage.IDLE)
_TOTAL: Final = Failed(
    Code.UPSTREAM_TIMEOUT, "The answer took longer than an answer may take.", stage=Stage.TOTAL, retryable=False
)
QUEUE_TIMEOUT: Final = Failed(
    Code.QUEUE_TIMEOUT, "The model is busy and the wait in line was too long. Ask again later."
)
_INTERNAL: Final = Failed(Code.INTERNAL, "Something went wrong here. Ask the operator to read the log.")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a model server may take, in seconds."""

    queue_s: float
    first_token_s: float
    idle_s: float
    total_s: float


class ProducerMetrics(Protocol):
    """Who counts what the producer meets."""

    def permit_waited(self, result: str, seconds: float) -> None:
        """The wait in line ended: admitted, timeout or client_gone."""
        ...

    def call_repeated(self, why: str) -> None:
        """Another attempt is made."""
        ...

    def gaps_of(self, stream: Stream) -> Callable[[float], None]:
        """Return who is told the seconds between two chunks with content."""
        ...

    def chunk_passed(self, seconds: float) -> None:
        """So long a chunk took from the model server's socket to the readers': told of one in sixteen."""
        ...

    def upstream_closed(self, seconds: float) -> None:
        """So long after a stop the upstream connection was closed."""
        ...


class Producer:
    """Produces one stream.

    Args:
        place: its permit, or its place in line.
        adapter_for: makes the adapter of one call.
        ended: told last, when everything is given back.
    """

    def __init__(
        self,
        stream: Stream,
        place: Place,
        *,
        transport: Transport,
        progress: Progress,
        wedges: WedgeWatch,
        deadlines: Deadlines,
        adapter_for: Callable[[Stream], Adapter],
        metrics: ProducerMetrics,
        ended: Callable[[Stream], None],
    ) -> None:
        self._stream = stream
        self._place = place
        self._transport = transport
        self._progress = progress
        self._wedges = wedges
        self._deadlines = deadlines
        self._adapter_for = adapter_for
        self._metrics = metrics
        self._ended = ended
        self._patience = IDLE_FACTOR if stream.request.wants_tools_or_format else 1
        self._idle_s = deadlines.idle_s * self._patience
        self._gap_seen = metrics.gaps_of(stream)
        self._asking: UpstreamCall | None = None
        self._call: HttpCall | None = None
        self._task: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(self._look)
        stream.produced_by(self.abort)

    async def run(self) -> None:
        """Produce the stream to its end; never raises."""
        self._task = asyncio.current_task()
        try:
            if self._stream.log.end is None and await self._permitted():
                await self._ask_until_answered()
        except asyncio.CancelledError:
            self._stream.finish(FinishReason.CANCELLED)  # by stop(), which has said why, or by the process's end
        except Exception:
            log.exception("producer.failed", stream_id=self._stream.id, request_id=self._stream.caller.request_id)
            self._stream.finish(_INTERNAL)
        finally:
            await self._give_back()

    def abort(self) -> None:
        """Close the upstream call now and end the task; harmless when it is over."""
        if self._call is not None:
            self._call.abort()
        if self._task is not None and not self._task.cancelling() and not self._stream.released.done():
            self._task.cancel()

    async def _permitted(self) -> bool:
        stream, timeline = self._stream, self._stream.timeline
        result = "client_gone"
        try:
            async with asyncio.timeout(self._deadlines.queue_s):
                await self._place.granted
            result = "admitted"
        except TimeoutError:
            result = "timeout"
            stream.finish(QUEUE_TIMEOUT)
            return False
        finally:
            self._metrics.permit_waited(result, time.monotonic() - (timeline.parsed or timeline.accepted))
        timeline.admitted = time.monotonic()
        if not stream.followers:  # nobody would read it: the model's time goes to who waits behind
            stream.finish(FinishReason.ABANDONED)
            return False
        return True

    async def _ask_until_answered(self) -> None:
        self._stream.show(Status(Phase.CONNECTING))
        fresh = False
        attempt = 1
        while (refusal := await self._attempt(attempt, fresh=fresh)) is not None:
            if refusal.why == "stale":  # once a stream: from now on connections are fresh
                fresh = True
                continue
            content = self._asking is not None and self._asking.has_content
            took_s = 0.0 if self._asking is None else time.monotonic() - self._asking.asked_at
            chance = random.random()  # noqa: S311 a jitter
            wait_s = wait_before_next(attempt, refusal, took_s=took_s, content=content, chance=chance)
            if wait_s is None:
                self._stream.retry_after_s = refusal.wait_s
                self._stream.finish(refusal.failed)
                return
            self._metrics.call_repeated(refusal.why)
            self._stream.log.skipped_lines = 0  # of a call that showed nothing: nothing of it is left out
            attempt, fresh = attempt + 1, True
            self._stream.show(Status(Phase.RETRYING, attempt=attempt))
            await asyncio.sleep(wait_s)

    async def _attempt(self, attempt: int, *, fresh: bool) -> AttemptFailed | None:
        """Make one call and return its refusal; None when the stream has its end."""
        self._stream.attempts = attempt
        await self._wedges.unloaded(self._stream.model)
        adapter = self._adapter_for(self._stream)
        self._asking = UpstreamCall(
            self._stream, adapter, self._gap_seen, self._metrics.chunk_passed, patience=self._patience
        )
        try:
            self._call = await self._transport.open(adapter.question(), self._asking, fresh=fresh)
        except Unreachable as exc:
            return exc.refusal
        self._asking.asked_at = time.monotonic()
        self._wedges.began(self._stream.model, self._asking)
        self._progress.watch(self._stream)
        self._watchdog.start()
        try:
            refusal = await self._asking.over
            if refusal is None and not self._asking.whole:
                await self._last_chunk()
        finally:
            self._watchdog.stop()
            self._progress.forget(self._stream)
            self._wedges.ended(self._asking)
            self._call.abort()
        await self._closed(self._call)
        return refusal

    async def _last_chunk(self) -> None:
        """Let the body of a finished answer end, so that its connection can carry the next one."""
        assert self._call is not None
        if not isinstance(self._stream.log.end, Failed):
            await asyncio.wait([self._call.released], timeout=LAST_CHUNK_S)

    @staticmethod
    async def _closed(call: HttpCall) -> None:
        """Return when its connection is closed; the future itself is not awaited, or a cancellation would cancel it."""
        await asyncio.wait([call.released])

    async def _give_back(self) -> None:
        self._task = None  # nothing may cancel what follows
        if self._call is not None:
            self._call.abort()
            await self._closed(self._call)
        self._place.leave()
        stream = self._stream
        if stream.stopped_at is not None:
            self._metrics.upstream_closed(time.monotonic() - stream.stopped_at)
        self._asking = self._call = None  # they hold the prompt, and the stream, which is kept, holds us
        stream.producer_ended()
        self._ended(stream)

    def _look(self, now: float) -> float | None:
        """The one timer of a call: which deadline has passed, or when to look again."""
        asking, deadlines = self._asking, self._deadlines
        assert asking is not None
        if self._stream.log.end is not None:
            return None
        total_due = (self._stream.timeline.admitted or now) + deadlines.total_s
        if not asking.has_content:
            due, failed = asking.asked_at + deadlines.first_token_s, FIRST_TOKEN_TIMEOUT
        else:
            due, failed = (asking.last_byte_at or now) + self._idle_s, _IDLE
        if now >= total_due:
            due, failed = total_due, _TOTAL
        if now >= due:
            asking.time_out(failed)
            return None
        # the silence limit is the shorter one, and content may begin right after this look
        return min(due, total_due, now + self._idle_s)
