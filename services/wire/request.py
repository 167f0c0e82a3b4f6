"""What a model is asked, in whichever JSON it was asked: its types, and the rules between its fields.

    a client's JSON -> bodies, or a dialect -> Asked(request, wishes)
    request -> body_writer.written: the hop's JSON, or an adapter: a model server's

No field names a client's or a model server's language: each is known to its own file alone. None is "not said", and is
not sent on; an empty list or text was said, and is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, Self, TypeVar

from services.wire.events import Code, Signature

MAX_MESSAGES: Final = 1000
MAX_IMAGES: Final = 16
_IDEMPOTENCY_KEY: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

Kind = Literal["chat", "generate"]


class BadBody(Exception):
    """The request is refused: ``message``, at most 300 characters, names the field and repeats nothing else of it.

    Args:
        param: the field, where it is one that we do not offer to clients that expect it.
    """

    code: ClassVar[Code] = Code.INVALID_REQUEST

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class CalledTool:
    """A call in a conversation's history; ``index`` is its place among those of its message.

    ``extra`` is its provider's seal (events.Signature), for that provider alone.
    """

    name: str
    arguments: Mapping[str, Any] | None = None
    call_id: str | None = None
    index: int | None = None
    extra: Signature | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; ``images`` are base64, and a tool's result names its tool, its call, or both.

    ``extra`` are the signatures that came with it, each for its own provider alone.
    """

    role: str
    content: str | None = None
    thinking: str | None = None
    images: tuple[str, ...] | None = None
    tool_calls: tuple[CalledTool, ...] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    extra: tuple[Signature, ...] | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class ServerTools:
    """Which of the server's own tools a model is to be offered beside the client's.

    Attributes:
        names: None for all that there are.
        demanded: they were asked for by name: without one of them there is no answer.
        attended: whether somebody can be asked to approve a call while the answer comes.
    """

    names: tuple[str, ...] | None = None
    demanded: bool = False
    attended: bool = True


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen, by the names that model servers share."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    repeat_last_n: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What every request for an answer may say.

    Attributes:
        model: its name as the client wrote it; never None at the proxy.
        format: "json", or the JSON schema that the answer has to fit.
        think: whether the model thinks aloud first, or how much, in a word that it knows.
        max_output_tokens: the wished length; below 1 it means no limit.
        local_only: whether it may not leave the operator's machines; None, never False, where it may.
    """

    kind: ClassVar[Kind]

    model: str | None = None
    sampling: Sampling | None = None
    format: str | Mapping[str, Any] | None = None
    think: bool | str | None = None
    max_output_tokens: int | None = None
    local_only: bool | None = None

    def completed(self, model: str, max_output_tokens: int) -> Self:
        """Return it as it goes to the proxy: with a model (``model`` if none was named) and a capped length."""
        wanted = self.max_output_tokens
        capped = max_output_tokens if wanted is None or wanted < 1 else min(wanted, max_output_tokens)
        return replace(self, model=self.model or model, max_output_tokens=capped)

    def emptied(self) -> Self:
        """Return what may be kept of it when it is answered: not what was said, which may have megabytes."""
        return type(self)(model=self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(_Request):
    """A conversation that the model continues."""

    kind: ClassVar[Kind] = "chat"

    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] | None = None
    server_tools: ServerTools | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not self.messages

    @property
    def wants_tools_or_format(self) -> bool:
        """Whether the model server may be silent for long: it holds a whole call or object back."""
        return bool(self.tools or self.format)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest(_Request):
    """A text that the model continues; ``raw`` means without the model's template."""

    kind: ClassVar[Kind] = "generate"

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    images: tuple[str, ...] | None = None
    raw: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not self.prompt

    @property
    def wants_tools_or_format(self) -> bool:
        """Whether the model server may be silent for long: it holds a whole object back."""
        return bool(self.format)


ModelRequest = ChatRequest | GenerateRequest


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """What is to be embedded by which model.

    Attributes:
        texts: one or many; None, and an empty one, are the model server's to judge.
        single: it was asked by the older route, whose answer holds one vector.
    """

    model: str
    texts: str | tuple[str, ...] | None = None
    dimensions: int | None = None
    truncate: bool | None = None
    single: bool = False


@dataclass(frozen=True, slots=True)
class NextTurn:
    """How a conversation goes on that a gateway keeps: it knows what was said before.

    Attributes:
        message: what the user says now; None where a message is answered anew.
        parent: the message that it follows, or that is answered anew; "" is none, None the newest one.
    """

    conversation_id: str
    message: str | None = None
    images: tuple[str, ...] | None = None
    system: str | None = None
    parent: str | None = None

    @property
    def is_anew(self) -> bool:
        """Whether a message is answered anew: its parent, for nothing is said."""
        return bool(self.parent) and self.message is None and self.images is None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client wants besides the answer, which no model server is asked.

    Attributes:
        stream: the shape of the answer, None if it has no wish.
        on_disconnect: what its leaving means.
        conversation_id: echoed, and no more without ``turn``.
        turn: what a conversation goes on with, should the gateway keep it.
        order: what a request that says nothing asks for in its client's language: the model in memory, or out of it.
        dropped: fields that were sent and are not offered, from a closed list, sorted, options as ``options.<name>``.
        let_through: those of them that the operator allows, by the same names: they go on to a model server of their
            language.
    """

    stream: bool | None = None
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    conversation_id: str | None = None
    turn: NextTurn | None = None
    order: Literal["load", "unload"] | None = None
    dropped: tuple[str, ...] = ()
    let_through: Mapping[str, Any] = field(default_factory=dict)


Request = TypeVar("Request", bound=ChatRequest | GenerateRequest | EmbedRequest)


class Asked(NamedTuple, Generic[Request]):
    """What a body was read as."""

    request: Request
    wishes: Wishes


_NAMES: Final[Mapping[type, tuple[str, ...]]] = {
    part: tuple(one.name for one in fields(part))
    for part in (ChatRequest, GenerateRequest, Message, CalledTool, Tool, ServerTools, Sampling)
}


def said(part: "ModelRequest | Message | CalledTool | Tool | ServerTools | Sampling") -> dict[str, Any]:
    """Return the fields that were said, by name: what a writer of JSON begins with."""
    return {name: value for name in _NAMES[type(part)] if (value := getattr(part, name)) is not None}


def demand_content(request: ModelRequest) -> None:
    """Refuse what says nothing.

    Raises:
        BadBody: nothing is said.
    """
    if request.is_empty:
        raise BadBody("Prompt is required" if request.kind == "generate" else "Message is required")


def demand_model(model: str | None) -> str:
    """Return the model that was named.

    Raises:
        BadBody: none was.
    """
    if model is None:
        raise BadBody("model is required")
    return model


def conversation(
    system: str | None,
    message: str | None,
    messages: tuple[Message, ...] | None,
    *,
    images: tuple[str, ...] | None = None,
    turn: NextTurn | None = None,
) -> tuple[Message, ...]:
    """Return the turns of a chat in short form: ``message`` stands for one of the user, ``system`` goes in front.

    Args:
        images: those of ``message``.
        turn: where one is answered anew nothing is said.

    Raises:
        BadBody: both forms at once, no word of the user, or too many turns.
    """
    if (message is not None or images is not None) and messages is not None:
        raise BadBody("Send either message or messages, not both")
    anew = turn is not None and turn.is_anew
    turns = messages or (() if anew else (Message("user", message, images=images),))
    if not anew and not any(turn.role == "user" and (turn.content or turn.images) for turn in turns):
        raise BadBody("Message is required")
    instructed = (Message("system", system), *turns) if system else turns
    if len(instructed) > MAX_MESSAGES:
        raise BadBody(f"messages and system together must be at most {MAX_MESSAGES}")
    return instructed


def next_turn(
    *,
    conversation_id: str | None,
    message: str | None,
    images: tuple[str, ...] | None,
    system: str | None,
    parent: str | None,
    messages: tuple[Message, ...] | None,
) -> NextTurn | None:
    """Return how a conversation goes on that may be kept; None where the client brings all of it itself.

    Raises:
        BadBody: a parent is named, and no conversation that has it.
    """
    if conversation_id is not None and messages is None:
        return NextTurn(conversation_id, message, images, system, parent)
    if parent is not None:
        raise BadBody("parent goes with a conversation_id, and without messages")
    return None


def refuse_many_images(messages: tuple[Message, ...]) -> None:
    """Hold the limit of a request over all its messages, each of which has it, too.

    Raises:
        BadBody: they are more.
    """
    if sum(len(message.images or ()) for message in messages) > MAX_IMAGES:
        raise BadBody(f"messages must have at most {MAX_IMAGES} images together")


def refuse_tools_beside_format(request: ChatRequest) -> None:
    """Hold that an answer with a form of its own cannot be made of turns, of which each would have to have it.

    Raises:
        BadBody: both were asked for.
    """
    if request.server_tools is not None and request.format is not None:
        raise BadBody("Send either format or server_tools, not both")


def idempotency_key(given: str | None, *, lenient: bool = False) -> str | None:
    """Return the Idempotency-Key of a request, None if it has none.

    Until keys exist every caller is anonymous and knowing a key joins its stream: it has to be unguessable.

    Args:
        lenient: what has not the form is none: it is for another server, whose rules its client knows.

    Raises:
        BadBody: it has not the form.
    """
    if given is not None and not _IDEMPOTENCY_KEY.fullmatch(given):
        if lenient:
            return None
        raise BadBody("An Idempotency-Key is 22 to 64 characters of [A-Za-z0-9_-]")
    return given
