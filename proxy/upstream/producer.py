"""The one task of a stream that asks the model: its permit, turns and attempts, time-outs, and giving everything back.

An answer is made of turns, a turn of attempts, of which :func:`next_attempt` chooses each. The task waits; the tokens,
and the end, pass through :class:`UpstreamCall` without it. Whatever ends the stream, its ``finally`` closes the
upstream connection first and gives the permit back after that: one permit for all turns, of which today's have one.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from proxy.providers.adapter import AttemptFailed, Outcome, Question
from proxy.streams.permits import Place
from proxy.streams.stream import Stream
from proxy.upstream.call import INTERNAL, UpstreamCall
from proxy.upstream.retry import Attempt, Tried, next_attempt
from proxy.upstream.server import ModelServer, Route
from proxy.upstream.transport import Unreachable
from proxy.upstream.turns import total_of
from services.http.connection import HttpCall
from services.runtime.watchdog import Watchdog
from services.wire.events import Code, Completion, Failed, FinishReason, Phase, Stage, Status
from services.wire.request import ModelRequest

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


NextTurn = Callable[[Stream, Completion], ModelRequest | None]
"""Says what is asked behind a turn that ended so."""


def one_turn(_stream: Stream, _word: Completion) -> None:
    """Say that an answer has one turn, as today's have."""


class Producer:
    """Produces one stream.

    Args:
        place: its permit, or its place in line.
        route: the model servers that may be asked.
        ended: told last, when everything is given back.
        next_turn: asked at a turn's end, in the turn of its last read; None where that is the answer's.
    """

    def __init__(
        self,
        stream: Stream,
        place: Place,
        *,
        route: Route,
        deadlines: Deadlines,
        metrics: ProducerMetrics,
        ended: Callable[[Stream], None],
        next_turn: NextTurn = one_turn,
    ) -> None:
        self._stream = stream
        self._place = place
        self._route = route
        self._deadlines = deadlines
        self._metrics = metrics
        self._ended = ended
        self._next_turn = next_turn
        self._request: ModelRequest | None = stream.request  # of the turn that comes next
        self._words: list[Completion] = []  # of the turns that are over
        self._patience = IDLE_FACTOR if stream.request.wants_tools_or_format else 1
        self._idle_s = deadlines.idle_s * self._patience
        self._gap_seen = metrics.gaps_of(stream)
        self._reading: UpstreamCall | None = None
        self._call: HttpCall | None = None
        self._outcome: asyncio.Future[Outcome] | None = None  # of the call that is read
        self._task: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(self._look)
        stream.produced_by(self.abort)

    async def run(self) -> None:
        """Produce the stream to its end; never raises."""
        self._task = asyncio.current_task()
        try:
            if self._stream.log.end is None and await self._permitted():
                await self._run_turns()
                self._stream.finish(INTERNAL)  # harmless: only a failure of ours can have left it without an end
        except asyncio.CancelledError:
            self._stream.finish(FinishReason.CANCELLED)  # by stop(), which has said why, or by the process's end
        except Exception:
            log.exception("producer.failed", stream_id=self._stream.id, request_id=self._stream.caller.request_id)
            self._stream.finish(INTERNAL)
        finally:
            await self._give_back()

    def abort(self) -> None:
        """Close the upstream call now and end the task; harmless when it is over."""
        if self._call is not None:
            self._call.abort()
        if self._task is not None and not self._task.cancelling() and not self._stream.upstream_closed.is_reached:
            self._task.cancel()

    async def _permitted(self) -> bool:
        stream, timeline = self._stream, self._stream.timeline
        result = "client_gone"
        try:
            if not self._place.granted.done():
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

    async def _run_turns(self) -> None:
        """Run turns until one of them ends the answer."""
        while self._request is not None:
            request, self._request = self._request, None
            await self._run_turn(request)

    async def _run_turn(self, request: ModelRequest) -> None:
        """Make attempts until the model server answers, or no other may follow."""
        stream = self._stream
        attempts, skipped_lines = stream.attempts, stream.log.skipped_lines  # of the turns before
        stream.show(Status(Phase.CONNECTING))
        history: list[Tried[ModelServer]] = []
        while attempt := next_attempt(self._route, history, chance=random.random()):  # noqa: S311 a jitter
            if history and attempt.number > history[-1].attempt.number:
                stream.log.skipped_lines = skipped_lines  # nothing of a call that showed nothing is left out
                await self._back_off(attempt, history[-1].failed.why)
            stream.attempts = attempts + attempt.number
            outcome = await self._attempt(attempt, request)
            if not isinstance(outcome, AttemptFailed):
                return
            history.append(self._tried(attempt, outcome))
        failed = history[-1].failed
        stream.retry_after_s = failed.wait_s
        stream.finish(failed.failed)

    def _tried(self, attempt: Attempt[ModelServer], failed: AttemptFailed) -> Tried[ModelServer]:
        reading = self._reading
        if reading is None:
            return Tried(attempt, failed)
        return Tried(attempt, failed, took_s=time.monotonic() - reading.asked_at, content=reading.has_content)

    async def _back_off(self, attempt: Attempt[ModelServer], why: str) -> None:
        """Say that another attempt is made, and wait as long as it is to wait."""
        self._metrics.call_repeated(why)
        self._stream.show(Status(Phase.RETRYING, attempt=attempt.number))
        await asyncio.sleep(attempt.wait_s)

    async def _attempt(self, attempt: Attempt[ModelServer], request: ModelRequest) -> Outcome:
        """Make one call, and return its outcome once its connection is closed or can carry another."""
        stream, server = self._stream, attempt.server
        stream.provider = server.provider
        self._reading = None
        await server.ready(stream.model)
        adapter = server.adapter(Question(request, request.model or stream.model, stream.wishes.let_through))
        self._outcome = asyncio.get_running_loop().create_future()
        reading = UpstreamCall(
            stream, adapter, self._heard, self._gap_seen, self._metrics.chunk_passed, patience=self._patience
        )
        try:
            self._call = call = await server.transport.open(
                adapter.request(), reading, trace=self._stream.caller.trace, fresh=attempt.fresh
            )
        except Unreachable as exc:
            return exc.failed
        self._reading = reading
        reading.asked_at = time.monotonic()
        server.call_began(stream, reading)
        self._watchdog.start()
        try:
            outcome = await self._outcome
            if isinstance(outcome, Completion) and not reading.whole:
                await asyncio.wait([call.released], timeout=LAST_CHUNK_S)  # so that it can carry the next call
        finally:
            self._watchdog.stop()
            server.call_ended(stream, reading)
            call.abort()
        await self._closed(call)
        return outcome

    def _heard(self, outcome: Outcome) -> None:
        """A call has its outcome: what ends the answer ends it now, in the write of its last token."""
        stream = self._stream
        assert self._outcome is not None
        if not self._outcome.done():  # else the task was cancelled in this turn
            self._outcome.set_result(outcome)
        if isinstance(outcome, Completion):
            self._words.append(outcome)
            self._request = self._next_turn(stream, outcome)
            if self._request is None:
                stream.finish(total_of(self._words))
            else:
                stream.timeline.next_turn()
                stream.deliver()
        elif isinstance(outcome, Failed):
            stream.finish(outcome)

    @staticmethod
    async def _closed(call: HttpCall) -> None:
        """Return when its connection is closed; the future itself is not awaited, or a cancellation would cancel it."""
        if not call.released.done():
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
        self._reading = self._call = self._request = None  # they hold the prompt, and the kept stream holds us
        stream.producer_ended()
        self._ended(stream)

    def _look(self, now: float) -> float | None:
        """The one timer of a call: which deadline has passed, or when to look again."""
        reading, deadlines = self._reading, self._deadlines
        assert reading is not None
        if self._stream.log.end is not None:
            return None
        total_due = (self._stream.timeline.admitted or now) + deadlines.total_s
        if not reading.has_content:
            due, failed = reading.asked_at + deadlines.first_token_s, FIRST_TOKEN_TIMEOUT
        else:
            due, failed = (reading.last_byte_at or now) + self._idle_s, _IDLE
        if now >= total_due:
            due, failed = total_due, _TOTAL
        if now >= due:
            reading.time_out(failed)
            return None
        # the silence limit is the shorter one, and content may begin right after this look
        return min(due, total_due, now + self._idle_s)
