"""Which of a conversation's messages a model is sent: the newest that fit, in whole exchanges. Pure.

    stored rows -> messages_of() -> messages -> newest_that_fit() -> History

An exchange begins with a user's message, so that no call is parted from its results and no answer from its question.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from gateway.store.rows import StoredMessage
from services.wire.events import Signature
from services.wire.request import MAX_IMAGES, MAX_MESSAGES, CalledTool, Message

MOST_ROWS: Final = MAX_MESSAGES - 2
"""A request has its system prompt and its new message, too."""
IMAGE_LEFT_OUT: Final = "[image left out]"
"""What stands for a message that was nothing but pictures, some providers refuse an empty one."""


@dataclass(frozen=True, slots=True)
class History:
    """The messages that go with a new one, and how many did not fit."""

    messages: tuple[Message, ...]
    left_out: int

    @property
    def told(self) -> dict[str, int]:
        """What `start` says of it."""
        return {"sent": len(self.messages), "left_out": self.left_out}


def messages_of(rows: Iterable[StoredMessage]) -> list[Message]:
    """Return what stored rows are to a model: without old thinking, without empty answers, calls with their results."""
    return _with_results([message for row in rows for message in _told(row) if _says_something(message)])


def newest_that_fit(messages: Sequence[Message], most_characters: int, *, images_taken: int = 0) -> History:
    """Return the newest exchanges of ``messages`` that have at most so many characters together.

    Args:
        most_characters: of content, calls and results.
        images_taken: those of the new message, which count among the most that a request may have.
    """
    first, room = len(messages), most_characters
    for begin in reversed(_exchanges(messages)):
        room -= sum(map(characters_of, messages[begin:first]))
        if room < 0 or len(messages) - begin > MOST_ROWS:
            break
        first = begin
    return History(_with_newest_images(messages[first:], MAX_IMAGES - images_taken), first)


def characters_of(message: Message) -> int:
    """Return how much of a model's context a message is: its content, and its calls as JSON."""
    calls = sum(len(call.name) + len(orjson.dumps(call.arguments).decode()) for call in message.tool_calls or ())
    return len(message.content or "") + calls


def _exchanges(messages: Sequence[Message]) -> list[int]:
    """Return where a history may begin: with all of it, or at a user's message."""
    return [at for at, message in enumerate(messages) if at == 0 or message.role == "user"]


def _told(row: StoredMessage) -> Iterable[Message]:
    if row.turns:
        return map(message_of, row.turns)
    message = message_of({"role": row.role, "content": row.content, "tool_calls": row.tool_calls})
    return [replace(message, images=row.images or None)]


def message_of(turn: Mapping[str, Any]) -> Message:
    """Return one message of an answer, as a snapshot tells it (PROTOCOL.md, "Bodies"), without its thinking."""
    calls = tuple(_call_of(call) for call in turn.get("tool_calls") or ())
    return Message(
        turn["role"],
        turn.get("content"),
        tool_calls=calls or None,
        tool_name=turn.get("tool_name"),
        tool_call_id=turn.get("tool_call_id"),
        extra=tuple(Signature(one["provider"], one["data"]) for one in turn.get("extra") or ()) or None,
    )


def _call_of(call: Mapping[str, Any]) -> CalledTool:
    """Read a call as a message has it (``function``), or as its event has it."""
    function = call.get("function", call)
    seal = call.get("extra")
    return CalledTool(
        function["name"],
        function.get("arguments"),
        call.get("id", call.get("call_id")),
        extra=None if seal is None else Signature(seal["provider"], seal["data"]),
    )


def _says_something(message: Message) -> bool:
    return message.role == "tool" or bool(message.content or message.images or message.tool_calls)


def _with_results(messages: Sequence[Message]) -> list[Message]:
    """Leave out calls that nobody answered, and results that nobody asked for: model servers refuse either."""
    kept: list[Message] = []
    at = 0
    while at < len(messages):
        message, at = messages[at], at + 1
        if message.role == "tool":
            continue
        if not message.tool_calls:
            kept.append(message)
            continue
        results = []
        while at < len(messages) and messages[at].role == "tool":
            results.append(messages[at])
            at += 1
        if len(results) == len(message.tool_calls):
            kept += [message, *results]
        elif message.content:
            kept.append(replace(message, tool_calls=None, extra=None))
    return kept


def _with_newest_images(messages: Sequence[Message], most: int) -> tuple[Message, ...]:
    kept: list[Message] = []
    for message in reversed(messages):
        fitting = (message.images or ())[: max(0, most)]
        most -= len(fitting)
        content = message.content if fitting or not message.images else message.content or IMAGE_LEFT_OUT
        kept.append(replace(message, images=fitting or None, content=content))
    return tuple(reversed(kept))
