"""The decoder of the native form: frames back into events, for a gateway that answers in another dialect. Pure.

    bytes -> native.NativeReader -> whole frames -> events_of() -> numbered events -> a dialect's frames

The inverse of :class:`services.wire.native.NativeFrames`, which a test holds them to: one reader for each name of
``EVENT_NAMES``. Events and keys that are not known here are ignored, as every client may ignore them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, Final, TypeVar

from services.wire.events import (
    Approval,
    Code,
    Event,
    Failed,
    Finished,
    FinishReason,
    Phase,
    ServedBy,
    Signature,
    Stage,
    Started,
    Status,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
    TriedServer,
    Usage,
)
from services.wire.ids import BadPosition, number_of
from services.wire.native import HopBroken, parsed_frame

Data = Mapping[str, Any]
Decoded = tuple[int, Event]
"""An event and its number; 0 for one that is not in the log."""
NOT_IN_THE_LOG: Final = 0
_STATUS: Final = ("position", "attempt", "server", "name", "call_id")

_Value = TypeVar("_Value")


def events_of(frames: bytes) -> Iterator[Decoded]:
    """Return the events of whole frames, in order.

    Raises:
        HopBroken: by iterating; a frame is not as a proxy writes it. The events before it were yielded.
    """
    for frame in frames.split(b"\n\n")[:-1]:
        yield from decoded(*parsed_frame(frame))


def decoded(frame_id: str, name: str, data: Data) -> Iterator[Decoded]:
    """Return the event of one frame and its number; nothing where it is not known here.

    Raises:
        HopBroken: by iterating; the data is not what a proxy writes under that name.
    """
    try:
        event = READERS[name](data) if name in READERS else None
        if event is not None:
            yield number_of(frame_id) if frame_id else NOT_IN_THE_LOG, event
    except (KeyError, TypeError, ValueError, BadPosition) as exc:
        raise HopBroken(f"{name} data that cannot be read") from exc


def failed_of(error: Data) -> Failed:
    """Return the failure that an ``error`` object names.

    Raises:
        KeyError, ValueError: it names no code that is known here.
    """
    stage = error.get("stage")
    return Failed(
        Code(error["code"]),
        str(error.get("message", "")),
        stage=Stage(stage) if stage in set(Stage) else None,
        retryable=bool(error.get("retryable")),
        tried=tuple(TriedServer(str(one["server"]), str(one["code"])) for one in error.get("tried", ())),
    )


def _started(data: Data) -> Started:
    return Started(
        _a(str, data["stream_id"]), _a(str, data["model"]), data["resume_window_s"], _names(data.get("tools"))
    )


def _names(value: object) -> tuple[str, ...] | None:
    return None if value is None else tuple(_a(str, name) for name in _a(list, value))


def _status(data: Data) -> Status | None:
    """Return what the stream waits for; None for a phase that is not known here."""
    phase = data["phase"]
    if phase not in set(Phase):
        return None
    return Status(Phase(phase), **{name: data.get(name) for name in _STATUS})


def _signature(data: Data) -> Signature:
    return Signature(_a(str, data["provider"]), _a(dict, data["data"]))


def _tool_call(data: Data) -> ToolCall:
    extra = _signature(_a(dict, data["extra"])) if "extra" in data else None
    runs_here, needs_approval = data.get("runs") == "server", data.get("approval") == "needed"
    call_id, name, arguments = _a(str, data["call_id"]), _a(str, data["name"]), _a(dict, data["arguments"])
    return ToolCall(call_id, name, arguments, extra, runs_here, needs_approval)


def _tool_result(data: Data) -> ToolResult:
    ok, content = _a(bool, data["ok"]), _a(str, data["content"])
    approval = Approval(data["approval"]) if "approval" in data else None
    return ToolResult(_a(str, data["call_id"]), _a(str, data["name"]), ok, content, data["duration_ms"], approval)


def _finished(data: Data) -> Finished:
    return Finished(
        FinishReason(data["finish_reason"]),
        usage=_usage(data["usage"]) if data["usage"] is not None else None,
        chunks=_a(int, data["chunks"]),
        bytes=_a(int, data["bytes"]),
        timing=_timing(data["timing"]),
        served_by=_served_by(data["served_by"]) if data["served_by"] is not None else None,
        skipped_lines=_a(int, data.get("skipped_lines", 0)),
        last_word=_a(dict, data.get("model_server", {})),
        turns=data.get("turns"),
    )


def _timing(data: Data) -> Timing:
    return Timing(**{one.name: data[one.name] for one in fields(Timing) if one.name in data or one.default is MISSING})


def _usage(data: Data) -> Usage:
    return Usage(data["input_tokens"], data["output_tokens"], data.get("reasoning_tokens"))


def _served_by(data: Data) -> ServedBy:
    provider, model = _a(str, data["provider"]), _a(str, data["model"])
    dropped = tuple(_a(str, name) for name in data.get("dropped", ()))
    return ServedBy(provider, model, _a(int, data["attempts"]), data.get("server"), dropped)


def _failed(data: Data) -> Failed:
    failed, skipped_lines = failed_of(_a(dict, data["error"])), _a(int, data.get("skipped_lines", 0))
    return replace(failed, skipped_lines=skipped_lines)


READERS: Final[Mapping[str, Callable[[Data], Event | None]]] = {
    "start": _started,
    "status": _status,
    "thinking": lambda data: Thinking(_a(str, data["content"])),
    "token": lambda data: Token(_a(str, data["content"])),
    "signature": _signature,
    "tool_call": _tool_call,
    "tool_result": _tool_result,
    "done": _finished,
    "error": _failed,
}
"""From a frame's name to what reads its data. A test holds the names to those of the encoder, both ways."""


def _a(kind: type[_Value], value: object) -> _Value:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value
