"""Our request's JSON, that of the native routes and of the hop: its fields, their types and limits.

    bytes -> gateway_chat, gateway_generate: what people send       -> Asked, or BadBody
    bytes -> hop_chat, hop_generate: what a gateway sends the proxy (body_writer.py) -> Asked, or BadBody

A gateway refuses unknown keys by name and knows a few fields of its own; a hop's reader drops them, so that either side
can be the newer one. What the fields mean together is request.py's. The rules are PROTOCOL.md's, "Bodies".
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from services.wire.events import MAX_SIGNATURE_BYTES, Signature
from services.wire.model_names import MAX_MODEL_CHARACTERS
from services.wire.pictures import is_picture
from services.wire.request import (
    MAX_IMAGES,
    MAX_MESSAGES,
    Asked,
    BadBody,
    CalledTool,
    ChatRequest,
    GenerateRequest,
    Message,
    ModelRequest,
    Sampling,
    Tool,
    Wishes,
    conversation,
    demand_content,
    demand_model,
    next_turn,
    refuse_many_images,
    refuse_tools_beside_format,
)
from services.wire.schema import is_schema
from services.wire.server_tools import HopServerTools, ServerToolNames, server_tools
from services.wire.validation import Part, read, validated

MAX_TOOLS: Final = 128
MAX_HOP_MESSAGES: Final = 10_000
MAX_HOP_TOOLS: Final = 512
"""More than a native body may have: agents, which speak other languages, keep long histories and bring whole servers of
tools."""
MAX_STOPS: Final = 16
MAX_SCHEMA_BYTES: Final = 64 << 10
MAX_SIGNATURES: Final = 64

# What fits model servers: float32; for integers int32, for the seed int64.
_FLOAT32: Final = 3.4028234663852886e38
_INT32: Final = 2**31
_INT64: Final = 2**63
MAX_INTEGER: Final = _INT32 - 1

_GATEWAY_ROLES: Final = ("system", "user", "assistant", "tool")
_MAX_ROLE: Final = 64  # characters
_THINK_WORD: Final = re.compile(r"[A-Za-z]{1,16}")
_MAX_TOOL_TYPE: Final = 64  # characters


def _think(value: object) -> object:
    """Take any word: which of them mean something only the model server knows, and it learns new ones."""
    if isinstance(value, bool) or (isinstance(value, str) and _THINK_WORD.fullmatch(value)):
        return value
    raise PydanticCustomError("think", "must be true, false or a word of 1 to 16 letters")


def is_format(value: object) -> bool:
    """Whether it is "json", or a JSON schema that is not too long."""
    return value == "json" or (is_schema(value) and len(orjson.dumps(value)) <= MAX_SCHEMA_BYTES)


def _format(value: object) -> object:
    if is_format(value):
        return value
    raise PydanticCustomError("format", 'must be "json" or a JSON schema of at most 64 KiB')


def _sealed(value: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(value)) <= MAX_SIGNATURE_BYTES:
        return value
    raise PydanticCustomError("signature", "must have at most 64 KiB")


def _role(value: str) -> str:
    """Return it as Ollama compares it; a model may have roles of its own (``control``, ``document 1``)."""
    role = value.lower()
    if 0 < len(role) <= _MAX_ROLE and role.isprintable():
        return role
    raise PydanticCustomError("role", "must be 1 to 64 printable characters")


def _gateway_role(value: str) -> str:
    if (role := value.lower()) in _GATEWAY_ROLES:
        return role
    raise PydanticCustomError("role", "must be 'system', 'user', 'assistant' or 'tool'")


def whole(value: object) -> object:
    """Return a whole number as an integer however it is written: many languages know one kind of number alone."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _image(value: str) -> str:
    """Refuse what is no picture: a URL would make the model server fetch it."""
    if is_picture(value):
        return value
    raise PydanticCustomError("image", "must be the plain base64 of a PNG, JPEG, WebP or GIF image")


Think = Annotated[bool | str, PlainValidator(_think)]
Number = Annotated[float, Field(ge=-_FLOAT32, le=_FLOAT32)]
Integer = Annotated[int, Field(ge=-_INT32, le=MAX_INTEGER), BeforeValidator(whole)]
Seed = Annotated[int, Field(ge=-_INT64, le=_INT64 - 1), BeforeValidator(whole)]
_Name = Annotated[str, Field(min_length=1)]
_Image = Annotated[str, AfterValidator(_image)]
Images = Annotated[list[_Image], Field(max_length=MAX_IMAGES, fail_fast=True)]


ModelName = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARACTERS)]


class Options(Part):
    """How the next token is chosen, and how long the answer may be."""

    temperature: Number | None = None
    top_k: Integer | None = None
    top_p: Number | None = None
    min_p: Number | None = None
    typical_p: Number | None = None
    seed: Seed | None = None
    num_predict: Integer | None = None
    stop: Annotated[list[str], Field(max_length=MAX_STOPS, fail_fast=True)] | None = None
    repeat_last_n: Integer | None = None
    repeat_penalty: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None


class _CalledFunction(Part):
    name: _Name
    arguments: dict[str, Any] | None = None
    index: Integer | None = None


class SignatureBody(Part):
    """What a provider wants to have back; only its size is ours to judge."""

    provider: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    data: Annotated[dict[str, Any], AfterValidator(_sealed)]


class _ToolCall(Part):
    id: str | None = None
    function: _CalledFunction
    extra: SignatureBody | None = None


class MessageBody(Part):
    """One message, of whatever role."""

    role: Annotated[str, AfterValidator(_role)]
    content: str | None = None
    thinking: str | None = None
    images: Images | None = None
    tool_calls: Annotated[list[_ToolCall], Field(fail_fast=True)] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    extra: Annotated[list[SignatureBody], Field(max_length=MAX_SIGNATURES, fail_fast=True)] | None = None


class _GatewayMessage(MessageBody):
    role: Annotated[str, AfterValidator(_gateway_role)]


class _OfferedFunction(Part):
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Part):
    type: Annotated[str, Field(max_length=_MAX_TOOL_TYPE)] | None = None
    function: _OfferedFunction


_Tools = Annotated[list[_Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]
_HopTools = Annotated[list[_Tool], Field(max_length=MAX_HOP_TOOLS, fail_fast=True)]


class Body(Part):
    """What every body may hold that asks for an answer."""

    EMPTY_IS_ABSENT = frozenset({"format"})

    model: ModelName | None = None
    think: Think | None = None
    format: Annotated[str | dict[str, Any], PlainValidator(_format)] | None = None
    options: Options | None = None
    stream: bool | None = None
    local_only: bool | None = None


class ChatBody(Body):
    """A chat as it reaches the proxy."""

    messages: Annotated[list[MessageBody], Field(max_length=MAX_MESSAGES, fail_fast=True)] | None = None
    tools: _Tools | None = None


class _Generate(Body):
    """What every generate body may hold."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    images: Images | None = None


class HopChat(ChatBody):
    """A chat as a gateway sends it: of whatever language it was, its gateway has held it to that one's limits."""

    messages: Annotated[list[MessageBody], Field(max_length=MAX_HOP_MESSAGES, fail_fast=True)] | None = None
    tools: _HopTools | None = None
    server_tools: HopServerTools | None = None


class GenerateBody(_Generate):
    """A text to continue as it reaches the proxy."""

    raw: bool | None = None


class _GatewayBody(Body):
    """What every body at the gateway may hold."""

    on_disconnect: Literal["cancel", "continue"] = "cancel"
    conversation_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,64}$")] | None = None


class GatewayChat(_GatewayBody):
    """The gateway's chat body: ``message``, with ``images``, and ``system`` are short for messages.

    ``parent`` is a message of a conversation that is kept, "" for none.
    """

    messages: Annotated[list[_GatewayMessage], Field(max_length=MAX_MESSAGES, fail_fast=True)] | None = None
    tools: _Tools | None = None
    server_tools: ServerToolNames | None = None
    message: str | None = None
    images: Images | None = None
    system: str | None = None
    parent: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{0,64}$")] | None = None


class GatewayGenerate(_GatewayBody, _Generate):
    """The gateway's generate body."""


def gateway_chat(raw: bytes, *, stream: bool = True) -> Asked[ModelRequest]:
    """Read the body of the gateway's chat routes; ``stream`` is the only value its field may have there.

    Raises:
        BadBody: with the first fault found.
    """
    body = validated(GatewayChat, read(raw), extra="forbid")
    given = None if body.messages is None else _messages(body.messages)
    images = None if body.images is None else tuple(body.images)
    turn = next_turn(
        conversation_id=body.conversation_id,
        message=body.message,
        images=images,
        system=body.system,
        parent=body.parent,
        messages=given,
    )
    messages = conversation(body.system, body.message, given, images=images, turn=turn)
    refuse_many_images(messages)
    tools = server_tools(body.server_tools, attended=stream)
    request = ChatRequest(messages=messages, tools=_tools(body.tools), server_tools=tools, **_shared(body))
    refuse_tools_beside_format(request)
    return Asked(request, replace(_wishes(body, stream=stream), turn=turn))


def gateway_generate(raw: bytes, *, stream: bool = True) -> Asked[ModelRequest]:
    """Read the body of the gateway's generate route, likewise."""
    body = validated(GatewayGenerate, read(raw), extra="forbid")
    request = GenerateRequest(**_texts(body), **_shared(body))
    demand_content(request)
    return Asked(request, _wishes(body, stream=stream))


def hop_chat(raw: bytes) -> Asked[ModelRequest]:
    """Read what a gateway asks the proxy: what :func:`written` wrote, and what a newer one adds is left out.

    Raises:
        BadBody: with the first fault found.
    """
    body = validated(HopChat, read(raw), extra="ignore")
    demand_model(body.model)
    request = chat_request(body)
    if body.server_tools is not None:
        request = replace(request, server_tools=body.server_tools.read())
    return Asked(request, Wishes(stream=body.stream))


def hop_generate(raw: bytes) -> Asked[ModelRequest]:
    """Read what a gateway asks the proxy's generate route, likewise."""
    body = validated(GenerateBody, read(raw), extra="ignore")
    demand_model(body.model)
    return Asked(generate_request(body), Wishes(stream=body.stream))


def chat_request(body: ChatBody) -> ChatRequest:
    """Return what a validated chat asks; it may be empty.

    Raises:
        BadBody: there are too many images.
    """
    messages = _messages(body.messages or ())
    refuse_many_images(messages)
    return ChatRequest(messages=messages, tools=_tools(body.tools), **_shared(body))


def generate_request(body: GenerateBody) -> GenerateRequest:
    """Return what a validated generate body asks; it may be empty."""
    return GenerateRequest(raw=body.raw, **_texts(body), **_shared(body))


def _wishes(body: _GatewayBody, *, stream: bool) -> Wishes:
    if body.stream not in (None, stream):
        raise BadBody(f"stream must be {str(stream).lower()} on this route")
    return Wishes(body.stream, body.on_disconnect, body.conversation_id)


def _shared(body: Body) -> dict[str, Any]:
    """Return the arguments that both kinds of request have."""
    options = body.options
    return {
        "model": body.model,
        "think": body.think,
        "format": body.format,
        "sampling": None if options is None else _sampling(options),
        "max_output_tokens": None if options is None else options.num_predict,
        "local_only": body.local_only or None,
    }


def _sampling(options: Options) -> Sampling:
    given = {name: getattr(options, name) for name in options.model_fields_set if name in Sampling.__slots__}
    if "stop" in given:
        given["stop"] = tuple(given["stop"])
    return Sampling(**given)


def _texts(body: _Generate) -> dict[str, Any]:
    images = None if body.images is None else tuple(body.images)
    return {"prompt": body.prompt, "system": body.system, "suffix": body.suffix, "images": images}


def _messages(given: Iterable[MessageBody]) -> tuple[Message, ...]:
    return tuple([_message(one) for one in given])


def _message(one: MessageBody) -> Message:
    images, calls = one.images, one.tool_calls
    return Message(
        one.role,
        one.content,
        one.thinking,
        None if images is None else tuple(images),
        None if calls is None else tuple([_called(call) for call in calls]),
        one.tool_name,
        one.tool_call_id,
        None if one.extra is None else tuple([signature_of(each) for each in one.extra]),
    )


def _called(call: _ToolCall) -> CalledTool:
    extra = None if call.extra is None else signature_of(call.extra)
    return CalledTool(call.function.name, call.function.arguments, call.id, call.function.index, extra)


def signature_of(given: SignatureBody) -> Signature:
    """Return the seal that was read."""
    return Signature(given.provider, given.data)


def _tools(given: list[_Tool] | None) -> tuple[Tool, ...] | None:
    if given is None:
        return None
    return tuple(Tool(one.function.name, one.function.description, one.function.parameters, one.type) for one in given)
