"""What one line of Ollama's answers says. Pure.

A field is told by its value, never by its presence: what is null, false or empty is absent. A field of another type
makes the line malformed; a tool call that cannot be read is left out alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from services.wire import json_text
from services.wire.events import ToolCall

FIELDS: Final = ("done", "message", "response", "thinking", "tool_calls")
"""What a line of Ollama says beside an error; one that has none of it is of another language."""
ARGUMENTS_DEPTH: Final = 128
"""Deepest arguments of a tool call: what was streamed fits a request's depth (bodies.py) as history."""

_Kind = TypeVar("_Kind")


class Malformed(Exception):
    """A field that we read has the wrong type."""


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
    message = line if generate else _typed(line, "message", dict)
    thinking = _typed(message, "thinking", str)
    text = _typed(message, "response" if generate else "content", str)
    calls, left_out = _tool_calls(message.get("tool_calls"))
    return Said(thinking, text, calls, left_out, _typed(line, "done", bool))


def _typed(fields: Mapping[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    value = fields.get(name)
    if not value:
        return kind()
    if not isinstance(value, kind):
        raise Malformed
    return value


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
    function = _typed(call, "function", dict)
    name, call_id = _typed(function, "name", str), _typed(call, "id", str)
    arguments = _arguments(function.get("arguments"))
    if not name:
        raise Malformed
    return ToolCall(call_id, name, arguments), len(orjson.dumps((call_id, name, arguments)))


def _arguments(given: object) -> dict[str, Any]:
    """Return the arguments of a call, which servers of OpenAI's school send as JSON text.

    Raises:
        Malformed: they are no object, or nested deeper than ARGUMENTS_DEPTH.
    """
    if isinstance(given, str) and given.strip():
        try:
            given = json_text.loads(given)
        except orjson.JSONDecodeError:
            raise Malformed from None
    elif isinstance(given, str):
        given = None
    if not given:
        return {}
    if not isinstance(given, dict) or json_text.is_deeper_than(ARGUMENTS_DEPTH, given):
        raise Malformed
    return given
