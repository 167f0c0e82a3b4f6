"""What one line of Ollama's answers says. Pure.

A field of another type makes the line malformed; a tool call that cannot be read is left out alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.providers.fields import Malformed, arguments_of, typed
from services.wire.events import ToolCall

FIELDS: Final = ("done", "message", "response", "thinking", "tool_calls")
"""What a line of Ollama says beside an error; one that has none of it is of another language."""


@dataclass(frozen=True, slots=True)
class Said:
    """The parts of a line, in the order in which they are told.

    Attributes:
        calls: each with its weight: its bytes as JSON.
        left_out: whether a tool call could not be read.
        done: whether it is the last line.
    """

    thinking: str
    text: str
    calls: list[tuple[ToolCall, int]]
    left_out: bool
    done: bool


def said_in(line: Mapping[str, Any], *, generate: bool) -> Said:
    """Return what ``line`` says, in the shape of /api/generate or of /api/chat.

    Raises:
        Malformed: a field has the wrong type; nothing of the line can be trusted.
    """
    message = line if generate else typed(line, "message", dict)
    thinking = typed(message, "thinking", str)
    text = typed(message, "response" if generate else "content", str)
    calls, left_out = _tool_calls(message.get("tool_calls"))
    return Said(thinking, text, calls, left_out, typed(line, "done", bool))


def _tool_calls(given: object) -> tuple[list[tuple[ToolCall, int]], bool]:
    """Return the calls that can be read, and whether there were others."""
    if not given:
        return [], False
    if not isinstance(given, list):
        return [], True
    calls = []
    for call in given:
        try:
            calls.append(_tool_call(call))
        except Malformed:
            continue
    return calls, len(calls) < len(given)


def _tool_call(call: object) -> tuple[ToolCall, int]:
    if not isinstance(call, dict):
        raise Malformed
    function = typed(call, "function", dict)
    name, call_id = typed(function, "name", str), typed(call, "id", str)
    arguments = arguments_of(function.get("arguments"))
    if not name:
        raise Malformed
    return ToolCall(call_id, name, arguments), len(orjson.dumps((call_id, name, arguments)))
