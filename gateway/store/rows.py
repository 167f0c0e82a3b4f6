"""What goes into the tables and comes out of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

Json = Mapping[str, Any]

MOST_WATCHED: Final = 500
"""Conversations of one owner whose changes are told, the newest: what a list shows on ten pages."""
ANONYMOUS: Final = "anonymous"
"""The owner of what is kept where there are no keys."""


class Status(StrEnum):
    """How far an answer has come; a question is always sent."""

    STREAMING = "streaming"
    SENT = "sent"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as a history reads it.

    Attributes:
        turns: what an answer adds to a history where that is more than one message.
        tool_calls: the client's own, which it has to answer.
        asked_as: of an answer that streams: see :class:`NewTurn`.
    """

    id: str
    parent: str | None
    role: str
    content: str
    images: tuple[str, ...] = ()
    status: Status = Status.SENT
    turns: tuple[Json, ...] = ()
    tool_calls: tuple[Json, ...] = ()
    asked_as: str | None = None


@dataclass(frozen=True, slots=True)
class StoredPath:
    """The newest messages of one path through a conversation, oldest first."""

    system: str | None
    messages: tuple[StoredMessage, ...]


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A question and the answer that begins.

    Attributes:
        user: the question's row; None where an older one is asked again.
        leave: "cancel" or "continue", as the stream was begun.
        model, system: as the request said them; None leaves the conversation's.
        keeper: the gateway that holds the lease of the answer's row.
        asked_as: names a repeated request, which joins instead of being refused.
        asked_at: seconds of the epoch; the rows may be written late.
    """

    owner: str
    conversation_id: str
    user: StoredMessage | None
    answer_id: str
    answer_parent: str
    stream_id: str
    leave: str
    model: str | None
    system: str | None
    keeper: str
    asked_as: str | None
    asked_at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer's row says now: partial while its status is ``streaming``, else final.

    Attributes:
        tools: calls and what came of them, as they are shown.
        turns: what it adds to a history, where that is more than one message.
        code: the finish reason or the error code, verbatim.
    """

    id: str
    status: Status
    content: str = ""
    thinking: str = ""
    tool_calls: tuple[Json, ...] = ()
    tools: tuple[Json, ...] = ()
    turns: tuple[Json, ...] = ()
    code: str | None = None
    usage: Json | None = None
    timing: Json | None = None
    served_by: Json | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing comes behind it."""
        return self.status is not Status.STREAMING


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """Which row an answer has that streams, and the row that it answers."""

    id: str
    parent: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """An answer whose keeper let its lease run out, taken over."""

    message_id: str
    owner: str
    stream_id: str
    leave: str
    content: str
    thinking: str


def size_of(*parts: object) -> int:
    """Return how many bytes these parts of a message are: texts, and whatever else there is as JSON."""
    return sum(len(part.encode() if isinstance(part, str) else orjson.dumps(part)) for part in parts if part)


def without_nul(text: str) -> str:
    """Return ``text`` with U+FFFD for each NUL."""
    return text.replace("\0", "\ufffd")
