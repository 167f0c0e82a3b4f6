"""What a client of OpenAI's chat completions asks: read, never forwarded. Pure.

Unknown fields are ignored, since clients add some with every release; null, false and empty are absent. What cannot be
had and would change the answer (several choices, log probabilities, audio) is refused by its name.
"""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from services.dialects import openai_parts
from services.dialects.forced_tool import ANY_TOOL
from services.dialects.foreign import Wanted, read_foreign
from services.dialects.history import CalledTools, ExtraContent, arguments_of, joined, picture, seal_of
from services.wire import bodies
from services.wire.bodies import MAX_HOP_MESSAGES, ModelName
from services.wire.request import BadBody, CalledTool, ChatRequest, Message, Sampling, demand_model, refuse_many_images
from services.wire.validation import Items, Part, validated

_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_NOT_OFFERED: Final = ("logprobs", "audio", "functions", "web_search_options")


def _parts(value: object) -> object:
    """Take text for a list of one part."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _role(value: str) -> str:
    if value in _ROLES:
        return _ROLES[value]
    raise PydanticCustomError("role", "must be 'system', 'developer', 'user', 'assistant' or 'tool'")


def _url(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class _ImageUrl(Part):
    url: str


class _ContentPart(Part):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Annotated[_ImageUrl, BeforeValidator(_url)] | None = None


class _CalledFunction(Part):
    name: Annotated[str, Field(min_length=1)]
    arguments: str = ""


class _Call(Part):
    id: str
    function: _CalledFunction
    extra_content: ExtraContent | None = None


class _Message(Part):
    role: Annotated[str, AfterValidator(_role)]
    content: Annotated[Items[_ContentPart], BeforeValidator(_parts)] | None = None
    reasoning_content: str | None = None
    tool_calls: Items[_Call] | None = None
    tool_call_id: str | None = None


class _StreamOptions(Part):
    include_usage: bool | None = None


class _Function(Part):
    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Part):
    type: str
    function: _Function | None = None


class _ResponseFormat(Part):
    type: str
    json_schema: dict[str, Any] | None = None


class _ChosenFunction(Part):
    name: str


class _AllowedTool(Part):
    function: _ChosenFunction | None = None


class _Allowed(Part):
    mode: str = "auto"
    tools: Items[_AllowedTool] | None = None


class _Chosen(Part):
    type: str
    function: _ChosenFunction | None = None
    allowed_tools: _Allowed | None = None


def _choice(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class ChatCompletion(Part):
    """The body of ``/v1/chat/completions``, as far as it is read."""

    model: ModelName | None = None
    messages: Annotated[list[_Message], Field(max_length=MAX_HOP_MESSAGES, fail_fast=True)]
    stream: bool = False
    stream_options: _StreamOptions | None = None
    max_completion_tokens: openai_parts.MaxTokens | None = None
    max_tokens: openai_parts.MaxTokens | None = None
    temperature: bodies.Number | None = None
    top_p: bodies.Number | None = None
    seed: bodies.Seed | None = None
    stop: Annotated[tuple[str, ...], PlainValidator(openai_parts.stops)] | None = None
    tools: Items[_Tool] | None = None
    tool_choice: Annotated[_Chosen, BeforeValidator(_choice)] | None = None
    response_format: _ResponseFormat | None = None
    reasoning_effort: Annotated[bool | str, PlainValidator(openai_parts.think)] | None = None


def chat(raw: bytes) -> Wanted:
    """Read the body of a chat completion.

    Raises:
        BadBody: with the first fault found.
    """
    given = read_foreign(raw)
    _refuse_what_is_not_offered(given)
    body = validated(ChatCompletion, given, extra="ignore")
    tools = openai_parts.tools(one.function for one in body.tools or () if one.type == "function")
    choice = body.tool_choice
    if choice is not None and choice.allowed_tools is not None and (allowed := choice.allowed_tools.tools):
        tools = openai_parts.among(tools, {one.function.name for one in allowed if one.function is not None})
    asked = openai_parts.offered(
        tools, _forced(choice), where="tool_choice", none=choice is not None and choice.type == "none"
    )
    messages = _messages(body.messages)
    refuse_many_images(messages)
    most = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    request = ChatRequest(
        model=demand_model(body.model),
        messages=messages,
        tools=asked.tools,
        format=asked.format or _format(body.response_format),
        think=body.reasoning_effort,
        sampling=Sampling(temperature=body.temperature, top_p=body.top_p, seed=body.seed, stop=body.stop or None),
        max_output_tokens=most,
    )
    shows_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return Wanted(request=request, stream=body.stream, forced_tool=asked.forced_tool, shows_usage=shows_usage)


def _refuse_what_is_not_offered(given: dict[str, Any]) -> None:
    if given.get("n", 1) != 1:
        raise BadBody("n must be 1: one answer is given at a time", param="n")
    modalities = given.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise BadBody("modalities must be text alone", param="modalities")
    for name in _NOT_OFFERED:
        if given.get(name):
            raise BadBody(f"{name} is not offered here", param=name)


def _forced(choice: _Chosen | None) -> str | None:
    """Return the tool that must be called, None if the model is free."""
    if choice is None:
        return None
    if choice.type == "function":
        return choice.function.name if choice.function is not None else None
    mode = choice.type if choice.allowed_tools is None else choice.allowed_tools.mode
    return ANY_TOOL if mode == "required" else None


def _format(wish: _ResponseFormat | None) -> str | dict[str, Any] | None:
    if wish is None or wish.type == "text":
        return None
    if wish.type not in {"json_object", "json_schema"}:
        raise BadBody("response_format.type must be 'text', 'json_object' or 'json_schema'")
    return openai_parts.format_of((wish.json_schema or {}).get("schema"), "response_format.json_schema.schema")


def _messages(given: list[_Message]) -> tuple[Message, ...]:
    called = CalledTools()
    return tuple([_message(one, f"messages[{index}]", called) for index, one in enumerate(given)])


def _message(one: _Message, where: str, called: CalledTools) -> Message:
    content, images = _content(one.content or (), where)
    if one.role == "tool":
        name = called.name_of(one.tool_call_id or "", f"{where}.tool_call_id")
        return Message("tool", content, images=images, tool_name=name, tool_call_id=one.tool_call_id)
    calls = [_called(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(one.tool_calls or ())]
    for call in calls:
        called.add(call.call_id or "", call.name)
    thinking = one.reasoning_content or None
    return Message(one.role, content, thinking, images, tuple(calls) or None)


def _content(parts: "list[_ContentPart] | tuple[()]", where: str) -> tuple[str | None, tuple[str, ...] | None]:
    """Return the text and the pictures of a message."""
    texts: list[str] = []
    images: list[str] = []
    for index, part in enumerate(parts):
        place = f"{where}.content[{index}]"
        match part.type:
            case "text":
                texts.append(part.text or "")
            case "refusal":
                texts.append(part.refusal or "")
            case "image_url":
                images.append(picture(part.image_url.url if part.image_url else "", f"{place}.image_url.url"))
            case _:
                raise BadBody(f"{place}.type must be 'text' or 'image_url'")
    return (joined(texts) if texts else None), (tuple(images) or None)


def _called(call: _Call, where: str) -> CalledTool:
    arguments = arguments_of(call.function.arguments, f"{where}.function.arguments")
    return CalledTool(call.function.name, arguments, call.id, extra=seal_of(call.extra_content))
