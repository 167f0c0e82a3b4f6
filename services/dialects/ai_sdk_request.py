"""What a page of the AI SDK asks: its chat as ``useChat`` sends it, read, never forwarded. Pure.

    asked(raw)  the messages so far, in parts, and beside them what the page's `body` adds: fields of our own JSON

A part of a kind that is not known here is the page's own business (its data, sources, marks), and left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Discriminator, Field, Tag

from services.dialects import seals
from services.dialects.ai_sdk import PROVIDER
from services.dialects.foreign import Wanted, read_foreign
from services.dialects.history import joined, picture
from services.wire import bodies
from services.wire.events import Signature
from services.wire.hop import Chat
from services.wire.request import BadBody, CalledTool, Message, refuse_many_images
from services.wire.validation import Items, Part, validated

_MAX_MESSAGE_ID: Final = 256


_Name = Annotated[str, Field(min_length=1)]


class _Text(Part):
    text: str


class _Reasoning(Part):
    text: str
    providerMetadata: Any = None  # noqa: N815 the client's own name, as those below


def _seal_in(metadata: object) -> Signature | None:
    return seals.of_data(metadata.get(PROVIDER)) if isinstance(metadata, dict) else None


class _File(Part):
    url: str


class _Tool(Part):
    """A call, with its result once there is one."""

    type: str
    toolName: _Name | None = None  # noqa: N815 the client's own name, as those below
    toolCallId: _Name  # noqa: N815
    state: str = ""
    input: Any = None
    output: Any = None
    errorText: str = ""  # noqa: N815
    callProviderMetadata: Any = None  # noqa: N815

    @property
    def called(self) -> CalledTool:
        """The call."""
        if self.input is not None and not isinstance(self.input, dict):
            raise BadBody("input of a tool part must be an object")
        return CalledTool(self.name, self.input or {}, self.toolCallId, extra=_seal_in(self.callProviderMetadata))

    @property
    def name(self) -> str:
        """Which tool: a page that knows its tools has the name in the part's type."""
        return self.toolName or self.type.removeprefix("tool-")

    @property
    def result(self) -> Message | None:
        """What came of the call; None while nothing has."""
        if self.state == "output-available":
            text = self.output if isinstance(self.output, str) else orjson.dumps(self.output).decode()
        elif self.state == "output-error":
            text = self.errorText
        else:
            return None
        return Message("tool", text, tool_name=self.name, tool_call_id=self.toolCallId)


class _Step(Part):
    """The next question to the model begins."""


class _Other(Part):
    """What is not for the model."""


_KINDS: Final = {"text": "text", "reasoning": "reasoning", "file": "file", "dynamic-tool": "tool", "step-start": "step"}


def _kind(part: object) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        return None
    return "tool" if kind.startswith("tool-") else _KINDS.get(kind, "other")


_Said = Annotated[_Text, Tag("text")] | Annotated[_Reasoning, Tag("reasoning")] | Annotated[_File, Tag("file")]
_Done = Annotated[_Tool, Tag("tool")] | Annotated[_Step, Tag("step")] | Annotated[_Other, Tag("other")]
_Part = Annotated[
    _Said | _Done,
    Discriminator(_kind, custom_error_type="part", custom_error_message="must be an object with a type"),
]


class _Message(Part):
    id: Annotated[str, Field(max_length=_MAX_MESSAGE_ID)] = ""
    role: Literal["system", "user", "assistant"]
    parts: Items[_Part]


class _Chat(Part):
    id: str = ""
    messages: Annotated[list[_Message], Field(max_length=bodies.MAX_HOP_MESSAGES, fail_fast=True)]
    system: str | None = None
    on_disconnect: Literal["cancel", "continue"] = "cancel"


def asked(raw: bytes) -> Wanted:
    """Read the body of ``POST /api/ui/chat``.

    Raises:
        BadBody: with the first fault found.
    """
    given = read_foreign(raw)
    chat = validated(_Chat, given, extra="ignore")
    rest = validated(bodies.HopChat, {**given, "messages": []}, extra="ignore")
    instructed = (Message("system", chat.system),) if chat.system else ()
    turns = [turn for message in chat.messages for turn in _TELL[message.role](message.parts)]
    request = replace(bodies.chat_request(rest), messages=(*instructed, *turns), think=rest.think or False)
    refuse_many_images(request.messages)
    last = chat.messages[-1]
    going_on = last.id if last.role == "assistant" else ""
    return Wanted(
        request=request,
        stream=True,
        on_disconnect=chat.on_disconnect,
        chat=_chat(chat.id, going_on),
        message_id=going_on,
    )


def _chat(name: str, message_id: str) -> Chat | None:
    """Return what the page may come back by; None where that can be guessed, or no header takes it."""
    try:
        return Chat(name, message_id)
    except ValueError:
        return None


def _of_system(parts: Sequence[object]) -> Iterator[Message]:
    yield Message("system", _text(parts))


def _of_user(parts: Sequence[object]) -> Iterator[Message]:
    images = [picture(part.url, "url of a file part") for part in parts if isinstance(part, _File)]
    yield Message("user", _text(parts), images=tuple(images) or None)


def _of_assistant(parts: Sequence[object]) -> Iterator[Message]:
    """Yield a turn, and the results of its calls, for each question that the model was asked."""
    asked = _Asked()
    for part in parts:
        if isinstance(part, _Step) or (asked.results and not isinstance(part, _Tool)):
            yield from asked.turns()
            asked = _Asked()
        asked.take(part)
    yield from asked.turns()


_TELL: Final = {"system": _of_system, "user": _of_user, "assistant": _of_assistant}


@dataclass(slots=True)
class _Asked:
    """What the model said to one question, and what its calls gave."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    seals: list[Signature] = field(default_factory=list)
    calls: list[CalledTool] = field(default_factory=list)
    results: list[Message] = field(default_factory=list)

    def take(self, part: object) -> None:
        if isinstance(part, _Text):
            self.text.append(part.text)
        elif isinstance(part, _Reasoning):
            self.thinking.append(part.text)
            if (seal := _seal_in(part.providerMetadata)) is not None:
                self.seals.append(seal)
        elif isinstance(part, _Tool) and (result := part.result) is not None:
            self.calls.append(part.called)
            self.results.append(result)

    def turns(self) -> Iterable[Message]:
        if not (self.text or self.thinking or self.calls):
            return
        thinking, calls, extra = "".join(self.thinking) or None, tuple(self.calls) or None, tuple(self.seals) or None
        yield Message("assistant", "".join(self.text), thinking, tool_calls=calls, extra=extra)
        yield from self.results


def _text(parts: Sequence[object]) -> str:
    return joined([part.text for part in parts if isinstance(part, _Text)])
