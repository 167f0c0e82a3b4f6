"""Ollama's language: the lines of /api/generate and /api/chat, and its refusals. Pure.

Recorded from v0.33.0-rc2 (tests/captures). An error line under status 200 is final; a body that ends without
``done:true`` is a failure, however politely it ends.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from proxy.providers.adapter import LastWord, Question, Refusal
from proxy.providers.scrubbing import scrubbed
from proxy.stream_log import StreamLog
from services.wire.chat import ModelRequest
from services.wire.events import Code, Failed, FinishReason, Thinking, Token, ToolCall, Usage
from services.wire.model_names import NO_MODEL
from services.wire.ndjson import LineTooLong, NdjsonDecoder

PATHS: Final[Mapping[str, str]] = {"generate": "/api/generate", "chat": "/api/chat"}
SKIPPED_LINES_MAX: Final = 8
"""The malformed line that ends the stream: one is an accident, eight are another language."""
TOOL_CALL_BYTES: Final = 1 << 20
"""Longest tool call, as JSON."""
_NS: Final = 1e9
_FINAL_FIELDS: Final = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)

_TRUNCATED: Final = Failed(Code.UPSTREAM_TRUNCATED, "The model server ended its answer without saying it was done.")
_NOT_ITS_LANGUAGE: Final = Failed(Code.UPSTREAM_MALFORMED, "The model server sent what is not an answer.")

_DOES_NOT_STOP: Final = Failed(
    Code.UPSTREAM_ERROR, "The model server did not stop where it was told to.", retryable=False
)


class _WrongType(Exception):
    """A field that we read has the wrong type: the line is malformed."""


class OllamaAdapter:
    """One call of Ollama.

    Args:
        request: what was asked, already rebuilt from the allow-list.
        none_installed: the server lists no model at all: a 404 then says what to do.
    """

    name = "ollama"

    def __init__(self, request: ModelRequest, *, none_installed: bool = False) -> None:
        self._request = request
        self._none_installed = none_installed
        self._generate = request.kind == "generate"
        self._decoder = NdjsonDecoder()
        self._lines_left = _most_content_lines(request.num_predict)
        self.skipped_lines = 0

    def question(self) -> Question:
        """Return the request; the model server always gets ``stream: true``."""
        return Question(PATHS[self._request.kind], orjson.dumps({**self._request.body, "stream": True}))

    def feed(self, chunk: bytes, log: StreamLog) -> LastWord | Failed | None:
        """Put what ``chunk`` completes into ``log``; return the answer's end when it is there."""
        try:
            for value in self._decoder.feed(chunk):
                if (end := self._line(value, log)) is not None:
                    return end
        except LineTooLong:
            return _NOT_ITS_LANGUAGE
        return None

    def end(self, log: StreamLog) -> LastWord | Failed:
        """Return what the end of the body means; a last line without its newline still counts."""
        rest = self._decoder.finish()
        end = None if rest is None else self._line(rest, log)
        return end or _TRUNCATED

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
        """Return what an answer with another status than 200 means."""
        words = scrubbed(body.decode("utf-8", "replace"))
        if status == 404:
            message = NO_MODEL if self._none_installed else words or "The model server has no such model."
            return Refusal(Failed(Code.MODEL_NOT_FOUND, message), "404", again=False)
        if status == 400:
            message = words or "The model server refused the request."
            return Refusal(Failed(Code.INVALID_REQUEST, message), "400", again=False)
        if status in {429, 502, 503}:
            message = "AI unavailable. The model server is busy or not ready; ask again later."
            return Refusal(Failed(Code.UPSTREAM_UNAVAILABLE, message), str(status), wait_s=_retry_after_s(headers))
        if status == 500:
            failed = Failed(Code.UPSTREAM_ERROR, words or "The model server failed.")
            return Refusal(failed, "500", wait_s=_retry_after_s(headers))
        failed = Failed(Code.UPSTREAM_ERROR, words or f"The model server answered {status}.", retryable=status >= 500)
        return Refusal(failed, "other", again=False)

    def _line(self, value: object, log: StreamLog) -> LastWord | Failed | None:
        if not isinstance(value, dict):  # a BadLine among them
            return self._skip()
        if (text := self._plain_text(value)) is not None:
            return self._record("", text, (), log)
        if "error" in value:
            return Failed(Code.UPSTREAM_ERROR, scrubbed(value["error"]) or "The model server failed.")
        try:
            thinking, text, calls = self._parts(value)
            done = _typed(value, "done", bool, default=False)
        except _WrongType:
            return self._skip()
        if any(weight > TOOL_CALL_BYTES for _, weight in calls):
            return _NOT_ITS_LANGUAGE
        return self._record(thinking, text, calls, log) or (_last_word(value, log) if done else None)

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
            return None
        self._lines_left -= 1
        if self._lines_left < 0:
            return _DOES_NOT_STOP
        if thinking:
            log.text(Thinking, thinking)
        if text:
            log.text(Token, text)
        for number, (call, weight) in enumerate(calls, log.tool_calls + 1):
            log.append(call if call.call_id else _named(call, number), weight)
        return None

    def _skip(self) -> Failed | None:
        self.skipped_lines += 1
        return _NOT_ITS_LANGUAGE if self.skipped_lines >= SKIPPED_LINES_MAX else None

    def _parts(self, line: Mapping[str, Any]) -> "tuple[str, str, list[tuple[ToolCall, int]]]":
        message = line if self._generate else _typed(line, "message", dict, default={})
        thinking = _typed(message, "thinking", str, default="")
        text = _typed(message, "response" if self._generate else "content", str, default="")
        return thinking, text, [_tool_call(call) for call in _typed(message, "tool_calls", list, default=[])]


def _most_content_lines(num_predict: int | None) -> float:
    """Lines are not tokens, but a model goes past twice its ``num_predict`` and 64 more only if it ignores it."""
    return 2 * num_predict + 64 if num_predict is not None and num_predict > 0 else float("inf")


def _typed(fields: Mapping[str, Any], name: str, kind: type[Any], default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise _WrongType
    return value


def _tool_call(call: object) -> tuple[ToolCall, int]:
    """Return the call and its weight: its bytes as JSON, its name and whatever else it says included."""
    if not isinstance(call, dict):
        raise _WrongType
    function = _typed(call, "function", dict, default={})
    arguments = _typed(function, "arguments", dict, default={})
    name = _typed(function, "name", str, default="")
    if not name:
        raise _WrongType
    return ToolCall(_typed(call, "id", str, default=""), name, arguments), len(orjson.dumps(call))


def _named(call: ToolCall, number: int) -> ToolCall:
    """Older servers name no calls, and a result must say whose it is."""
    return ToolCall(f"call_{number}", call.name, call.arguments)


def _last_word(line: Mapping[str, Any], log: StreamLog) -> LastWord:
    counters = {name: line[name] for name in _FINAL_FIELDS if _is_counter(line.get(name))}
    wrong = any(line.get(name) is not None and name not in counters for name in ("prompt_eval_count", "eval_count"))
    usage = None
    if counters and not wrong:  # an absent counter is 0 (Go's omitempty); no counter at all is no report
        usage = Usage(counters.get("prompt_eval_count", 0), counters.get("eval_count", 0))
    said = line.get("done_reason")
    reason = FinishReason.LENGTH if said == "length" else FinishReason.STOP
    if reason is FinishReason.STOP and log.tool_calls:
        reason = FinishReason.TOOL_CALLS
    fields = {**counters, "done_reason": said} if isinstance(said, str) else counters
    load_ns, prefill_ns = counters.get("load_duration", 0), counters.get("prompt_eval_duration", 0)
    return LastWord(reason, usage, load_ns / _NS, prefill_ns / _NS, fields)


def _is_counter(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    given = headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 10 else None
