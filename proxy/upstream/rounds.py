"""The turns of an answer whose tools run here: which calls run, what is asked next, and when it is over. Pure.

first()             what is asked first: the server's tools stand beside the client's
named(call)         the model calls: under a name of ours, and it is said who runs it
ended(word)         a turn is over: which calls run now, which do not and why, or with which reason it all ends
next(said)          what is asked then: the conversation, and what was said and had since
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxy.tools.tool import Tool, cut
from services.wire.events import Completion, Event, FinishReason, ToolCall
from services.wire.request import CalledTool, ChatRequest, Message
from services.wire.request import Tool as OfferedTool
from services.wire.said_messages import messages_of

MAX_ROUNDS: Final = 8
"""Turns with calls; then the model is asked once more, without the server's tools, and has to say something."""
MAX_CALLS_A_TURN: Final = 16
MAX_CALLS: Final = 32
"""Calls of one answer that run: a model that calls for ever calls somebody else's service."""
RESULTS_BYTES: Final = 256 << 10
"""Of all results of an answer: each of them is sent to the model with every turn that follows."""

_NO_SUCH_TOOL: Final = "Not run: there is no tool of this name here."
_TOO_MANY_AT_ONCE: Final = f"Not run: at most {MAX_CALLS_A_TURN} calls may be made at once."
_TOO_MANY: Final = f"Not run: an answer may call tools {MAX_CALLS} times."
_NO_MORE_ROUNDS: Final = "Not run: no more tools may be called in this answer."
_OVER: Final = "Not run: the answer ended before."

Check = Callable[[str, Mapping[str, Any]], str | None]
"""Says what is wrong with a call's arguments."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that runs here.

    Attributes:
        refusal: why it does not run; None where it does.
    """

    call: ToolCall
    tool: Tool | None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """What the end of a turn means.

    Attributes:
        run: the calls that run now; another turn, or the end, comes behind them.
        refused: those that do not, to be answered at once.
        reason: with which the answer ends now; None where it goes on.
    """

    run: Sequence[PlannedCall] = ()
    refused: Sequence[PlannedCall] = ()
    reason: FinishReason | None = None


@dataclass(slots=True)
class _Turn:
    """The calls of the turn that runs: the server's, and whether there are any of the client's."""

    here: list[PlannedCall] = field(default_factory=list)
    calls_client: bool = False


class Rounds:
    """The turns of one answer.

    Args:
        request: as the client asked.
        tools: those of the server that the model is offered.
        check: says what is wrong with the arguments of a call.
    """

    def __init__(self, request: ChatRequest, tools: Sequence[Tool], check: Check) -> None:
        self._request = request
        self._tools = {tool.name: tool for tool in tools}
        self._check = check
        self._clients = frozenset(tool.name for tool in request.tools or ())
        self._their_ids: dict[str, str] = {}  # a call's name here, to its provider's
        self._turn = _Turn()
        self._rounds = 0
        self._run = 0  # calls
        self._result_bytes = 0
        most = request.max_output_tokens
        self._left = None if most is None or most < 1 else most  # tokens that the answer may still have

    def first(self) -> ChatRequest:
        """Return what is asked first."""
        return self._asked()

    def named(self, call: ToolCall) -> ToolCall:
        """Return ``call`` as it is told: every name that the client does not know is the server's to run, or refuse."""
        ours = f"call_{len(self._their_ids) + 1}"
        self._their_ids[ours] = call.call_id
        if call.name in self._clients:
            self._turn.calls_client = True
            return replace(call, call_id=ours)
        tool = self._tools.get(call.name)
        refusal = self._refusal(tool, call)
        asks = refusal is None and tool is not None and tool.confirm
        told = replace(call, call_id=ours, runs_here=True, needs_approval=asks)
        self._turn.here.append(PlannedCall(told, tool, refusal))
        self._run += refusal is None
        return told

    def ended(self, word: Completion, pieces: int) -> TurnEnd:
        """Return what the end of a turn means.

        Args:
            word: the model server's own.
            pieces: content that came in the turn: so many tokens were spent where the server did not count them.
        """
        self._spend(word, pieces)
        turn, calls_end = self._turn, word.reason in {FinishReason.STOP, FinishReason.TOOL_CALLS}
        if not turn.here:
            return TurnEnd(reason=word.reason)
        self._rounds += 1
        if not calls_end or self._left == 0:
            refused = [replace(one, refusal=one.refusal or _OVER) for one in turn.here]
            return TurnEnd(refused=refused, reason=FinishReason.LENGTH if calls_end else word.reason)
        refused = [one for one in turn.here if one.refusal is not None]
        if self._rounds > MAX_ROUNDS:
            reason = FinishReason.TOOL_CALLS if turn.calls_client else FinishReason.STOP
            return TurnEnd(refused=refused, reason=reason)
        return TurnEnd([one for one in turn.here if one.refusal is None], refused)

    def fitted(self, text: str) -> str:
        """Return a result's text, cut where the results of this answer would be too long together."""
        fitted = cut(text, max(0, RESULTS_BYTES - self._result_bytes))
        self._result_bytes += len(fitted.encode())
        return fitted

    def next(self, said: Iterable[Event]) -> ChatRequest | FinishReason:
        """Return what is asked next; the finish reason, where it is the client that has to answer calls now.

        Args:
            said: the events of the turn that is over, with the results.
        """
        turn, self._turn = self._turn, _Turn()
        if turn.calls_client:
            return FinishReason.TOOL_CALLS
        messages = tuple(self._as_theirs(one) for one in messages_of(said))
        self._request = replace(self._request, messages=(*self._request.messages, *messages))
        return self._asked()

    def _asked(self) -> ChatRequest:
        request = self._request
        tools = request.tools or ()
        if self._rounds < MAX_ROUNDS:
            tools = (*tools, *(_as_offered(tool) for tool in self._tools.values()))
        most = request.max_output_tokens if self._left is None else self._left
        return replace(request, tools=tools or None, server_tools=None, max_output_tokens=most)

    def _refusal(self, tool: Tool | None, call: ToolCall) -> str | None:
        if self._rounds >= MAX_ROUNDS:
            return _NO_MORE_ROUNDS
        if tool is None:
            return _NO_SUCH_TOOL
        if sum(one.refusal is None for one in self._turn.here) >= MAX_CALLS_A_TURN:
            return _TOO_MANY_AT_ONCE
        return _TOO_MANY if self._run >= MAX_CALLS else self._check(call.name, call.arguments)

    def _spend(self, word: Completion, pieces: int) -> None:
        counted = None if word.usage is None else word.usage.output_tokens
        if self._left is not None:
            self._left = max(0, self._left - (pieces if counted is None else counted))

    def _as_theirs(self, message: Message) -> Message:
        """Return what was said under the names that the calls have at their provider: ours mean nothing there."""
        calls: tuple[CalledTool, ...] | None = None
        if message.tool_calls is not None:
            calls = tuple(replace(one, call_id=self._theirs(one.call_id)) for one in message.tool_calls)
        return replace(message, tool_calls=calls, tool_call_id=self._theirs(message.tool_call_id))

    def _theirs(self, call_id: str | None) -> str | None:
        return self._their_ids.get(call_id or "") or None


def _as_offered(tool: Tool) -> OfferedTool:
    return OfferedTool(tool.name, tool.description, tool.parameters, "function")
