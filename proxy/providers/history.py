"""A conversation as the clouds take it: each is strict where Ollama is not, and each in the same ways. Pure.

    request -> turns_of() -> turns -> a provider's messages

Calls and their results name one another; roles that a provider lacks speak as the user; who says nothing is left out;
neighbours of one role are one turn. What was made elsewhere, by Ollama or by hand, is mended: a result without a name
answers the oldest call that is open, a call that nobody answered is dropped, and no name stands for two calls.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final

from services.wire.request import CalledTool, ChatRequest, Message, ModelRequest

ROLES: Final = ("system", "user", "assistant", "tool")
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""What all of them take for the name of a call."""
_BETWEEN: Final = "\n\n"
"""What stands between the texts of turns that became one."""
_GO_ON: Final = "Continue."
"""What the user says before an assistant that speaks first."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the assistant called: under a name that no other call of the conversation has."""

    call_id: str
    called: CalledTool


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says at once.

    Attributes:
        role: one of ROLES.
        message: whose thoughts and signatures the turn has; the first, where it was more than one.
        calls: of an assistant.
        answers: of a tool: the call whose result it is.
    """

    role: str
    message: Message
    text: str = ""
    images: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    answers: Call | None = None

    @property
    def says_something(self) -> bool:
        """Whether it has anything in it: text of blanks is refused by some."""
        return bool(self.text.strip() or self.images or self.calls or self.role == "tool")


def is_conversation(request: ModelRequest) -> bool:
    """Whether it can be asked as one: what fills a gap, or goes past the model's template, is Ollama's alone."""
    return isinstance(request, ChatRequest) or not (request.raw or request.suffix)


def turns_of(request: ModelRequest) -> list[Turn]:
    """Return the conversation of ``request``; a text to continue is one question."""
    messages = request.messages if isinstance(request, ChatRequest) else _as_chat(request.system, request)
    turns = [turn for turn in _answered(_paired(messages)) if turn.says_something]
    joined: list[Turn] = []
    for turn in turns:
        if joined and turn.role != "tool" and turn.role == joined[-1].role:
            joined[-1] = _joined(joined[-1], turn)
        else:
            joined.append(turn)
    return joined


def alternating(turns: Iterable[Turn]) -> Iterator[tuple[bool, list[Turn]]]:
    """Yield whether the assistant speaks, and all that it, or the user, says until the other does; the user begins.

    Results of tools are the user's; the system's words have a place of their own, where this is asked for.
    """
    spoken = [turn for turn in turns if turn.role != "system"]
    if spoken and spoken[0].role == "assistant":
        spoken.insert(0, Turn("user", Message("user", _GO_ON), _GO_ON))
    for is_assistant, said in groupby(spoken, lambda turn: turn.role == "assistant"):
        yield is_assistant, list(said)


def _as_chat(system: str | None, request: ModelRequest) -> tuple[Message, ...]:
    assert not isinstance(request, ChatRequest)
    asked = Message("user", request.prompt, images=request.images)
    return (Message("system", system), asked) if system else (asked,)


@dataclass(slots=True)
class _Open:
    """The calls that have no result yet, and every name that was given."""

    calls: list[Call] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def call(self, called: CalledTool) -> Call:
        """Open a call under its own name, if it is one and free, else under one of ours."""
        name = called.call_id or ""
        number = len(self.names)
        while not _CALL_ID.fullmatch(name) or name in self.names:
            number += 1
            name = f"call_{number}"
        self.names.add(name)
        self.calls.append(Call(name, called))
        return self.calls[-1]

    def answered_by(self, result: Message) -> Call | None:
        """Close and return the call that ``result`` is of: by its name, else by its tool's, else the oldest."""
        by_id = [one for one in self.calls if result.tool_call_id and one.called.call_id == result.tool_call_id]
        by_tool = [one for one in self.calls if result.tool_name and one.called.name == result.tool_name]
        says_whose = bool(result.tool_call_id or result.tool_name)
        found = next(iter(by_id or by_tool or ([] if says_whose else self.calls)), None)
        if found is not None:
            self.calls.remove(found)
        return found


def _paired(messages: Sequence[Message]) -> Iterator[Turn]:
    """Give every call its name, and every result its call; a result of none is told by the user."""
    open_calls = _Open()
    for message in messages:
        role = message.role if message.role in ROLES else "user"
        text, images = message.content or "", message.images or ()
        answers = open_calls.answered_by(message) if role == "tool" else None
        if role == "tool" and answers is None:
            role = "user"
        calls = message.tool_calls or () if role == "assistant" else ()
        yield Turn(role, message, text, images, tuple([open_calls.call(one) for one in calls]), answers)


def _answered(turns: Iterator[Turn]) -> list[Turn]:
    """Leave out the calls that nobody answered: all providers refuse them."""
    given = list(turns)
    answered = {turn.answers.call_id for turn in given if turn.answers is not None}
    return [
        replace(turn, calls=tuple(call for call in turn.calls if call.call_id in answered)) if turn.calls else turn
        for turn in given
    ]


def _joined(first: Turn, second: Turn) -> Turn:
    return replace(
        first,
        text=_BETWEEN.join(filter(None, (first.text, second.text))),
        images=first.images + second.images,
        calls=first.calls + second.calls,
    )
