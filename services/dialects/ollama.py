"""Ollama's own dialect, for clients made for Ollama: NDJSON lines, or one object. Pure: the time is an argument.

Made from the same log as every other dialect: a line per event (merged as on SSE), and a final line with the model
server's own last fields as they came. `context` and `logprobs` are not carried; a tool call's index is counted anew.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, assert_never

import orjson

from services.dialects.dialect import Answer
from services.dialects.gathering import calls_of, text_of
from services.wire import native, sse
from services.wire.event_data import served_by_data, skipped
from services.wire.events import (
    ApiError,
    Failed,
    Finished,
    FinishReason,
    Logged,
    Signature,
    Started,
    Status,
    Terminal,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
)
from services.wire.native import Numbered, TextKind

NDJSON: Final = "application/x-ndjson"
STOPPED: Final = "The answer was stopped."
_OLLAMA: Final = "ollama"
_INPUT: Final = "prompt_eval_count"
_OUTPUT: Final = "eval_count"
_NS_PER_MS: Final = 1_000_000
_STOPS: Final = frozenset({FinishReason.CANCELLED, FinishReason.ABANDONED})
_SPLITTERS: Final[Sequence[tuple[bytes, bytes]]] = (
    ("\x85".encode(), rb"\u0085"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)
"""Line ends to Python's ``splitlines``, which ollama-python splits by: they are written as escapes."""


class OllamaLines:
    """The lines of one answer for one reader.

    Args:
        kind: "generate" or "chat": which of Ollama's two shapes.
        model: the model's name as the client wrote it.
        now: tells the time, in UTC.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": NDJSON, **sse.UNBUFFERED}
    heartbeat_s: ClassVar[float | None] = None
    headers_wait: ClassVar[bool] = True
    can_resume: ClassVar[bool] = False

    def __init__(self, kind: str, model: str, now: Callable[[], datetime]) -> None:
        self._generate = kind == "generate"
        self._model = model
        self._now = now
        self._calls = 0

    def open(self, _started: Started) -> bytes:
        """Return nothing: Ollama's clients know no such line."""
        return b""

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the lines of ``events``."""
        return b"".join([self._line(event) for _, event in events])

    def text(self, kind: TextKind, _number: int, content: str) -> bytes:
        """Return the line of one part of text."""
        return json_line(self._part(content) if kind is Token else self._part("", thinking=content))

    def status(self, _status: Status) -> bytes:
        """Return nothing: Ollama's clients know no such line."""
        return b""

    def close(self, end: Terminal, _number: int | None = None) -> bytes:
        """Return the final line; that of an answer which is not whole is an error."""
        match end:
            case Finished():
                last = {"error": STOPPED} if was_stopped(end) else {**self._part("", done=True), **last_fields(end)}
            case Failed():
                last = {"error": end.message}
            case _:
                assert_never(end)
        return json_line({**last, **skipped(end.skipped_lines)})

    def heartbeat(self) -> bytes:
        """Return nothing: Ollama's clients know no such line."""
        return b""

    def _line(self, event: Logged) -> bytes:
        match event:
            case Token() | Thinking():
                return self.text(type(event), 0, event.content)
            case ToolCall(runs_here=True):  # it is none of the reader's to run
                return b""
            case ToolCall():
                self._calls += 1
                return json_line(self._part("", tool_calls=[tool_call(event, self._calls - 1)]))
            case Finished() | Failed():
                return self.close(event)
            case Started() | Signature() | ToolResult():  # Ollama's clients know no such line
                return b""
            case _:
                assert_never(event)

    def _part(self, text: str, *, done: bool = False, **more: Any) -> dict[str, Any]:
        head = {"model": self._model, "created_at": written(self._now())}
        if self._generate:
            return {**head, "response": text, **more, "done": done}
        return {**head, "message": {"role": "assistant", "content": text, **more}, "done": done}


class OllamaObject:
    """The whole answer for one reader, as one object: what :class:`OllamaLines` would write, together."""

    def __init__(self, kind: str, model: str, now: Callable[[], datetime]) -> None:
        self._generate = kind == "generate"
        self._model = model
        self._now = now

    def whole(self, events: Sequence[Numbered], end: Finished) -> Answer:
        """Return the answer; one that was stopped is not whole, and a refusal."""
        if (stopped := stopped_answer(end)) is not None:
            return stopped
        thinking, calls = text_of(events, Thinking), calls_of(events)
        said: dict[str, Any] = {"thinking": thinking} if thinking else {}
        if calls:
            said["tool_calls"] = [tool_call(call, index) for index, call in enumerate(calls)]
        head = {"model": self._model, "created_at": written(self._now())}
        text = text_of(events, Token)
        if self._generate:
            body = {**head, "response": text, **said}
        else:
            body = {**head, "message": {"role": "assistant", "content": text, **said}}
        return (
            200,
            native.JSON_HEADERS,
            orjson.dumps({**body, "done": True, **last_fields(end), **skipped(end.skipped_lines)}),
        )


def refusal(refused: ApiError, request_id: str) -> Answer:
    """Return a failure before the stream in Ollama's shape; our code is in a header."""
    status, headers, _ = native.refusal(refused, request_id)
    failed = refused.failed
    return status, {**headers, "Sluice-Error-Code": failed.code}, orjson.dumps({"error": failed.message})


def stopped_answer(end: Terminal | None) -> Answer | None:
    """Return the answer to who gets nothing of an answer because it was stopped; None for every other end."""
    if not isinstance(end, Finished) or not was_stopped(end):
        return None
    body = orjson.dumps({"error": STOPPED, **skipped(end.skipped_lines)})
    return 409, {**native.JSON_HEADERS, "Sluice-Error-Code": end.reason}, body


def empty_object(kind: str, model: str, now: datetime, *, done_reason: str) -> dict[str, Any]:
    """Return the answer to who said nothing: the model is loaded, or unloaded."""
    said = {"response": ""} if kind == "generate" else {"message": {"role": "assistant", "content": ""}}
    return {"model": model, "created_at": written(now), **said, "done": True, "done_reason": done_reason}


def written(moment: datetime) -> str:
    """Return a time of UTC as Ollama writes it: RFC 3339 with nanoseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def last_fields(end: Finished) -> Mapping[str, Any]:
    """Return the last fields as Ollama said them; of another's answer those that are known, and whose it is."""
    if end.served_by is None or end.served_by.provider == _OLLAMA:
        return end.last_word
    fields: dict[str, Any] = {
        "done_reason": "length" if end.reason is FinishReason.LENGTH else "stop",
        "total_duration": round(end.timing.total_ms * _NS_PER_MS),
    }
    counts = {} if end.usage is None else {_INPUT: end.usage.input_tokens, _OUTPUT: end.usage.output_tokens}
    fields |= {name: count for name, count in counts.items() if count is not None}
    return {**fields, "served_by": served_by_data(end.served_by)}


def was_stopped(end: Finished) -> bool:
    """Whether the answer was ended by somebody's decision, so that it is not whole."""
    return end.reason in _STOPS


def tool_call(call: ToolCall, index: int) -> dict[str, Any]:
    """Return a call as Ollama writes it."""
    function = {"index": index, "name": call.name, "arguments": call.arguments}
    return {"id": call.call_id, "function": function}


def json_line(value: Mapping[str, Any]) -> bytes:
    """Return one NDJSON line that no reader splits."""
    line = orjson.dumps(value)
    for raw, escape in _SPLITTERS:
        if raw in line:
            line = line.replace(raw, escape)
    return line + b"\n"
