"""The seed dialect: the simplest reader, a loop over ``data:`` lines, never meets a hole. Pure.

Every frame has `token` (empty where there is no text) and `done`; token and final frames have no `event:` line, so
that an EventSource's ``onmessage`` sees them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, assert_never

import orjson

from services.wire import sse
from services.wire.event_data import call_data, done_data, error_object, offered, result_data, skipped, status_data
from services.wire.events import (
    EVENT_NAMES,
    Failed,
    Finished,
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

_UNNAMED = (Token, Finished)


class SeedFrames:
    """The seed dialect of one reader of one stream."""

    headers: ClassVar[Mapping[str, str]] = sse.HEADERS
    heartbeat_s: ClassVar[float | None] = sse.MAX_HEARTBEAT_S
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = True

    def __init__(self, stream_id: str, *, request_id: str, model: str) -> None:
        self._request_id = request_id
        self._model = model
        self._id = f"{stream_id}-"
        self._token = b'id: %b%%d\ndata: {"token":%%b,"done":false}\n\n' % self._id.encode()

    def open(self, started: Started) -> bytes:
        """Return the `start` frame: a log's first event."""
        return self._frame(1, started)

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the frames of ``events``, back to back."""
        return b"".join(self._frame(number, event) for number, event in events)

    def text(self, kind: TextKind, number: int, content: str) -> bytes:
        """Return the frame of one part of text."""
        if kind is Token:
            return self._token % (number, orjson.dumps(content))
        return self._frame(number, Thinking(content))

    def status(self, status: Status) -> bytes:
        """Return a `status` frame: without an id, for it is not in the log."""
        data = {"token": "", "done": False, **_without_type(status_data(status))}
        return sse.encode(orjson.dumps(data), event="status")

    def close(self, end: Terminal, number: int | None = None) -> bytes:
        """Return the terminal frame; one that is in no log has no id."""
        return self._frame(number, end)

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return sse.HEARTBEAT

    def _frame(self, number: int | None, event: Logged) -> bytes:
        if isinstance(event, Token):
            assert number is not None
            return self.text(Token, number, event.content)
        if isinstance(event, Signature):  # who reads this dialect does not send an answer back
            return b""
        name = None if isinstance(event, _UNNAMED) else EVENT_NAMES[type(event)]
        data = {"token": "", "done": isinstance(event, Finished | Failed), **self._data(event)}
        frame_id = None if number is None else f"{self._id}{number}"
        return sse.encode(orjson.dumps(data), id=frame_id, event=name)

    def _data(self, event: Started | Thinking | ToolCall | ToolResult | Finished | Failed) -> Mapping[str, Any]:
        match event:
            case Started():
                return {"stream_id": event.stream_id, "model": event.model, **offered(event)}
            case Thinking(content):
                return {"thinking": content}
            case ToolCall():
                return {"tool_call": call_data(event)}
            case ToolResult():
                return {"tool_result": result_data(event)}
            case Finished():
                data = _without_type(done_data(event))
                return {"done_reason": data.pop("finish_reason"), "model": self._model, **data}
            case Failed():
                return {**error_object(event, self._request_id), **skipped(event.skipped_lines)}
            case _:
                assert_never(event)


def _without_type(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "type"}
