"""What the events of an answer say to its reader (PROTOCOL.md, "Events"). Pure.

A reader takes what it knows and passes over the rest: unknown events and keys, and values of another type than was
promised, are as good as absent.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Began:
    """The answer exists and has an id by which it is taken up again, or stopped."""

    stream_id: str
    model: str
    resume_window_s: float | None
    heartbeat_s: float | None


@dataclass(frozen=True, slots=True)
class Waits:
    """The first word is awaited: for a place in line, a load, the prompt's reading."""

    phase: str
    position: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """The model asks for a tool."""

    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Returned:
    """A tool that ran answered."""

    name: str
    ok: bool
    content: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is over; ``numbers`` is the whole `done` event."""

    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer is over and is not whole, or was refused; what was shown stays."""

    code: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None
    request_id: str = ""


Fact = Began | Waits | Thought | Said | Called | Returned | Ended | Failed
End = Ended | Failed
_CODE_OF_STATUS: Final = {401: "unauthorized", 403: "forbidden", 407: "unauthorized", 429: "rate_limited"}


def fact_of(data: Mapping[str, Any]) -> Fact | None:
    """Return what an event's data says; None for what this reader does not know."""
    kind = data.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    return read(data) if read else None


def failure(data: Mapping[str, Any]) -> Failed:
    """Return what an error object says; its code is "" where there is none."""
    error = data.get("error")
    error = error if isinstance(error, dict) else {}
    retryable = error.get("retryable") is True
    return Failed(_text(error, "code"), _text(error, "message"), retryable, request_id=_text(error, "request_id"))


def refusal(status: int, body: bytes, retry_after: str) -> Failed:
    """Return what a status other than 200 says, in our shape or, by what stands before the gateway, in none.

    Args:
        retry_after: the header; seconds, where it is a number.
    """
    failed = failure(object_of(body))
    wait_s = float(retry_after) if re.fullmatch(r"[0-9]{1,5}", retry_after) else None
    if not failed.code:
        words = f"The server answered {status}. Is the address right?"
        failed = Failed(_CODE_OF_STATUS.get(status, ""), words)
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


def _began(data: Mapping[str, Any]) -> Began:
    window_s, heartbeat_s = _number(data, "resume_window_s"), _number(data, "heartbeat_s")
    return Began(_text(data, "stream_id"), _text(data, "model"), window_s, heartbeat_s)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Fact]]] = {
    "start": _began,
    "status": lambda data: Waits(_text(data, "phase"), _count(data, "position"), _count(data, "attempt")),
    "thinking": lambda data: Thought(_text(data, "content")),
    "token": lambda data: Said(_text(data, "content")),
    "tool_call": lambda data: Called(_text(data, "name"), data.get("arguments")),
    "tool_result": lambda data: Returned(_text(data, "name"), data.get("ok") is True, _text(data, "content")),
    "done": lambda data: Ended(_text(data, "finish_reason"), data),
    "error": failure,
}
