"""What a stream looks like from outside: a row of a list, and a snapshot of its answer."""

import time
from typing import Any

from proxy.streams.stream import Stream
from services.wire.body_writer import message_json
from services.wire.event_data import call_data, done_data, error_object, result_data, skipped
from services.wire.events import Finished, Terminal
from services.wire.said_messages import messages_of


def row_of(stream: Stream) -> dict[str, Any]:
    """Return a stream as lists show it."""
    return {
        "id": stream.id,
        "model": stream.model,
        "status": stream.state,
        "events": stream.log.last,
        "chunks": stream.log.chunks,
        "bytes": stream.log.text_bytes,
        "followers": len(stream.followers),
        "age_s": round(time.monotonic() - stream.timeline.accepted, 1),
    }


def snapshot_of(stream: Stream) -> dict[str, Any]:
    """Return all that is held of a stream's answer, and from which character on where its head has left the log."""
    held = stream.log.snapshot()
    page: dict[str, Any] = {
        "stream_id": stream.id,
        "status": stream.state,
        "model": stream.model,
        "text": held.text,
        "thinking": held.thinking,
        "tool_calls": [call_data(call) for call in held.tool_calls],
        "chunks": stream.log.chunks,
        "bytes": stream.log.text_bytes,
        "last": stream.log.last,
        **skipped(stream.log.skipped_lines),
    }
    if stream.tools is not None:
        said = messages_of(stream.log.held(0))
        page["tool_results"] = [result_data(result) for result in held.tool_results]
        page["messages"] = [message_json(one) for one in said]
    if held.text_from:
        page["text_from"] = held.text_from
    if held.thinking_from:
        page["thinking_from"] = held.thinking_from
    if stream.log.end is not None:
        page["end"] = _end_of(stream.log.end, stream.caller.request_id)
    return page


def _end_of(end: Terminal, request_id: str) -> dict[str, Any]:
    """Return how it ended, as its last frame says it: who keeps the answer needs no frame."""
    if not isinstance(end, Finished):
        return error_object(end, request_id)
    told = ("finish_reason", "usage", "timing", "served_by")
    done = done_data(end)
    return {name: done[name] for name in told}
