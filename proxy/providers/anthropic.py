"""Anthropic's language: the events of /v1/messages, of which ``message_stop`` alone proves the end. Pure.

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

``ping`` may come anywhere, and what is not known is ignored, as their versioning asks. A block is thought, text, or a
call; a thought's signature is told behind it, and goes back with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from proxy.providers import anthropic_refusal, anthropic_request
from proxy.providers.adapter import AttemptFailed, Outcome, Question, UpstreamRequest
from proxy.providers.calls_in_parts import CallInParts, CallsInParts, tell_seal
from proxy.providers.event_stream import EventStreamAdapter
from proxy.providers.fields import count_of, typed
from proxy.providers.no_answer import NO_ANSWER
from proxy.streams.log import StreamLog
from services.wire.events import (
    MAX_SIGNATURE_BYTES,
    Completion,
    Failed,
    FinishReason,
    Signature,
    Thinking,
    Token,
    Usage,
)

_REASONS: Final[Mapping[str, FinishReason]] = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.CONTENT_FILTER,
}
"""Any other is a stop, or a call of tools where there is one: newer models have reasons of their own."""
BLOCKS_MAX: Final = 64
"""Most blocks that are open at once: one is, in every stream that was seen."""
_INPUTS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@dataclass(slots=True)
class _Block:
    """A block that is open.

    Attributes:
        call: what it calls, if it calls.
        thought: how many characters of it were told as Thinking.
        seal: its signature so far.
        sealed: how many characters that has: counted, since each part would be summed again with every delta.
    """

    kind: str
    call: CallInParts | None = None
    thought: int = 0
    seal: list[str] = field(default_factory=list)
    sealed: int = 0


class AnthropicAdapter(EventStreamAdapter):
    """One call of Anthropic."""

    name: ClassVar = anthropic_request.PROVIDER

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._blocks: dict[int, _Block] = {}
        self._calls = CallsInParts()
        self._counts: dict[str, Any] = {}
        self._reason: FinishReason | None = None

    def request(self) -> UpstreamRequest:
        """Return what asks the model."""
        return anthropic_request.answer_request(self._question)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer with another status than 200 means."""
        return anthropic_refusal.refusal(status, headers, body, self._question)

    def _said(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        match value.get("type"):
            case "message_start":
                self._start(typed(value, "message", dict))
            case "content_block_start":
                return self._open(_index(value), typed(value, "content_block", dict), log)
            case "content_block_delta":
                return self._grow(self._blocks.get(_index(value)), typed(value, "delta", dict), log)
            case "content_block_stop":
                return self._close(self._blocks.pop(_index(value), None), log)
            case "message_delta":
                self._count(typed(value, "usage", dict))
                return self._finish(typed(typed(value, "delta", dict), "stop_reason", str), log)
            case "message_stop":
                self._understood = True
                return self._last_word()
            case "error":
                return anthropic_refusal.failed_by(value.get("error"), self._question)
        return None

    def _whole(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        if value.get("type") == "error":
            return anthropic_refusal.failed_by(value.get("error"), self._question)
        if value.get("type") != "message":
            return None
        self._start(value)
        for index, block in enumerate(typed(value, "content", list)):
            if isinstance(block, dict):
                failed = self._open(index, block, log) or self._close(self._blocks.pop(index, None), log)
                if failed is not None:
                    return failed
        return self._finish(typed(value, "stop_reason", str), log) or self._last_word()

    def _lost(self) -> None:
        self._calls.spoil()

    def _completion(self) -> Completion | None:
        """Return None: `message_stop` is the end, and says itself that it is."""
        return None

    def _last_word(self) -> Completion | None:
        if self._reason is None:
            return None
        given = [count for name in _INPUTS if (count := count_of(self._counts, name)) is not None]
        usage = Usage(sum(given) if given else None, count_of(self._counts, "output_tokens"))
        told = usage.input_tokens is not None or usage.output_tokens is not None
        return Completion(self._reason, usage if told else None, load_s=None, prefill_s=None)

    def _start(self, message: dict[str, Any]) -> None:
        """Begin the message; one that begins again leaves what was open unsaid."""
        self._understood = True
        self._blocks.clear()
        self._calls = CallsInParts()
        self._count(typed(message, "usage", dict))

    def _open(self, index: int, block: dict[str, Any], log: StreamLog) -> Failed | None:
        self._understood = True
        kind = typed(block, "type", str)
        opened = self._blocks[index] = _Block(kind)
        if kind == "tool_use":
            whole = typed(block, "input", dict)
            opened.call = self._calls.begin(typed(block, "id", str), typed(block, "name", str), whole)
        elif kind == "redacted_thinking":
            data = {"redacted_thinking": typed(block, "data", str), "characters": 0}
            return tell_seal(Signature(self.name, data), log)
        if len(self._blocks) > BLOCKS_MAX:
            return NO_ANSWER
        return self._grow(opened, {**block, "type": f"{kind}_delta"}, log)

    def _grow(self, block: _Block | None, delta: dict[str, Any], log: StreamLog) -> Failed | None:
        if block is None:
            return None
        if block.kind == "text":
            log.text(Token, typed(delta, "text", str))
        elif block.kind == "thinking":
            thought = typed(delta, "thinking", str)
            log.text(Thinking, thought)
            block.thought += len(thought)
            if signature := typed(delta, "signature", str):
                block.seal.append(signature)
                block.sealed += len(signature)
        elif block.call is not None:
            self._calls.argue(block.call, delta.get("partial_json"))
        too_long = self._calls.are_too_long or block.sealed > MAX_SIGNATURE_BYTES
        return NO_ANSWER if too_long else None

    def _close(self, block: _Block | None, log: StreamLog) -> Failed | None:
        if block is None or not (seal := "".join(block.seal)):
            return None
        return tell_seal(Signature(self.name, {"signature": seal, "characters": block.thought}), log)

    def _finish(self, said: str, log: StreamLog) -> Failed | None:
        """Note why the message ends, and tell its calls."""
        if not said:
            return None
        before, reason = log.tool_calls, _REASONS.get(said, FinishReason.STOP)
        failed = self._calls.tell(log, self.name, cut=reason is FinishReason.LENGTH)
        self._left_out = self._calls.left_out
        called = log.tool_calls > before
        self._reason = FinishReason.TOOL_CALLS if reason is FinishReason.STOP and called else reason
        return failed

    def _count(self, counts: Mapping[str, Any]) -> None:
        """Keep the newest of each count: those of the end are of the whole."""
        self._counts |= {name: count for name in counts if (count := count_of(counts, name)) is not None}


def _index(value: Mapping[str, Any]) -> int:
    return typed(value, "index", int)
