"""What every client's language can say: the contract of both servers with a dialect. Pure.

parse(body, headers)  a dialect's functions, before there is a stream: the request, or ``BadBody``
a Dialect             one object for one reader of one stream: its frames, from start to end
a WholeDialect        the same answer at once, of the events that a :class:`Gathering` kept
refusal(refused, id)  a dialect's function, where there is no stream: status, headers, body
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import ClassVar, Protocol

from services.wire.events import ApiError, Finished, Started, Status, Terminal
from services.wire.native import Numbered, TextKind

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""
Refusal = Callable[[ApiError, str], Answer]
"""Writes a failure before the stream; told the request's id, too."""


class DialectName(StrEnum):
    """Which language an answer was given in, for metrics and log lines."""

    NATIVE = "native"
    OLLAMA = "ollama"
    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    AI_SDK = "ai_sdk"


class Dialect(Protocol):
    """Events to frames, for one reader of one stream.

    Attributes:
        headers: of the response: the media type, and what keeps whoever stands between from buffering it.
        heartbeat_s: the most seconds between keep-alives, whatever a server's setting; None where it has none.
        headers_wait: whether the response commits with the first frame, so that a failure before it is a status; else
            the headers leave as soon as the stream says so.
        can_resume: whether its client comes back after a number, so that a connection may break off without an end.
    """

    headers: ClassVar[Mapping[str, str]]
    heartbeat_s: ClassVar[float | None]
    headers_wait: ClassVar[bool]
    can_resume: ClassVar[bool]

    def open(self, started: Started) -> bytes:
        """Return the frame that a stream begins with."""
        ...

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the frames of numbered events, back to back: start and end, too, as open and close write them."""
        ...

    def text(self, kind: TextKind, number: int, content: str) -> bytes:
        """Return what :meth:`frames` makes of one part of text, without an event object: on the token path."""
        ...

    def status(self, status: Status) -> bytes:
        """Return a frame that tells what the stream waits for."""
        ...

    def close(self, end: Terminal, number: int | None = None) -> bytes:
        """Return the frame that a stream ends with; without a number for an end that is in no log."""
        ...

    def heartbeat(self) -> bytes:
        """Return the next keep-alive, which stands between frames; empty where the language has none."""
        ...


def heartbeat_period_s(dialect: Dialect, wished_s: float) -> float:
    """Return the seconds of silence after which ``dialect`` has a heartbeat; infinity where it has none."""
    return math.inf if dialect.heartbeat_s is None else min(dialect.heartbeat_s, wished_s)


class WholeDialect(Protocol):
    """A whole answer at once."""

    def whole(self, events: Sequence[Numbered], end: Finished) -> Answer:
        """Return the answer that did not fail, of its events as a :class:`Gathering` keeps them."""
        ...
