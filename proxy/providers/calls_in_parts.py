"""Tool calls that come in parts, put together by the rules of OpenAI's school and the habits of its pupils. Pure.

A call is told when the answer's finish is: not when the next begins, for parallel calls may come interleaved; and only
the finish tells a call that was cut by the length from one without arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.providers.fields import Malformed, arguments_of, typed
from proxy.providers.no_answer import NO_ANSWER, TOOL_CALL_BYTES
from proxy.streams.log import StreamLog
from services.wire.events import MAX_SIGNATURE_BYTES, Failed, Signature, ToolCall

CALLS_BYTES: Final = 8 << 20
"""Most that all calls of one answer may have together, as long as it goes on."""
_PART_BYTES: Final = 256
"""What a call, and a part of one, is taken to weigh beside its text: those without text have no bound of their own."""


@dataclass(slots=True)
class CallInParts:
    """A call as far as it has come.

    Attributes:
        whole: its arguments where they came as an object.
        extra: what its provider wants to have back.
        is_readable: nothing of it was lost.
    """

    call_id: str = ""
    name: str = ""
    parts: list[str] = field(default_factory=list)
    whole: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None
    is_readable: bool = True

    @property
    def arguments(self) -> object:
        """What there is of its arguments: text or an object."""
        return "".join(self.parts) or self.whole


class CallsInParts:
    """The calls of one answer.

    Attributes:
        left_out: whether something of them could not be read.
    """

    def __init__(self) -> None:
        self.left_out = False
        self._calls: list[CallInParts] = []
        self._at: dict[int, CallInParts] = {}
        self._bytes = 0

    def add(self, fragment: object) -> None:
        """Take in one fragment of OpenAI's ``tool_calls``; one that cannot be read is left out alone."""
        try:
            self._add(fragment)
        except Malformed:
            self.left_out = True

    def begin(self, call_id: str, name: str, whole: Mapping[str, Any] | None = None) -> CallInParts:
        """Begin another call."""
        call = CallInParts(call_id, name, whole=whole)
        self._calls.append(call)
        self._bytes += len(orjson.dumps((call_id, name, whole))) + _PART_BYTES
        return call

    def argue(self, call: CallInParts, part: object) -> None:
        """Append to the arguments of ``call``; what is no text spoils it."""
        if isinstance(part, str):
            call.parts.append(part)
            self._bytes += len(part) + _PART_BYTES
        elif part is not None:
            call.is_readable = False

    def spoil(self) -> None:
        """Take none of the calls for whole: something was lost, and it may have been a part of any."""
        for call in self._calls:
            call.is_readable = False

    @property
    def are_too_long(self) -> bool:
        """Whether they hold more than an answer's calls may."""
        return self._bytes > CALLS_BYTES

    def tell(self, log: StreamLog, provider: str, *, cut: bool) -> Failed | None:
        """Put every call that can be read into ``log``.

        Args:
            provider: whose the seals on them are.
            cut: the answer was ended by its length: the last call may be half a call, which nobody may run.
        """
        calls, self._calls = self._calls, []
        for call in calls:
            arguments = _arguments(call)
            if cut and call is calls[-1] and (arguments is None or not call.arguments):
                return None
            if arguments is None or not call.name:
                self.left_out = True
                continue
            extra = Signature(provider, call.extra) if call.extra else None
            if (failed := tell_call(ToolCall(call.call_id, call.name, arguments, extra), log)) is not None:
                return failed
        return None

    def _add(self, fragment: object) -> None:
        if not isinstance(fragment, dict):
            raise Malformed
        function = typed(fragment, "function", dict)
        index, call_id = fragment.get("index"), typed(fragment, "id", str)
        name, given = typed(function, "name", str), function.get("arguments")
        call = self._call(index if isinstance(index, int) else None, call_id, name)
        call.call_id, call.name = call.call_id or call_id, call.name or name  # a name may come again
        if isinstance(given, dict):
            call.whole = given
            self._bytes += len(orjson.dumps(given))
        else:
            self.argue(call, given)
        if extra := typed(fragment, "extra_content", dict):
            call.extra = extra
            self._bytes += len(orjson.dumps(extra))

    def _call(self, index: int | None, call_id: str, name: str) -> CallInParts:
        """Return the call that a fragment belongs to.

        Ollama numbers every call 0, Google numbers none: a new id begins a call, and so does a name without a number.
        """
        call = self._at.get(index) if index is not None else (self._calls[-1] if self._calls else None)
        is_new = call is None or (call_id and call.call_id and call_id != call.call_id)
        if call is None or is_new or (index is None and name and not call_id):
            call = self.begin(call_id, name)
            if index is not None:
                self._at[index] = call
        return call


def _arguments(call: CallInParts) -> dict[str, Any] | None:
    """Return the arguments of a call; None where they cannot be read, or something of them was lost."""
    try:
        return arguments_of(call.arguments) if call.is_readable else None
    except Malformed:
        return None


def tell_call(call: ToolCall, log: StreamLog) -> Failed | None:
    """Put ``call`` into ``log``, with a name of ours where it has none; one that is too long is no answer."""
    extra = {} if call.extra is None else call.extra.data
    sealed = len(orjson.dumps(extra))
    weight = len(orjson.dumps((call.call_id, call.name, call.arguments))) + sealed
    if weight > TOOL_CALL_BYTES or sealed > MAX_SIGNATURE_BYTES:
        return NO_ANSWER
    if not call.call_id:
        call = ToolCall(f"call_{log.tool_calls + 1}", call.name, call.arguments, call.extra)
    log.append(call, weight)
    return None


def tell_seal(seal: Signature, log: StreamLog) -> Failed | None:
    """Put a seal that is on no call into ``log``; one that is too long is no answer."""
    weight = len(orjson.dumps(seal.data))
    if weight > MAX_SIGNATURE_BYTES:
        return NO_ANSWER
    log.append(seal, weight)
    return None
