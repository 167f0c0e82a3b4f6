"""Gemini's language: the chunks of streamGenerateContent, of which a ``finishReason`` proves the end. Pure.

Each chunk is an answer as generateContent gives it whole, with the part of it that is new. No mark ends the stream.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from proxy.providers import gemini_refusal, gemini_request
from proxy.providers.adapter import AttemptFailed, Outcome, Question, UpstreamRequest
from proxy.providers.calls_in_parts import tell_call, tell_seal
from proxy.providers.event_stream import EventStreamAdapter
from proxy.providers.fields import Malformed, arguments_of, count_of, typed
from proxy.providers.gemini_request import SIGNATURE
from proxy.providers.no_answer import NO_ANSWER
from proxy.streams.log import StreamLog
from services.wire.events import (
    Code,
    Completion,
    Failed,
    FinishReason,
    Signature,
    Thinking,
    Token,
    ToolCall,
    Usage,
)

_REASONS: Final[Mapping[str, FinishReason]] = {
    **dict.fromkeys(("MAX_TOKENS", "CONTINUATION"), FinishReason.LENGTH),
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"), FinishReason.CONTENT_FILTER
    ),
}
"""Any other is a stop, or a call of tools where there is one."""
_OF_IMAGES: Final = "IMAGE_"
"""The reasons that begin so are a filter's, too."""
_BAD_CALLS: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})
_CALLED_BADLY: Final = AttemptFailed(
    Failed(Code.UPSTREAM_ERROR, "The model called a tool in a way that cannot be read. Ask again."), "error"
)


class GeminiAdapter(EventStreamAdapter):
    """One call of Gemini."""

    name: ClassVar = gemini_request.PROVIDER

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._counts: Mapping[str, Any] = {}
        self._reason: FinishReason | None = None
        self._called = False

    def request(self) -> UpstreamRequest:
        """Return what asks the model."""
        return gemini_request.answer_request(self._question)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer with another status than 200 means."""
        return gemini_refusal.refusal(status, headers, body, self._question)

    def _said(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        if error := value.get("error"):
            return gemini_refusal.failed_by(error, self._question)
        self._counts = typed(value, "usageMetadata", dict) or self._counts
        candidates = typed(value, "candidates", list)
        if not candidates:
            blocked = typed(typed(value, "promptFeedback", dict), "blockReason", str)
            self._understood = self._understood or bool(self._counts or blocked)
            self._reason = FinishReason.CONTENT_FILTER if blocked else self._reason
            return None
        if not isinstance(candidates[0], dict):
            raise Malformed
        self._understood = True
        return self._candidate(candidates[0], log)

    def _whole(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        return self._said(value, log) or self._completion()

    def _lost(self) -> None:
        """Nothing is to be done: each chunk is whole by itself."""

    def _completion(self) -> Completion | None:
        if self._reason is None:
            return None
        reason = self._reason
        if reason is FinishReason.STOP and self._called:
            reason = FinishReason.TOOL_CALLS
        return Completion(reason, _usage(self._counts), load_s=None, prefill_s=None)

    def _candidate(self, candidate: dict[str, Any], log: StreamLog) -> Outcome | None:
        for part in typed(typed(candidate, "content", dict), "parts", list):
            if not isinstance(part, dict):
                raise Malformed
            if (failed := self._part(part, log)) is not None:
                return failed
        finish = typed(candidate, "finishReason", str)
        if finish in _BAD_CALLS:
            return _CALLED_BADLY
        if finish:
            is_image = finish.startswith(_OF_IMAGES)
            self._reason = FinishReason.CONTENT_FILTER if is_image else _REASONS.get(finish, FinishReason.STOP)
        return None

    def _part(self, part: dict[str, Any], log: StreamLog) -> Failed | None:
        text, signature = typed(part, "text", str), typed(part, SIGNATURE, str)
        seal = Signature(self.name, {SIGNATURE: signature}) if signature else None
        if text:
            log.text(Thinking if part.get("thought") is True else Token, text)
        if call := typed(part, "functionCall", dict):
            return self._call(call, seal, log)
        return None if seal is None else tell_seal(seal, log)

    def _call(self, call: dict[str, Any], seal: Signature | None, log: StreamLog) -> Failed | None:
        """Tell a call; one whose arguments would come in parts, which was not asked for, would lose them."""
        if call.get("partialArgs") or call.get("willContinue"):
            return NO_ANSWER
        try:
            name, call_id, arguments = typed(call, "name", str), typed(call, "id", str), arguments_of(call.get("args"))
        except Malformed:
            name = call_id = ""
            arguments = {}
        if not name:
            self._left_out = True
            return None
        self._called = True
        return tell_call(ToolCall(call_id, name, arguments, seal), log)


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    """Return what was counted: what is thought is output, and what its own tools asked is input."""
    thought = count_of(counts, "thoughtsTokenCount")
    given = _sum(counts, "promptTokenCount", "toolUsePromptTokenCount")
    made = _sum(counts, "candidatesTokenCount", "thoughtsTokenCount")
    return None if given is None and made is None else Usage(given, made, thought)


def _sum(counts: Mapping[str, Any], *names: str) -> int | None:
    found = [count for name in names if (count := count_of(counts, name)) is not None]
    return sum(found) if found else None
