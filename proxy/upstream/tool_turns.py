"""What happens between the turns of an answer whose tools run here: calls run, a person is asked, results are told.

What is decided is rounds.py's to say. No permit is held meanwhile: a tool that asks this very model would wait for
itself, and who hesitates to approve a call would block everybody.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from proxy.streams.approvals import Approvals
from proxy.streams.stream import Stream
from proxy.tools.call_end import CallEnd
from proxy.tools.tool import Outcome, Tool
from proxy.tools.toolbox import Toolbox
from proxy.upstream.rounds import PlannedCall, Rounds
from services.wire.events import (
    ApiError,
    Approval,
    Code,
    Completion,
    Failed,
    FinishReason,
    Phase,
    Signature,
    Status,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
)
from services.wire.request import ChatRequest, ModelRequest

AT_ONCE: Final = 4
"""Calls of one answer that run side by side."""
MAX_OFFERED: Final = 128
"""Tools that a model is offered, the client's among them."""
_NOT_APPROVED: Final[dict[Approval | None, tuple[CallEnd, str]]] = {
    Approval.REFUSED: (CallEnd.REFUSED, "Not run: the user refused this call."),
    Approval.EXPIRED: (CallEnd.EXPIRED, "Not run: nobody approved this call in time."),
}

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]
NotRun = Callable[[str | None, CallEnd], None]
"""Hears of a call that does not run: its tool, None for one that is not offered, and why."""


def offered(
    request: ModelRequest, toolbox: Toolbox, lacks_tools: Callable[[ChatRequest], bool]
) -> tuple[Tool, ...] | None:
    """Return the server's tools that the model is offered beside the client's; None where none were asked for.

    Args:
        lacks_tools: says whether the model is known not to call any: it is asked without them.

    Raises:
        ApiError: one that was asked for by name cannot be offered, one has the name of a client's, or they are too
            many.
    """
    if not isinstance(request, ChatRequest) or (wanted := request.server_tools) is None:
        return None
    if lacks_tools(request):
        if wanted.demanded:
            raise _refused("server_tools cannot be asked for: this model cannot call tools")
        return ()
    tools = toolbox.offer(wanted.names, demanded=wanted.demanded)
    if not wanted.attended:
        needs_person = [tool.name for tool in tools if tool.confirm]
        if needs_person and wanted.demanded:
            raise _refused(f"The tool {needs_person[0]} needs somebody's approval: ask for the answer as a stream")
        tools = tuple(tool for tool in tools if not tool.confirm)
    clients = {tool.name for tool in request.tools or ()}
    if clash := [tool.name for tool in tools if tool.name in clients]:
        raise _refused(f"tools has {clash[0]}, which is the name of a tool of the server, too")
    if len(clients) + len(tools) > MAX_OFFERED:
        raise _refused(f"tools and server_tools together must be at most {MAX_OFFERED}")
    return tools


def _refused(words: str) -> ApiError:
    return ApiError(Failed(Code.INVALID_REQUEST, words))


class ToolTurns:
    """The turns of one stream.

    Args:
        request: as the client asked.
        tools: what the model is offered.
        spawn: runs a call; it is not waited for where it is given up.
        not_run: counts those that do not run; whoever runs the others counts them.
    """

    def __init__(
        self,
        stream: Stream,
        request: ChatRequest,
        tools: tuple[Tool, ...],
        toolbox: Toolbox,
        *,
        spawn: Spawn,
        not_run: NotRun,
    ) -> None:
        self._stream = stream
        self._toolbox = toolbox
        self._spawn = spawn
        self._not_run = not_run
        self._rounds = Rounds(request, tools, toolbox.check)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._approvals = stream.approvals = Approvals()
        self._began_at = stream.log.last  # the number behind which the turn's events stand
        self._chunks_before = 0
        self._to_run: list[PlannedCall] = []
        self._called: list[ToolCall] = []  # in the turn; a small log may have lost them when they are sent on
        self._had: list[ToolResult] = []
        self._phases: dict[str, Status] = {}  # of the calls that wait or run, by their ids
        stream.log.on_call = self._named

    def first(self) -> ModelRequest:
        """Return what is asked first."""
        return self._rounds.first()

    def ended(self, word: Completion) -> FinishReason | None:
        """A turn is over: return the reason with which the answer ends, None where it goes on."""
        log = self._stream.log
        end = self._rounds.ended(word, log.chunks - self._chunks_before)
        self._chunks_before, self._to_run = log.chunks, list(end.run)
        for one in end.refused:
            self._approvals.forget(one.call.call_id)
            self._not_run(None if one.tool is None else one.tool.name, CallEnd.NOT_RUN)
            self._result(one.call, Outcome(False, one.refusal or ""))
        return end.reason

    async def next(self) -> ModelRequest | FinishReason:
        """Run the calls of the turn that is over; return what is asked then, or the reason with which it ends."""
        running = [self._spawn(self._run(one), f"tool call {one.call.call_id}") for one in self._to_run]
        try:
            if running:
                await asyncio.wait(running)
        finally:
            for task in running:
                task.cancel()  # and not waited for: stopping a stream never waits for a tool
        for task in running:
            task.result()
        log = self._stream.log
        words = [one for one in log.held(self._began_at) if isinstance(one, Token | Thinking | Signature)]
        following = self._rounds.next([*words, *self._called, *self._had])
        self._began_at, self._called, self._had = log.last, [], []
        return following

    def close(self) -> None:
        """The stream is over."""
        self._stream.log.on_call = None
        self._approvals.end()

    def _named(self, call: ToolCall) -> ToolCall:
        named = self._rounds.named(call)
        self._called.append(named)
        if named.needs_approval:
            self._approvals.expect(named.call_id)
        return named

    async def _run(self, planned: PlannedCall) -> None:
        call, tool = planned.call, planned.tool
        assert tool is not None
        try:
            approval = await self._asked(call, tool)
            if approval in _NOT_APPROVED:
                end, words = _NOT_APPROVED[approval]
                self._not_run(tool.name, end)
                self._result(call, Outcome(False, words), approval=approval)
                return
            await self._at_once.acquire()
        except asyncio.CancelledError:
            self._not_run(tool.name, CallEnd.CANCELLED)
            raise
        try:
            self._show(call, Phase.TOOL)
            began = time.monotonic()
            outcome = await self._toolbox.call(call.name, call.arguments)
            self._result(call, outcome, time.monotonic() - began, approval)
        finally:
            self._at_once.release()

    async def _asked(self, call: ToolCall, tool: Tool) -> Approval | None:
        """Return what a person said of a call; None of one that needs nobody's word."""
        if not call.needs_approval:
            return None
        self._show(call, Phase.APPROVAL)
        return await self._approvals.said(call.call_id, tool.approval_s)

    def _result(self, call: ToolCall, outcome: Outcome, took_s: float = 0.0, approval: Approval | None = None) -> None:
        """Tell what a call came to, in the order in which calls come to something."""
        self._phases.pop(call.call_id, None)
        text = self._rounds.fitted(outcome.text)
        result = ToolResult(call.call_id, call.name, outcome.ok, text, round(took_s * 1000, 1), approval)
        self._had.append(result)
        self._stream.log.append(result, len(text.encode()))
        self._stream.deliver()
        self._show_phase()

    def _show(self, call: ToolCall, phase: Phase) -> None:
        self._phases.pop(call.call_id, None)  # what was an approval is the newest now
        self._phases[call.call_id] = Status(phase, name=call.name, call_id=call.call_id)
        self._show_phase()

    def _show_phase(self) -> None:
        """Say what is waited for: for a person before all, else for the call that began last."""
        asking = (one for one in self._phases.values() if one.phase is Phase.APPROVAL)
        status = next(asking, None) or next(reversed(self._phases.values()), None)
        if status is not None:
            self._stream.show(status)


def turns_of(
    stream: Stream, tools: tuple[Tool, ...] | None, toolbox: Toolbox, *, spawn: Spawn, not_run: NotRun
) -> ToolTurns | None:
    """Return the turns of a stream whose model is offered tools that run here; None of any other."""
    if tools is None:
        return None
    assert isinstance(stream.request, ChatRequest)
    return ToolTurns(stream, stream.request, tools, toolbox, spawn=spawn, not_run=not_run)
