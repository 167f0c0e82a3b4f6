"""Ollama's own dialect, for clients made for Ollama: NDJSON lines, or one object. Pure: the time is an argument.

Made from the same log as every other dialect: a line per event (merged as on SSE), and a final line with the model
server's own last fields as they came. `context` and `logprobs` are not carried; a tool call's index is counted anew.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, assert_never

import orjson

from services.wire.events import (
    Failed,
    Finished,
    FinishReason,
    Logged,
    Started,
    Status,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
    skipped,
)
from services.wire.native import Numbered

STOPPED: Final = "The answer was stopped."
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
        now: the time as Ollama writes it, RFC 3339 in UTC.
    """

    def __init__(self, kind: str, model: str, now: Callable[[], str]) -> None:
        self._generate = kind == "generate"
        self._model = model
        self._now = now
        self._calls = 0

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the lines of ``events``; `start` is none."""
        return b"".join(json_line(line) for _, event in events if (line := self._line(event)) is not None)

    def status(self, _status: Status) -> bytes:
        """Return nothing: Ollama's clients know no such line."""
        return b""

    def _line(self, event: Logged) -> dict[str, Any] | None:
        match event:
            case Token(content):
                return self._part(content)
            case Thinking(content):
                return self._part("", thinking=content)
            case ToolCall():
                self._calls += 1
                return self._part("", tool_calls=[tool_call(event, self._calls - 1)])
            case Finished():
                last = {"error": STOPPED} if was_stopped(event) else {**self._part("", done=True), **event.last_word}
                return {**last, **skipped(event.skipped_lines)}
            case Failed(message=message):
                return {"error": message, **skipped(event.skipped_lines)}
            case Started() | ToolResult():  # Ollama's clients know no such line
                return None
            case _:
                assert_never(event)

    def _part(self, text: str, *, done: bool = False, **more: Any) -> dict[str, Any]:
        head = {"model": self._model, "created_at": self._now()}
        if self._generate:
            return {**head, "response": text, **more, "done": done}
        return {**head, "message": {"role": "assistant", "content": text, **more}, "done": done}


class OllamaObject:
    """The whole answer for one reader, as one object: gathers what :class:`OllamaLines` would write."""

    def __init__(self, kind: str, model: str, now: Callable[[], str]) -> None:
        self._generate = kind == "generate"
        self._model = model
        self._now = now
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self.bytes = 0

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Keep ``events``; nothing is written before the end."""
        for _, event in events:
            self._keep(event)
        return b""

    def status(self, _status: Status) -> bytes:
        """Return nothing."""
        return b""

    def _keep(self, event: Logged) -> None:
        match event:
            case Token(text):
                self._text.append(text)
                self.bytes += len(text.encode())
            case Thinking(text):
                self._thinking.append(text)
                self.bytes += len(text.encode())
            case ToolCall():
                self._calls.append(tool_call(event, len(self._calls)))
                self.bytes += len(orjson.dumps(event.arguments))
            case Started() | ToolResult() | Finished() | Failed():  # the end is told to `whole`
                pass
            case _:
                assert_never(event)

    def whole(self, end: Finished) -> bytes:
        """Return the body of an answer that was not stopped."""
        said: dict[str, Any] = {"thinking": "".join(self._thinking)} if self._thinking else {}
        if self._calls:
            said["tool_calls"] = self._calls
        head = {"model": self._model, "created_at": self._now()}
        text = "".join(self._text)
        if self._generate:
            body = {**head, "response": text, **said}
        else:
            body = {**head, "message": {"role": "assistant", "content": text, **said}}
        return orjson.dumps({**body, "done": True, **end.last_word, **skipped(end.skipped_lines)})


def empty_object(kind: str, model: str, now: str, *, done_reason: str) -> dict[str, Any]:
    """Return the answer to who said nothing: the model is loaded, or unloaded."""
    said = {"response": ""} if kind == "generate" else {"message": {"role": "assistant", "content": ""}}
    return {"model": model, "created_at": now, **said, "done": True, "done_reason": done_reason}


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
