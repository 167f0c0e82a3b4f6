"""Ollama's language: the lines of /api/generate and /api/chat, from the first to its own last word. Pure.

Recorded from v0.33.0-rc2 (tests/captures). An error line under status 200 is final; a body that ends without
``done:true`` is a failure, however politely it ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Final

from proxy.providers import ollama_refusal, ollama_request
from proxy.providers.adapter import AttemptFailed, Question, UpstreamRequest
from proxy.providers.fields import Malformed
from proxy.providers.no_answer import NO_ANSWER, TOOL_CALL_BYTES, TRUNCATED, skip
from proxy.providers.ollama_line import FIELDS, said_in
from proxy.streams.log import StreamLog
from services.wire.events import Code, Completion, Failed, FinishReason, Thinking, Token, ToolCall, Usage
from services.wire.model_names import NO_MODEL
from services.wire.ndjson import BadLine, LineTooLong, NdjsonDecoder

NUMBERS_MAX: Final = 64
"""Most numbers of the last line that are kept: Ollama has six, and they are held as long as the stream is."""
NUMBER_NAME_MAX: Final = 64
"""Longest name of such a number, in characters."""
_NUMBERS: Final = ("_count", "_duration")
_NS: Final = 1e9
_INTEGERS: Final = frozenset(
    {f"{of}_{what}" for of in ("prompt_eval", "eval") for what in ("count", "duration")}
    | {"load_duration", "total_duration"}
)
"""The numbers that Ollama documents: another type is wrong. What is not known yet may have any."""

_DOES_NOT_STOP: Final = Failed(
    Code.UPSTREAM_ERROR, "The model server did not stop where it was told to.", retryable=False
)


class OllamaAdapter:
    """One call of Ollama.

    Args:
        none_installed: the server lists no model at all: a 404 then says what to do.
    """

    name: ClassVar = "ollama"  # said, since compiled code takes an attribute for an instance's otherwise

    def __init__(self, question: Question, *, none_installed: bool = False) -> None:
        request = question.request
        self._question = question
        self._none_installed = none_installed
        self._generate = request.kind == "generate"
        self._decoder = NdjsonDecoder()
        self._most_content_lines = _most_content_lines(request.max_output_tokens)
        self._content_lines = 0
        self._spoke = False  # a line without content was in Ollama's language
        self._foreign = False  # a line was in another
        self._called = False  # it called a tool

    def request(self) -> UpstreamRequest:
        """Return the request; the model server always gets ``stream: true``."""
        return ollama_request.answer_request(self._question)

    def feed(self, chunk: bytes, log: StreamLog) -> Completion | Failed | None:
        """Put what ``chunk`` completes into ``log``; return the answer's end when it is there."""
        try:
            for value in self._decoder.feed(chunk):
                if (end := self._line(value, log)) is not None:
                    return end
        except LineTooLong:
            return NO_ANSWER
        return None

    def end(self, log: StreamLog, *, broke_off: bool = False) -> Completion | Failed:
        """Return what the end of the body means; a last line without its newline still counts.

        Bytes without one readable line are no answer that was cut short but no answer at all.
        """
        rest = self._decoder.finish()
        if rest is not None and not (broke_off and isinstance(rest, BadLine)):  # half a line is no malformed one
            end = self._line(rest, log)
            if end is not None:
                return end
        understood = self._spoke or self._content_lines > 0
        return NO_ANSWER if self._foreign and not understood else TRUNCATED

    @property
    def silent(self) -> bool:
        """Whether no line has come, blank ones aside."""
        return not (self._spoke or self._content_lines or self._foreign)

    @property
    def has_finished(self) -> bool:
        """Never: its last word has everything."""
        return False

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer with another status than 200 means."""
        refusal = ollama_refusal.refusal(status, headers, body, self._question.request.model)
        if refusal.failed.code is Code.MODEL_NOT_FOUND and self._none_installed:
            return replace(refusal, failed=replace(refusal.failed, message=NO_MODEL))
        return refusal

    def _line(self, value: object, log: StreamLog) -> Completion | Failed | None:
        if not isinstance(value, dict):  # a BadLine among them
            self._foreign = True
            return skip(log)
        if (text := self._plain_text(value)) is not None:
            return self._record("", text, (), log)
        if error := value.get("error"):
            return ollama_refusal.failed_by(error, self._question.request.model)
        try:
            said = said_in(value, generate=self._generate)
        except Malformed:
            self._foreign = True
            return skip(log)
        if all(value.get(field) is None for field in FIELDS):
            self._foreign = True
            return None
        if any(weight > TOOL_CALL_BYTES for _, weight in said.calls):
            return NO_ANSWER
        failed = self._record(said.thinking, said.text, said.calls, log) or (skip(log) if said.left_out else None)
        return failed or (_last_word(value, called=self._called) if said.done else None)

    def _plain_text(self, line: dict[str, Any]) -> str | None:
        """Return the text of a line that says nothing else, as nearly every line; None for any other.

        The keys are counted, so that none can hide: this is half of a line's cost saved, and the other way decides
        the same.
        """
        if len(line) != 4 or line.get("done") is not False or "model" not in line or "created_at" not in line:
            return None
        if self._generate:
            text = line.get("response")
        else:
            message = line.get("message")
            if not isinstance(message, dict) or len(message) != 2 or "role" not in message:
                return None
            text = message.get("content")
        return text if isinstance(text, str) else None

    def _record(self, thinking: str, text: str, calls: Sequence[tuple[ToolCall, int]], log: StreamLog) -> Failed | None:
        if not (thinking or text or calls):
            self._spoke = True
            return None
        self._content_lines += 1
        if self._content_lines > self._most_content_lines:
            return _DOES_NOT_STOP
        if thinking:
            log.text(Thinking, thinking)
        if text:
            log.text(Token, text)
        for number, (call, weight) in enumerate(calls, log.tool_calls + 1):
            log.append(call if call.call_id else _named(call, number), weight)
            self._called = True
        return None


def _most_content_lines(num_predict: int | None) -> float:
    """Lines are not tokens, but a model goes past twice its ``num_predict`` and 64 more only if it ignores it."""
    return 2 * num_predict + 64 if num_predict is not None and num_predict > 0 else float("inf")


def _named(call: ToolCall, number: int) -> ToolCall:
    """Older servers name no calls, and a result must say whose it is."""
    return ToolCall(f"call_{number}", call.name, call.arguments)


def _last_word(line: Mapping[str, Any], *, called: bool) -> Completion:
    said = line.get("done_reason")
    reason = FinishReason.LENGTH if said == "length" else FinishReason.STOP
    if reason is FinishReason.STOP and called:
        reason = FinishReason.TOOL_CALLS
    numbers = _numbers(line)
    counts = numbers.get("prompt_eval_count"), numbers.get("eval_count")
    return Completion(
        reason,
        None if counts == (None, None) else Usage(*counts),
        load_s=_seconds(numbers.get("load_duration")),
        prefill_s=_seconds(numbers.get("prompt_eval_duration")),
        decode_s=_seconds(numbers.get("eval_duration")),
        fields={"done_reason": said, **numbers} if isinstance(said, str) else numbers,
    )


def _numbers(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counters and durations of the last line as they came; a wrong one is absent, never 0."""
    numbers = ((name, value) for name, value in line.items() if _is_number(name, value))
    return dict(islice(numbers, NUMBERS_MAX))


def _is_number(name: str, value: object) -> bool:
    if not name.endswith(_NUMBERS) or len(name) > NUMBER_NAME_MAX or isinstance(value, bool):
        return False
    if name in _INTEGERS:
        return isinstance(value, int) and value >= 0
    return isinstance(value, int | float) and value >= 0


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / _NS
