"""The native whole answer: one object, for who asks for no stream. (Its frames: services.wire.native.) Pure."""

from collections.abc import Sequence
from typing import Any

import orjson

from services.dialects.dialect import Answer
from services.dialects.gathering import calls_of, text_of
from services.wire.body_writer import message_json
from services.wire.event_data import skipped, timing_data, usage_object
from services.wire.events import Finished, Signature, Started, Thinking, Token, ToolCall
from services.wire.native import JSON_HEADERS, Numbered
from services.wire.said_messages import messages_of


class NativeObject:
    """The answer of ``POST /api/chat``; its message can be sent back as it is."""

    def whole(self, events: Sequence[Numbered], end: Finished) -> Answer:
        """Return the answer; one that was stopped comes with what there is."""
        message: dict[str, Any] = {"role": "assistant", "content": text_of(events, Token)}
        if thinking := text_of(events, Thinking):
            message["thinking"] = thinking
        if calls := calls_of(events):
            message["tool_calls"] = [_called(call) for call in calls]
        if signatures := [event for _, event in events if isinstance(event, Signature)]:
            message["extra"] = signatures
        started = next((event for _, event in events if isinstance(event, Started)), None)
        body: dict[str, Any] = {
            "message": message,
            "model": "" if started is None else started.model,
            "usage": usage_object(end.usage),
            "timing": timing_data(end.timing),
            "finish_reason": end.reason,
            **skipped(end.skipped_lines),
        }
        if started is not None and started.tools is not None:
            said = messages_of(event for _, event in events)
            body |= {"tools": started.tools, "messages": [message_json(one) for one in said], "turns": end.turns}
        return 200, JSON_HEADERS, orjson.dumps(body)


def _called(call: ToolCall) -> dict[str, Any]:
    called = {"id": call.call_id, "function": {"name": call.name, "arguments": call.arguments}}
    return called if call.extra is None else {**called, "extra": call.extra}
