"""What a client of OpenAI's responses asks: read, never forwarded. Pure.

Nothing is stored here, so whatever refers to an earlier response is refused; a client that keeps its own history
(`store: false`) sends all of it. Tools that only their maker can run are left out, and so is what they once did.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator

from services.dialects import openai_parts
from services.dialects.forced_tool import ANY_TOOL
from services.dialects.foreign import Wanted, read_foreign
from services.dialects.history import CalledTools, ExtraContent, arguments_of, joined, picture, seal_of
from services.wire import bodies
from services.wire.bodies import MAX_HOP_MESSAGES, ModelName
from services.wire.request import (
    BadBody,
    CalledTool,
    ChatRequest,
    Message,
    Sampling,
    Tool,
    demand_model,
    refuse_many_images,
)
from services.wire.validation import Items, Part, validated

_STORED: Final = ("previous_response_id", "conversation", "background", "prompt")
_TEXTS: Final = frozenset({"input_text", "output_text", "text", "summary_text"})
_STORE_FALSE: Final = "nothing is stored here: send the whole conversation as input, with store:false"
_OURS: Final = frozenset({"message", "function_call", "function_call_output"})
_LEFT_OUT: Final = ("_call", "_call_output", "reasoning", "_tools", "_approval_request", "_approval_response")
"""How the types of items end that belong to tools of their maker's, or that only it can read."""
_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def _items(value: object) -> object:
    """Take text for one message of the user's, and of an item that is none of ours only what it is."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return [_ours(item) for item in value] if isinstance(value, list) else value


def _ours(item: object) -> object:
    kind = item.get("type") if isinstance(item, dict) else None
    return {"type": kind} if isinstance(kind, str) and kind not in _OURS else item


def _texts(value: object) -> object:
    """Take text for a list of one part."""
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


class _ContentPart(Part):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None


_Content = Annotated[Items[_ContentPart], BeforeValidator(_texts)]


class _Item(Part):
    type: str = "message"
    role: str | None = None
    content: _Content | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: _Content | None = None
    extra_content: ExtraContent | None = None


class _Reasoning(Part):
    effort: Annotated[bool | str, PlainValidator(openai_parts.think)] | None = None


class _Tool(Part):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Chosen(Part):
    type: str
    name: str | None = None
    mode: str | None = None
    tools: Items[_Tool] | None = None


def _choice(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class Response(Part):
    """The body of ``/v1/responses``, as far as it is read."""

    model: ModelName | None = None
    input: Annotated[list[_Item], Field(max_length=MAX_HOP_MESSAGES, fail_fast=True), BeforeValidator(_items)]
    instructions: str | None = None
    stream: bool = False
    max_output_tokens: openai_parts.MaxTokens | None = None
    temperature: bodies.Number | None = None
    top_p: bodies.Number | None = None
    tools: Items[_Tool] | None = None
    tool_choice: Annotated[_Chosen, BeforeValidator(_choice)] | None = None
    reasoning: _Reasoning | None = None
    text: dict[str, Any] | None = None


def responses(raw: bytes) -> Wanted:
    """Read the body of a response.

    Raises:
        BadBody: with the first fault found.
    """
    given = read_foreign(raw)
    for name in _STORED:
        if name in given:
            raise BadBody(f"{name} is not offered: {_STORE_FALSE}", param=name)
    body = validated(Response, given, extra="ignore")
    functions = [one for one in body.tools or () if one.type == "function"]
    choice = body.tool_choice
    tools = openai_parts.tools(map(_function, functions))
    if choice is not None and choice.tools:
        tools = openai_parts.among(tools, {one.name for one in choice.tools})
    asked = openai_parts.offered(
        tools,
        _forced(choice),
        where="tool_choice",
        none=choice is not None and choice.type == "none",
    )
    messages = _conversation(body)
    refuse_many_images(messages)
    request = ChatRequest(
        model=demand_model(body.model),
        messages=messages,
        tools=asked.tools,
        format=asked.format or _format(body.text),
        think=body.reasoning.effort if body.reasoning is not None else None,
        sampling=Sampling(temperature=body.temperature, top_p=body.top_p),
        max_output_tokens=body.max_output_tokens,
    )
    dropped = ("tools",) if len(functions) < len(body.tools or ()) else ()
    return Wanted(
        request=request,
        stream=body.stream,
        forced_tool=asked.forced_tool,
        dropped=dropped,
        text_format=(body.text or {}).get("format"),
    )


def _function(tool: _Tool) -> Tool:
    if not tool.name:
        raise BadBody("tools must have names")
    return Tool(tool.name, tool.description, tool.parameters)


def _forced(choice: _Chosen | None) -> str | None:
    """Return the tool that must be called, None if the model is free."""
    if choice is None:
        return None
    if choice.type == "function":
        return choice.name
    return ANY_TOOL if "required" in {choice.type, choice.mode} else None


def _format(text: dict[str, Any] | None) -> str | dict[str, Any] | None:
    wish = (text or {}).get("format") or {}
    if not isinstance(wish, dict):
        raise BadBody("text.format must be an object")
    kind = wish.get("type")
    if kind is None or kind == "text":
        return None
    if not isinstance(kind, str) or kind not in {"json_object", "json_schema"}:
        raise BadBody("text.format.type must be 'text', 'json_object' or 'json_schema'")
    return openai_parts.format_of(wish.get("schema"), "text.format.schema")


def _conversation(body: Response) -> tuple[Message, ...]:
    """Return the messages that a history of items is: calls that follow each other are of one message."""
    called = CalledTools()
    messages = [Message("system", body.instructions)] if body.instructions else []
    for index, item in enumerate(body.input):
        where = f"input[{index}]"
        match item.type:
            case "message":
                messages.append(_message(item, where))
            case "function_call":
                call = _call(item, where)
                called.add(call.call_id or "", call.name)
                _add_call(messages, call)
            case "function_call_output":
                name = called.name_of(item.call_id or "", f"{where}.call_id")
                content, images = _content(item.output or (), f"{where}.output")
                messages.append(Message("tool", content, images=images, tool_name=name, tool_call_id=item.call_id))
            case "item_reference":
                raise BadBody(f"{where} refers to an item that is stored, and {_STORE_FALSE}")
            case kind if not kind.endswith(_LEFT_OUT):
                raise BadBody(f"{where}.type must be one of {', '.join(sorted(_OURS))}")
    return tuple(messages)


def _message(item: _Item, where: str) -> Message:
    if item.role not in _ROLES:
        raise BadBody(f"{where}.role must be 'system', 'developer', 'user' or 'assistant'")
    content, images = _content(item.content or (), f"{where}.content")
    return Message(_ROLES[item.role], content, images=images)


def _call(item: _Item, where: str) -> CalledTool:
    if not item.name or not item.call_id:
        raise BadBody(f"{where} must have name and call_id")
    arguments = arguments_of(item.arguments or "", f"{where}.arguments")
    return CalledTool(item.name, arguments, item.call_id, extra=seal_of(item.extra_content))


def _add_call(messages: list[Message], call: CalledTool) -> None:
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant":
        messages[-1] = replace(last, tool_calls=(*(last.tool_calls or ()), call))
    else:
        messages.append(Message("assistant", tool_calls=(call,)))


def _content(parts: Sequence[_ContentPart], where: str) -> tuple[str | None, tuple[str, ...] | None]:
    """Return the text and the pictures of a message, or of what a tool gave back."""
    texts: list[str] = []
    images: list[str] = []
    for index, part in enumerate(parts):
        if part.type in _TEXTS:
            texts.append(part.text or "")
        elif part.type == "refusal":
            texts.append(part.refusal or "")
        elif part.type == "input_image":
            images.append(picture(part.image_url or "", f"{where}[{index}].image_url"))
        else:
            raise BadBody(f"{where}[{index}].type must be 'input_text', 'output_text' or 'input_image'")
    return (joined(texts) if texts else None), (tuple(images) or None)
