"""The one task of a stream that asks the model: its permit, turns and attempts, time-outs, and giving everything back.

An answer is made of turns, a turn of attempts, of which :class:`Walk` chooses each. The task waits; the tokens, and the
end, pass through :class:`UpstreamCall` without it. Whatever ends the stream, its ``finally`` closes the upstream
connection first and gives the permit back after that. A turn that another follows gives its own back, and the next
stands in line again, before all whose answer has not begun: between them no model is asked.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from proxy.providers.adapter import FINISH_S, Adapter, AttemptFailed, Outcome
from proxy.streams.stream import Stream
from proxy.upstream.call import INTERNAL, UpstreamCall
from proxy.upstream.condition import Try
from proxy.upstream.deadlines import (
    FIRST_TOKEN_TIMEOUT,
    IDLE,
    IDLE_FACTOR,
    IDLE_S,
    LAST_CHUNK_S,
    TOTAL,
    WHOLE_S,
    Deadlines,
)
from proxy.upstream.retry import LONGEST_RETRY_AFTER_S, Attempt, Past
from proxy.upstream.server import ModelServer, today
from proxy.upstream.tool_turns import ToolTurns
from proxy.upstream.transport import Unreachable
from proxy.upstream.turns import total_of
from proxy.upstream.walk import Walk
from services.http.connection import HttpCall
from services.runtime.watchdog import Watchdog
from services.wire.events import Completion, Failed, FinishReason, Phase, Status
from services.wire.request import ModelRequest

log = structlog.get_logger()


class ProducerMetrics(Protocol):
    """Who counts what the producer meets."""

    def permit_waited(self, result: str, seconds: float) -> None:
        """The wait in line ended: admitted, timeout or client_gone."""
        ...

    def call_repeated(self, server: str, why: str) -> None:
        """Another attempt is made, since one at a server has failed."""
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
        walk: its way along the model servers that may be asked: it has its permit, or a place in line.
        ended: told last, when everything is given back.
        turns: of an answer that may have more than one; None where the first turn's end is the answer's.
    """

    def __init__(
        self,
        stream: Stream,
        walk: Walk,
        *,
        deadlines: Deadlines,
        metrics: ProducerMetrics,
        ended: Callable[[Stream], None],
        turns: ToolTurns | None = None,
    ) -> None:
        self._stream = stream
        self._walk = walk
        self._deadlines = deadlines
        self._metrics = metrics
        self._ended = ended
        self._turns = turns
        self._words: list[Completion] = []  # of the turns that are over
        self._patience = IDLE_FACTOR if turns is not None or stream.request.wants_tools_or_format else 1
        self._is_permitted = False
        self._turn_s: float | None = None  # for which the turn that is over held its permit
        self._is_whole = False  # the answer of the call that runs comes whole, at its end
        self._reading: UpstreamCall | None = None
        self._call: HttpCall | None = None
        self._outcome: asyncio.Future[Outcome] | None = None  # of the call that is read
        self._task: asyncio.Task[None] | None = None
        stream.produced_by(self.abort)

    async def run(self) -> None:
        """Produce the stream to its end; never raises."""
        self._task = asyncio.current_task()
        try:
            if self._stream.log.end is None:
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

    async def _run_turns(self) -> None:
        """Run turns until one of them ends the answer."""
        turns, stream = self._turns, self._stream
        request: ModelRequest | None = stream.request if turns is None else turns.first()
        while request is not None:
            await self._run_turn(request)
            request = None if turns is None or stream.log.end is not None else await self._between(turns)

    async def _between(self, turns: ToolTurns) -> ModelRequest | None:
        """Give the permit back, and stand in line again when the tools have run; None where the answer is over."""
        stream, timeline = self._stream, self._stream.timeline
        self._walk.end_turn(self._turn_s)
        self._is_permitted = False
        left_s = (timeline.admitted or timeline.accepted) + self._deadlines.total_s - time.monotonic()
        try:
            async with asyncio.timeout(left_s):
                following = await turns.next()
        except TimeoutError:
            stream.finish(TOTAL)
            return None
        timeline.tools_ran(time.monotonic())
        if isinstance(following, FinishReason):
            stream.finish(total_of(self._words, following))
            return None
        stream.turns += 1
        self._walk.begin_turn()
        self._show_line()
        return following

    async def _run_turn(self, request: ModelRequest) -> None:
        """Make attempts until a model server answers, or no other may follow."""
        stream, walk = self._stream, self._walk
        attempts, skipped_lines = stream.attempts, stream.log.skipped_lines  # of the turns before
        while isinstance(walk.step, Attempt):
            if not self._is_permitted and not await self._permitted():
                if stream.log.end is not None:
                    return
                continue
            attempt, last = walk.step, walk.last
            if last is None:
                stream.show(Status(Phase.CONNECTING))
            elif attempt.number > last.attempt.number or attempt.server is not last.attempt.server:
                stream.log.skipped_lines = skipped_lines  # nothing of a call that showed nothing is left out
                await self._back_off(attempt, last)
            if last is not None and stream.is_unwanted:  # whoever waited has left while another failed
                stream.finish(FinishReason.ABANDONED)
                return
            stream.attempts = attempts + attempt.number
            outcome = await self._attempt(attempt, request)
            if not isinstance(outcome, AttemptFailed):
                return
            self._go_on(outcome)
        stream.retry_after_s = walk.step.wait_s
        stream.finish(walk.step.failed)

    async def _permitted(self) -> bool:
        """Return whether the permit came: in time, and while somebody would read the answer."""
        stream, timeline = self._stream, self._stream.timeline
        result, since = "client_gone", timeline.parsed or timeline.accepted
        if timeline.admitted is not None:
            since = time.monotonic()
        try:
            result = "admitted" if await self._walk.permitted() else "timeout"
        finally:
            self._metrics.permit_waited(result, time.monotonic() - since)
        if result != "admitted":
            self._show_line()
            return False
        timeline.turn_admitted(time.monotonic())
        if stream.is_unwanted:  # who waits behind gets the model's time
            stream.finish(FinishReason.ABANDONED)
            return False
        self._is_permitted = True
        return True

    def _go_on(self, failed: AttemptFailed) -> None:
        """An attempt failed: choose the next, whose line may be another's."""
        stream, reading, walk, place = self._stream, self._reading, self._walk, self._walk.place
        took_s = 0.0 if reading is None else time.monotonic() - reading.asked_at
        if stream.server is not None:  # where there are several an operator wants to know which
            log.warning(
                "attempt.failed",
                server=stream.server,
                why=failed.why,
                stream_id=stream.id,
                request_id=stream.caller.request_id,
            )
        walk.failed(failed, took_s=took_s, content=reading is not None and reading.has_content)
        if walk.place is not place:
            self._is_permitted = False
            self._show_line()

    def _show_line(self) -> None:
        """Say at which position it waits, if it does: from then on a failure is an event."""
        if (position := self._walk.position) is not None:
            self._stream.show(Status(Phase.QUEUED, position))
            self._stream.commit()

    async def _back_off(self, attempt: Attempt[ModelServer], last: Past[ModelServer]) -> None:
        """Say that another attempt is made, and wait as long as it is to wait."""
        if last.was_asked:
            self._metrics.call_repeated(last.attempt.server.name, last.failed.why)
        named = attempt.server.name if self._walk.has_several else None
        self._stream.show(Status(Phase.RETRYING, attempt=attempt.number, server=named))
        await asyncio.sleep(attempt.wait_s)

    async def _attempt(self, attempt: Attempt[ModelServer], request: ModelRequest) -> Outcome:
        """Make one call, and return its outcome once its connection is closed or can carry another."""
        stream, server = self._stream, attempt.server
        stream.provider, stream.server = server.provider, server.name if server.is_named else None
        stream.served_model = server.calls(stream.model)
        server.taken(stream.model)
        try:
            await server.ready(stream.served_model)
            told = server.condition.began(stream.served_model, time.monotonic())
            try:
                outcome = await self._called(attempt, request, told)
                self._judge(server, told, outcome)
            finally:
                server.condition.let_go(told, time.monotonic())
        finally:
            server.freed(stream.model)
        return outcome

    async def _called(self, attempt: Attempt[ModelServer], request: ModelRequest, told: Try) -> Outcome:
        stream, server = self._stream, attempt.server
        self._reading = None
        adapter = server.adapter(server.question(request, stream, without=attempt.without))
        self._outcome = asyncio.get_running_loop().create_future()
        reading = UpstreamCall(
            stream,
            adapter,
            self._heard,
            self._metrics.gaps_of(stream),
            self._metrics.chunk_passed,
            patience=self._patience,
            goes_on=self._walk.has_several,
            spoke=lambda: server.condition.has_content(told, time.monotonic()),
        )
        try:
            self._call = call = await self._opened(server, adapter, reading, fresh=attempt.fresh)
        except Unreachable as exc:
            return exc.failed
        self._reading = reading
        reading.asked_at = time.monotonic()
        server.call_began(stream, reading)
        watchdog = Watchdog(self._look)
        watchdog.start()
        try:
            outcome = await self._outcome
            if isinstance(outcome, Completion) and not reading.whole:
                await asyncio.wait([call.released], timeout=LAST_CHUNK_S)  # so that it can carry the next call
        finally:
            watchdog.stop()
            server.call_ended(stream, reading)
            call.abort()
        await self._closed(call)
        return outcome

    async def _opened(self, server: ModelServer, adapter: Adapter, reading: UpstreamCall, *, fresh: bool) -> HttpCall:
        """Send what asks the model; its bytes, megabytes perhaps, are not held while it is waited for.

        Raises:
            Unreachable: nothing was sent.
        """
        stream, asked = self._stream, adapter.request()
        stream.dropped, self._is_whole = asked.dropped, not asked.streams
        trace = stream.caller.trace if server.config.is_local else None  # a stranger has no use for it
        return await server.transport.open(asked, reading, trace=trace, fresh=fresh)

    def _judge(self, server: ModelServer, told: Try, outcome: Outcome) -> None:
        """Let the server's condition know how a call came out."""
        now, chance, condition = time.monotonic(), random.random(), server.condition  # noqa: S311 a jitter
        if isinstance(outcome, Completion):
            condition.has_content(told, now)
            if (usage := outcome.usage) is not None:
                condition.used((usage.input_tokens or 0) + (usage.output_tokens or 0), today())
        elif isinstance(outcome, Failed) or (self._reading is not None and self._reading.has_content):
            failed = outcome if isinstance(outcome, Failed) else outcome.failed
            condition.broke_off(told, failed, now, chance=chance)
        else:
            request = self._stream.caller.request_id
            condition.came_to_nothing(told, outcome.why, now, chance=chance, request=request)
            if outcome.why == "first_token":
                server.waited_in_vain(told.asked_at, self._stream.served_model)
            if outcome.why == "quota" or (outcome.wait_s or 0.0) > LONGEST_RETRY_AFTER_S:
                condition.spare("quota" if outcome.why == "quota" else "429", outcome.wait_s, now)

    def _heard(self, outcome: Outcome) -> None:
        """A call has its outcome: what ends the answer ends it now, in the write of its last token."""
        stream = self._stream
        assert self._outcome is not None
        if not self._outcome.done():  # else the task was cancelled in this turn
            self._outcome.set_result(outcome)
        if isinstance(outcome, Completion):
            self._words.append(outcome)
            reason = outcome.reason if self._turns is None else self._turns.ended(outcome)
            if reason is not None:
                stream.finish(total_of(self._words, reason))
            else:
                self._turn_s = stream.timeline.permit_s
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
        stream = self._stream
        self._walk.leave(stream.timeline.permit_s)
        if stream.stopped_at is not None:
            self._metrics.upstream_closed(time.monotonic() - stream.stopped_at)
        if self._turns is not None:
            self._turns.close()
        self._reading = self._call = self._turns = None  # they hold the prompt, and the kept stream holds us
        stream.producer_ended()
        self._ended(stream)

    def _look(self, now: float) -> float | None:
        """The one timer of a call: which deadline has passed, or when to look again."""
        reading, walk = self._reading, self._walk
        assert reading is not None
        assert isinstance(walk.step, Attempt)
        if self._stream.log.end is not None:
            return None
        server, deadlines = walk.step.server, self._deadlines
        total_due = (self._stream.timeline.admitted or now) + deadlines.total_s
        is_ollama = server.config.is_ollama
        idle_s = deadlines.idle_s * self._patience if is_ollama else IDLE_S
        if reading.has_finished and reading.last_byte_at is not None:
            due, failed = reading.last_byte_at + FINISH_S, None
        elif not reading.has_content:
            due, failed = self._first_token_due(server, reading.asked_at), FIRST_TOKEN_TIMEOUT
        else:
            since = reading.last_byte_at if is_ollama else reading.content_at  # pings hide a dead upstream
            due, failed = (since or now) + idle_s, IDLE
        if now >= total_due:
            due, failed = total_due, TOTAL
        if now >= due:
            if failed is None:
                reading.end_here()
            else:
                reading.time_out(failed)
            return None
        # the silence limit is the shorter one, and content, or the last of it, may come right after this look
        return min(due, total_due, now + (idle_s if is_ollama else FINISH_S))

    def _first_token_due(self, server: ModelServer, asked_at: float) -> float:
        if self._is_whole:
            return asked_at + min(self._deadlines.total_s, WHOLE_S)
        absent_at, own_s = server.absent_at(self._stream.served_model), server.config.first_token_timeout_s
        return self._deadlines.first_token_due(asked_at, absent_at, own_s=own_s, has_others=self._walk.has_others)
