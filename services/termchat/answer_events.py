"""What the events of an answer say to its reader (PROTOCOL.md, "Events"). Pure.

A reader takes what it knows and passes over the rest: unknown events and keys, and values of another type than was
promised, are as good as absent.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.wire.events import Thinking, Token, ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """The answer exists and has an id by which it is taken up again, or stopped.

    Where the gateway keeps the conversation, ``message_id`` is the answer's there, and ``parent`` its question's.
    """

    stream_id: str
    model: str
    resume_window_s: float | None
    heartbeat_s: float | None
    message_id: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class StatusReported:
    """A word is awaited: for a place in line, a load, the prompt's reading, a tool or a person's word on it."""

    phase: str
    position: int | None = None
    attempt: int | None = None
    server: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """The answer is over; ``numbers`` is the whole `done` event."""

    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """The answer is over and is not whole, or was refused; what was shown stays."""

    code: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    request_id: str = ""


AnswerEvent = AnswerStarted | StatusReported | Thinking | Token | ToolCall | ToolResult | AnswerFinished | AnswerFailed
AnswerEnd = AnswerFinished | AnswerFailed
_CODE_OF_STATUS: Final = {401: "unauthorized", 403: "forbidden", 407: "unauthorized", 429: "rate_limited"}


def event_of(data: Mapping[str, Any]) -> AnswerEvent | None:
    """Return what an event's data says; None for what this reader does not know."""
    kind = data.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    return read(data) if read else None


def failure(data: Mapping[str, Any]) -> AnswerFailed:
    """Return what an error object says; its code is "" where there is none."""
    error = data.get("error")
    error = error if isinstance(error, dict) else {}
    retryable = error.get("retryable") is True
    return AnswerFailed(_text(error, "code"), _text(error, "message"), retryable, request_id=_text(error, "request_id"))


def refusal(status: int, body: bytes, retry_after: str) -> AnswerFailed:
    """Return what a status other than 200 says, in our shape or, by what stands before the gateway, in none.

    Args:
        retry_after: the header; seconds, where it is a number.
    """
    failed = failure(object_of(body))
    wait_s = float(retry_after) if re.fullmatch(r"[0-9]{1,5}", retry_after) else None
    if not failed.code:
        words = f"The server answered {status}. Is the address right?"
        failed = AnswerFailed(_CODE_OF_STATUS.get(status, ""), words)
    return replace(failed, retry_after_s=wait_s)


def object_of(body: str | bytes) -> dict[str, Any]:
    """Return the JSON object that a body is; empty where it is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def objects_in(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects of the list under ``key``; what is none is left out."""
    rows = data.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def tools_in(data: Mapping[str, Any]) -> list[str] | bool:
    """Return the tools that run beside the model server: their names, or whether there are some."""
    told = data.get("server_tools")
    return [name for name in told if isinstance(name, str)] if isinstance(told, list) else told is True


def number_at(data: Mapping[str, Any], *path: str) -> float | None:
    """Return the number that lies under these keys, one inside the other; None where there is none."""
    value: Any = data
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = number_at(data, key)
    return value if value is not None and 0 <= value < 1e6 else None


def _count(data: Mapping[str, Any], key: str) -> int | None:
    value = _number(data, key)
    return None if value is None else int(value)


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _began(data: Mapping[str, Any]) -> AnswerStarted:
    window_s, heartbeat_s = _number(data, "resume_window_s"), _number(data, "heartbeat_s")
    ids = _text(data, "message_id"), _text(data, "parent")
    return AnswerStarted(_text(data, "stream_id"), _text(data, "model"), window_s, heartbeat_s, *ids)


def _tool_call(data: Mapping[str, Any]) -> ToolCall:
    runs_here, needs_approval = data.get("runs") == "server", data.get("approval") == "needed"
    called = _text(data, "call_id"), _text(data, "name"), _object(data, "arguments")
    return ToolCall(*called, runs_here=runs_here, needs_approval=needs_approval)


def _tool_result(data: Mapping[str, Any]) -> ToolResult:
    ok, duration_ms = data.get("ok") is True, _number(data, "duration_ms") or 0.0
    return ToolResult(_text(data, "call_id"), _text(data, "name"), ok, _text(data, "content"), duration_ms)


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], AnswerEvent]]] = {
    "start": _began,
    "status": lambda data: StatusReported(
        _text(data, "phase"),
        _count(data, "position"),
        _count(data, "attempt"),
        _text(data, "server"),
        _text(data, "name"),
    ),
    "thinking": lambda data: Thinking(_text(data, "content")),
    "token": lambda data: Token(_text(data, "content")),
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "done": lambda data: AnswerFinished(_text(data, "finish_reason"), data),
    "error": failure,
}
