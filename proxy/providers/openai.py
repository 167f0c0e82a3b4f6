"""OpenAI's language, and that of everybody who speaks it: the chunks of /chat/completions. Pure.

Written for the many that are compatible in their own ways (LiteLLM, vLLM, llama.cpp, xAI, OpenRouter, Azure, Gemini's
other door). The end of an answer is its ``finish_reason``, not ``[DONE]``: a stream without the first is cut off,
however politely it ends.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from proxy.providers import openai_refusal, openai_request
from proxy.providers.adapter import AttemptFailed, Outcome, Question, UpstreamRequest
from proxy.providers.calls_in_parts import CallsInParts
from proxy.providers.event_stream import EventStreamAdapter, Frame
from proxy.providers.fields import Malformed, count_of, typed
from proxy.providers.no_answer import NO_ANSWER, TRUNCATED
from proxy.streams.log import StreamLog
from services.wire.events import Completion, FinishReason, Thinking, Token, Usage

_DONE: Final = "[DONE]"
_REASONS: Final[Mapping[str, FinishReason]] = {
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
"""What is neither these nor a call of tools is a stop: servers have words of their own for it."""


class OpenAIAdapter(EventStreamAdapter):
    """One call of a server that speaks OpenAI's language."""

    name: ClassVar = "openai"

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._calls = CallsInParts()
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._refused = False  # in words, by the model itself

    def request(self) -> UpstreamRequest:
        """Return what asks the model."""
        return openai_request.answer_request(self._question)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer with another status than 200 means."""
        return openai_refusal.refusal(status, headers, body, self._question)

    def _frame(self, frame: Frame, log: StreamLog) -> Outcome | None:
        if isinstance(frame.data, str) and frame.data.strip() == _DONE:
            return self._completion() or AttemptFailed(TRUNCATED, "eof")
        return super()._frame(frame, log)

    def _said(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        if (error := self._error(value)) is not None:
            return error
        choices = value.get("choices")
        if choices is None and "usage" not in value:
            return None  # what a server sends beside its answer
        self._understood = True
        self._count(value)
        choice = _first(choices)
        return None if choice is None else self._choice(choice, typed(choice, "delta", dict), log)

    def _whole(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        if (error := self._error(value)) is not None:
            return error
        choice = _first(value.get("choices"))
        if choice is None:
            return None
        self._understood = True
        self._count(value)
        return self._choice(choice, typed(choice, "message", dict), log) or self._completion()

    def _lost(self) -> None:
        self._calls.spoil()

    def _completion(self) -> Completion | None:
        if self._reason is None:
            return None
        return Completion(self._reason, self._usage, load_s=None, prefill_s=None)

    def _error(self, value: dict[str, Any]) -> AttemptFailed | None:
        """Return what an error in the answer means; it may be an object or words, and Groq has a place of its own."""
        of_groq = value.get("x_groq")
        error = value.get("error") or (of_groq.get("error") if isinstance(of_groq, dict) else None)
        return openai_refusal.failed_by(error, self._question) if error else None

    def _choice(self, choice: dict[str, Any], said: dict[str, Any], log: StreamLog) -> Outcome | None:
        if self._reason is None and (failed := self._say(said, log)) is not None:
            return failed
        finish = typed(choice, "finish_reason", str)
        return self._finish(finish, log) if finish and self._reason is None else None

    def _say(self, said: dict[str, Any], log: StreamLog) -> Outcome | None:
        thinking, text = _texts(said.get("content"))
        thinking = typed(said, "reasoning_content", str) or typed(said, "reasoning", str) or thinking
        refusal = typed(said, "refusal", str)
        calls = typed(said, "tool_calls", list)
        if legacy := typed(said, "function_call", dict):
            calls = [*calls, {"index": 0, "function": legacy}]
        if thinking:
            log.text(Thinking, thinking)
        if text or refusal:
            log.text(Token, text + refusal)
        self._refused = self._refused or bool(refusal)
        for fragment in calls:
            self._calls.add(fragment)
        self._left_out = self._calls.left_out
        self._calls.left_out = False
        return NO_ANSWER if self._calls.are_too_long else None

    def _finish(self, said: str, log: StreamLog) -> Outcome | None:
        """Note the end of the answer, and tell its calls."""
        before, reason = log.tool_calls, _REASONS.get(said, FinishReason.STOP)
        failed = self._calls.tell(log, self.name, cut=reason is FinishReason.LENGTH)
        self._left_out = self._left_out or self._calls.left_out
        if self._refused:
            reason = FinishReason.CONTENT_FILTER
        elif reason is FinishReason.STOP and log.tool_calls > before:
            reason = FinishReason.TOOL_CALLS
        self._reason = reason
        return failed

    def _count(self, value: dict[str, Any]) -> None:
        """Keep the last usage that was told: each is of the whole answer so far."""
        if counts := typed(value, "usage", dict):
            self._usage = _usage(counts) or self._usage


def _first(choices: object) -> dict[str, Any] | None:
    """Return the first choice; of more than one the others are not asked for."""
    if not choices:
        return None
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise Malformed
    first: dict[str, Any] = choices[0]
    return None if first.get("index") else first


def _texts(content: object) -> tuple[str, str]:
    """Return thinking and text of a content, which may be a list of parts."""
    if not content:
        return "", ""
    if isinstance(content, str):
        return "", content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise Malformed
    text = "".join(typed(part, "text", str) for part in content if part.get("type") != "thinking")
    thoughts = [_texts(part.get("thinking"))[1] for part in content if part.get("type") == "thinking"]
    return "".join(thoughts), text


def _usage(counts: Mapping[str, Any]) -> Usage | None:
    """Return what was counted. What was thought is output, and some servers count it in the total alone."""
    given, made, total = (count_of(counts, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if given is not None and total is not None:
        made = max(made or 0, total - given)
    details = counts.get("completion_tokens_details")
    thought = count_of(details, "reasoning_tokens") if isinstance(details, dict) else None
    return None if given is None and made is None else Usage(given, made, thought)
