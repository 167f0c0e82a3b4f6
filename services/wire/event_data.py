"""What an event says, as the JSON object of its frame: for every dialect that shows our own words."""

from dataclasses import asdict
from typing import Any

from services.wire.events import (
    Failed,
    Finished,
    ServedBy,
    Started,
    Status,
    Timing,
    ToolCall,
    ToolResult,
    Usage,
)


def start_data(started: Started, *, request_id: str, heartbeat_s: float, **more: Any) -> dict[str, Any]:
    """Return the data of a `start` frame; each hop writes its own request id and heartbeat into it."""
    return {
        "type": "start",
        "stream_id": started.stream_id,
        "request_id": request_id,
        "model": started.model,
        "resume_window_s": plain(started.resume_window_s),
        "heartbeat_s": plain(heartbeat_s),
        **offered(started),
        **more,
    }


def plain(seconds: float) -> int | float:  # both: compiled code returns no int where a float is declared
    """Return whole seconds as an integer: 5, not 5.0, is what the protocol's readers expect to see."""
    if seconds == int(seconds):
        return int(seconds)
    return seconds


def status_data(status: Status) -> dict[str, Any]:
    """Return the data of a `status` frame."""
    data: dict[str, Any] = {"type": "status", "phase": status.phase}
    if status.position is not None:
        data["position"] = status.position
    if status.attempt is not None:
        data["attempt"] = status.attempt
    if status.server is not None:
        data["server"] = status.server
    if status.call_id is not None:
        data |= {"name": status.name, "call_id": status.call_id}
    return data


def offered(started: Started) -> dict[str, Any]:
    """Return which of the server's tools the model is offered, as `start` says it where some were asked for."""
    return {} if started.tools is None else {"tools": started.tools}


def call_data(call: ToolCall) -> dict[str, Any]:
    """Return a call, and whether it runs here."""
    data: dict[str, Any] = {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    if call.runs_here:
        data["runs"] = "server"
    if call.needs_approval:
        data["approval"] = "needed"
    return data


def result_data(result: ToolResult) -> dict[str, Any]:
    """Return a call's result."""
    data = asdict(result)
    if result.approval is None:
        del data["approval"]
    return data


def timing_data(timing: Timing) -> dict[str, float | None]:
    """Return where the time went; without that of tools, where none were asked for."""
    data = asdict(timing)
    if timing.tools_ms is None:
        del data["tools_ms"]
    return data


def usage_object(usage: Usage | None) -> dict[str, int | None] | None:
    """Return ``usage`` as `done` has it: without what few model servers count, where it was not counted."""
    if usage is None:
        return None
    counts: dict[str, int | None] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return counts if usage.reasoning_tokens is None else {**counts, "reasoning_tokens": usage.reasoning_tokens}


def done_data(done: Finished) -> dict[str, Any]:
    """Return the data of a `done` frame, its parts as orjson writes them; ``last_word`` is for the hop alone."""
    return {
        "type": "done",
        "finish_reason": done.reason,
        "usage": usage_object(done.usage),
        "chunks": done.chunks,
        "bytes": done.bytes,
        "timing": timing_data(done.timing),
        "served_by": done.served_by and served_by_data(done.served_by),
        **({} if done.turns is None else {"turns": done.turns}),
        **skipped(done.skipped_lines),
    }


def served_by_data(served_by: ServedBy) -> dict[str, Any]:
    """Return who answered, as `done` says it: a server has a name only where there may be several."""
    data: dict[str, Any] = {"provider": served_by.provider}
    if served_by.server is not None:
        data["server"] = served_by.server
    data |= {"model": served_by.model, "attempts": served_by.attempts}
    if served_by.dropped:
        data["dropped"] = served_by.dropped
    return data


def error_object(failed: Failed, request_id: str) -> dict[str, Any]:
    """Return the ``error`` object of both the JSON body and the ``error`` event (PROTOCOL.md, "Errors")."""
    error: dict[str, Any] = {
        "code": failed.code,
        "message": failed.message,
        "retryable": failed.may_retry,
        "request_id": request_id,
    }
    if failed.stage is not None:
        error["stage"] = failed.stage
    if failed.tried:
        error["tried"] = failed.tried
    return {"error": error}


def skipped(lines: int) -> dict[str, int]:
    """Return the field by which every shape of an answer says that lines were left out of it; none for none."""
    return {"skipped_lines": lines} if lines else {}
