"""A tool that must be called, where a model server knows no such order: the answer's text is its arguments. Pure.

The model is asked for an object of the tool's parameters and offered no tools; what it writes becomes the one call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Final

import orjson

from services.dialects.dialect import Dialect
from services.dialects.foreign import HEARTBEAT_S, shown_id
from services.dialects.gathering import GATHERED_BYTES, TOO_LONG
from services.wire import sse
from services.wire.events import (
    ARGUMENTS_DEPTH,
    Code,
    Failed,
    Finished,
    FinishReason,
    Logged,
    Started,
    Status,
    Terminal,
    Token,
    ToolCall,
)
from services.wire.json_text import is_deeper_than, loads
from services.wire.native import Numbered, TextKind
from services.wire.request import BadBody, Tool

_NO_ARGUMENTS: Final = Failed(
    Code.UPSTREAM_ERROR, "The model wrote no arguments for the tool that can be read. Ask again."
)
ANY_TOOL: Final = ""
"""Whichever it is: where one is offered, it is that one."""


def forced(tools: Sequence[Tool], name: str, where: str) -> Tool:
    """Return the one tool that must be called.

    Args:
        name: which one; :data:`ANY_TOOL` where that is the model's to choose.
        where: the field that says so.

    Raises:
        BadBody: it is not offered, or the model would have to choose among several.
    """
    named = [tool for tool in tools if name in {ANY_TOOL, tool.name}]
    if not named:
        raise BadBody(f"{where} must name one of the tools")
    if len(named) > 1:
        raise BadBody(
            f"{where} cannot force a call among several tools: name one, or leave it to the model", param=where
        )
    return named[0]


class ForcedTool:
    """A dialect around another one, in which the text of the answer is the call of a tool."""

    headers: ClassVar[Mapping[str, str]] = sse.HEADERS
    heartbeat_s: ClassVar[float | None] = HEARTBEAT_S
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = False

    def __init__(self, inner: Dialect, name: str) -> None:
        self._inner = inner
        self._name = name
        self._parts: list[str] = []
        self._bytes = 0
        self._call_id = ""

    def open(self, started: Started) -> bytes:
        """Return the inner dialect's first frame."""
        return self._begun(started)

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the inner dialect's frames of everything but text."""
        return b"".join([self._frame(number, event) for number, event in events])

    def text(self, kind: TextKind, number: int, content: str) -> bytes:
        """Keep text, up to a bound; thinking passes."""
        if kind is not Token:
            return self._inner.text(kind, number, content)
        self._bytes += len(content.encode())
        if self._bytes <= GATHERED_BYTES:
            self._parts.append(content)
        return b""

    def status(self, status: Status) -> bytes:
        """Return the inner dialect's."""
        return self._inner.status(status)

    def close(self, end: Terminal, number: int | None = None) -> bytes:
        """Return the call, if it is whole, and the inner dialect's end."""
        if isinstance(end, Failed):
            return self._inner.close(end, number)
        if self._bytes > GATHERED_BYTES:
            return self._inner.close(TOO_LONG, number)
        call = self._call()
        if call is not None and end.reason is FinishReason.STOP:
            frames = self._inner.frames([(number or 0, call)])
            return frames + self._inner.close(replace(end, reason=FinishReason.TOOL_CALLS), number)
        return self._inner.close(_NO_ARGUMENTS if end.reason is FinishReason.STOP else end, number)

    def heartbeat(self) -> bytes:
        """Return the inner dialect's."""
        return self._inner.heartbeat()

    def _frame(self, number: int, event: Logged) -> bytes:
        match event:
            case Started():
                return self._begun(event)
            case Token(text):
                return self.text(Token, number, text)
            case Finished() | Failed():
                return self.close(event, number)
            case _:
                return self._inner.frames([(number, event)])

    def _begun(self, started: Started) -> bytes:
        self._call_id = shown_id("call_", started.stream_id)
        return self._inner.frames([(1, started)])

    def _call(self) -> ToolCall | None:
        """Return the call; None for text that is no object, or that no client could send back as history."""
        try:
            arguments = loads("".join(self._parts))
        except orjson.JSONDecodeError:
            return None
        if not isinstance(arguments, dict) or is_deeper_than(ARGUMENTS_DEPTH, arguments):
            return None
        return ToolCall(self._call_id, self._name, arguments)
