"""The events of a whole answer, kept until its end: what is answered by one object. Pure."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, assert_never

import orjson

from services.wire.events import (
    ApiError,
    Code,
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
from services.wire.native import LOST_HOP, Numbered, TextKind

GATHERED_BYTES: Final = 8 << 20
"""Most text and arguments of an answer in one object; a longer one has to be read as a stream."""
TOO_LONG: Final = Failed(Code.UPSTREAM_ERROR, "The answer is too long for one object. Ask for it as a stream.")


class Gathering:
    """A dialect that says nothing, and keeps what happens, up to a bound: neighbouring parts of text as one event."""

    headers: ClassVar[Mapping[str, str]] = {}
    heartbeat_s: ClassVar[float | None] = None
    headers_wait: ClassVar[bool] = True
    can_resume: ClassVar[bool] = False

    def __init__(self) -> None:
        self._whole: list[Numbered] = []
        self._kind: type[Token | Thinking] = Token
        self._parts: list[str] = []  # of the text that is going on
        self._number = 0
        self.end: Terminal | None = None
        self.bytes = 0

    @property
    def events(self) -> Sequence[Numbered]:
        """What was said, without its end."""
        self._end_text()
        return self._whole

    @property
    def is_too_long(self) -> bool:
        """Whether more came than is kept: who writes it ends it then."""
        return self.bytes > GATHERED_BYTES

    def finished(self) -> Finished:
        """Return the end of an answer that is whole.

        Raises:
            ApiError: the stream failed, as if before its start; its end never came; or it is too long for one object.
        """
        if self.is_too_long:
            raise ApiError(TOO_LONG)
        if self.end is None:
            raise ApiError(LOST_HOP)
        if isinstance(self.end, Failed):
            raise ApiError(self.end)
        return self.end

    def open(self, _started: Started) -> bytes:
        """Return nothing."""
        return b""

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Keep ``events``; nothing is written before the end."""
        if not self.is_too_long:
            for number, event in events:
                self._keep(number, event)
        return b""

    def text(self, kind: TextKind, number: int, content: str) -> bytes:
        """Keep a part of text."""
        return self.frames([(number, kind(content))])

    def status(self, _status: Status) -> bytes:
        """Return nothing."""
        return b""

    def close(self, end: Terminal, _number: int | None = None) -> bytes:
        """Keep the end."""
        self.end = end
        return b""

    def heartbeat(self) -> bytes:
        """Return nothing."""
        return b""

    def _keep(self, number: int, event: Logged) -> None:
        match event:
            case Token(text) | Thinking(text):
                if type(event) is not self._kind:
                    self._end_text()
                    self._kind = type(event)
                self._parts.append(text)
                self._number = number
                self.bytes += len(text.encode())
            case ToolCall():
                self._end_text()
                self._whole.append((number, event))
                self.bytes += len(orjson.dumps(event.arguments))
            case Started() | Signature() | ToolResult():
                self._end_text()
                self._whole.append((number, event))
                if isinstance(event, ToolResult):
                    self.bytes += len(event.content.encode())
            case Finished() | Failed():
                self.close(event)
            case _:
                assert_never(event)

    def _end_text(self) -> None:
        if self._parts:
            self._whole.append((self._number, self._kind("".join(self._parts))))
            self._parts.clear()


def text_of(events: Sequence[Numbered], kind: type[Token | Thinking]) -> str:
    """Return all text of one kind."""
    return "".join(event.content for _, event in events if isinstance(event, kind))


def calls_of(events: Sequence[Numbered]) -> list[ToolCall]:
    """Return the tool calls that the client is to run."""
    return [event for _, event in events if isinstance(event, ToolCall) and not event.runs_here]
