"""What a client of Anthropic's Messages API asks: read, never forwarded. Pure.

Fields that are not declared are ignored, for its clients add some with every release.
A message is a text, or a list of blocks; of the blocks, what a server of theirs ran is left out, and what a model here
cannot see (a document) is refused, since an answer without it would be about nothing.

    messages(raw)  what is to be answered
    counted(raw)   what is only to be counted
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PlainValidator, Tag
from pydantic_core import PydanticCustomError

from services.dialects import anthropic_tools, openai_parts, seals
from services.dialects.anthropic import ThinkingSeal
from services.dialects.forced_tool import ANY_TOOL
from services.dialects.foreign import Wanted, read_foreign
from services.dialects.history import CalledTools, joined
from services.wire import bodies
from services.wire.bodies import MAX_HOP_MESSAGES, ModelName
from services.wire.pictures import is_picture
from services.wire.request import BadBody, CalledTool, ChatRequest, Message, Sampling, demand_model, refuse_many_images
from services.wire.validation import Items, Part, validated

_BILLING: Final = "x-anthropic-billing-header:"
"""Claude Code puts it first into its system prompt. It changes with each turn: no prefix of a prompt would be known."""
_Name = Annotated[str, Field(min_length=1)]
_UNSEEN: Final = frozenset({"document", "search_result", "container_upload"})


def _picture(data: str) -> str:
    if is_picture(data):
        return data
    raise PydanticCustomError("image", "must be the plain base64 of a PNG, JPEG, WebP or GIF image")


class _Text(Part):
    text: str


class _Source(Part):
    type: Literal["base64"]
    data: Annotated[str, AfterValidator(_picture)]


class _Picture(Part):
    source: _Source


class _Thinking(Part):
    thinking: str = ""
    signature: str = ""


class _Redacted(Part):
    data: str = ""


class _ToolUse(Part):
    id: _Name
    name: _Name
    input: dict[str, Any] = Field(default_factory=dict)


class _Other(Part):
    """What another server's model said, or what we do not know."""


def _refused(_block: object) -> object:
    raise PydanticCustomError("unseen", "cannot be read by the models here: send its text")


def _as_blocks(content: object) -> object:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return content
    raise PydanticCustomError("content", "must be a string or a list of blocks")


_KNOWN: Final = frozenset(
    {"text", "image", "thinking", "redacted_thinking", "tool_use", "tool_result", "tool_addition", "tool_removal"}
)
_IN_RESULTS: Final = frozenset({"text", "image", "tool_reference"})


def _kind(block: object, known: Container[str] = _KNOWN) -> str | None:
    """Return which block it is meant to be; None for what is no block at all."""
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        return None
    return kind if kind in known else "document" if kind in _UNSEEN else "other"


def _by(kind: Callable[[object], str | None]) -> Discriminator:
    return Discriminator(kind, custom_error_type="block", custom_error_message="must be an object with a type")


_Unseen = Annotated[object, PlainValidator(_refused)]
_Said = Annotated[_Text, Tag("text")] | Annotated[_Picture, Tag("image")]
_Rest = Annotated[_Other, Tag("other")] | Annotated[_Unseen, Tag("document")]
_Found = Annotated[anthropic_tools.Reference, Tag("tool_reference")]
_ResultBlock = Annotated[_Said | _Found | _Rest, _by(lambda block: _kind(block, _IN_RESULTS))]


class _ToolResult(Part):
    tool_use_id: _Name
    content: Annotated[Items[_ResultBlock], BeforeValidator(_as_blocks)] = Field(default_factory=list)
    is_error: bool = False


_History = (
    Annotated[_Thinking, Tag("thinking")]
    | Annotated[_Redacted, Tag("redacted_thinking")]
    | Annotated[_ToolUse, Tag("tool_use")]
    | Annotated[_ToolResult, Tag("tool_result")]
)
_Changes = (
    Annotated[anthropic_tools.Addition, Tag("tool_addition")] | Annotated[anthropic_tools.Removal, Tag("tool_removal")]
)
_Block = Annotated[_Said | _History | _Changes | _Rest, _by(_kind)]
_Blocks = Annotated[Items[_Block], BeforeValidator(_as_blocks)]


class _Message(Part):
    role: Literal["user", "assistant", "system"]
    content: _Blocks


class _ToolChoice(Part):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class _ThinkingMode(Part):
    type: str


class _OutputConfig(Part):
    effort: Annotated[bool | str, PlainValidator(openai_parts.think)] | None = None
    format: dict[str, Any] | None = None


class _Body(Part):
    model: ModelName | None = None
    messages: Annotated[list[_Message], Field(max_length=MAX_HOP_MESSAGES, fail_fast=True)]
    system: _Blocks | None = None
    max_tokens: openai_parts.MaxTokens | None = None
    temperature: bodies.Number | None = None
    top_p: bodies.Number | None = None
    top_k: bodies.Integer | None = None
    stop_sequences: Annotated[tuple[str, ...], PlainValidator(openai_parts.stops)] | None = None
    stream: bool = False
    tools: anthropic_tools.DeclaredTools | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _ThinkingMode | None = None
    output_config: _OutputConfig | None = None


def messages(raw: bytes) -> Wanted:
    """Read the body of ``POST /v1/messages``.

    Raises:
        BadBody: with the first fault found.
    """
    body = validated(_Body, read_foreign(raw), extra="ignore")
    if body.max_tokens is None:
        raise BadBody("max_tokens is required")
    return _wanted(body)


def counted(raw: bytes) -> ChatRequest:
    """Read the body of ``POST /v1/messages/count_tokens``, likewise; it need not say how long an answer may be."""
    return _wanted(validated(_Body, read_foreign(raw), extra="ignore")).request


def _wanted(body: _Body) -> Wanted:
    declared = body.tools or ()
    asked = openai_parts.offered(
        openai_parts.tools(anthropic_tools.offered(declared, _said(body.messages))),
        _forced(body.tool_choice),
        where="tool_choice",
        none=body.tool_choice is not None and body.tool_choice.type == "none",
    )
    request = ChatRequest(
        model=demand_model(body.model),
        messages=_turns(body),
        tools=asked.tools,
        format=asked.format or _format(body.output_config),
        think=_think(body),
        sampling=_sampling(body),
        max_output_tokens=body.max_tokens,
    )
    refuse_many_images(request.messages)
    dropped = ("tools",) if any(isinstance(tool, anthropic_tools.ServerTool) for tool in declared) else ()
    return Wanted(request=request, stream=body.stream, forced_tool=asked.forced_tool, dropped=dropped)


def _said(messages: Iterable[_Message]) -> Iterator[object]:
    """Yield the blocks of a conversation; a tool's result is followed by its own."""
    for message in messages:
        for block in message.content:
            yield block
            if isinstance(block, _ToolResult):
                yield from block.content


def _forced(choice: _ToolChoice | None) -> str | None:
    """Return the tool that must be called, None if the model is free."""
    if choice is None or choice.type in {"auto", "none"}:
        return None
    return choice.name or ANY_TOOL if choice.type == "tool" else ANY_TOOL


def _format(config: _OutputConfig | None) -> str | dict[str, Any] | None:
    if config is None or not config.format:
        return None
    return openai_parts.format_of(config.format.get("schema"), "output_config.format.schema")


def _think(body: _Body) -> bool | str:
    """Return whether the model thinks aloud, and how much where that was said: clients that did not ask see none."""
    if body.thinking is None or body.thinking.type == "disabled":
        return False
    effort = body.output_config.effort if body.output_config else None
    return True if effort is None else effort


def _sampling(body: _Body) -> Sampling | None:
    stop = body.stop_sequences or None
    sampling = Sampling(temperature=body.temperature, top_p=body.top_p, top_k=body.top_k, stop=stop)
    return None if sampling == Sampling() else sampling


def _turns(body: _Body) -> tuple[Message, ...]:
    called = CalledTools()
    system = _text(block for block in body.system or () if not _is_billing(block))
    instructed = (Message("system", system),) if system else ()
    told = (turn for message in body.messages for turn in _TELL[message.role](message.content, called))
    return (*instructed, *told)


def _is_billing(block: object) -> bool:
    return isinstance(block, _Text) and block.text.startswith(_BILLING)


def _of_system(blocks: Sequence[object], _called: CalledTools) -> Iterator[Message]:
    if text := _text(blocks):  # there is none where only tools are changed
        yield Message("system", text)


def _of_assistant(blocks: Sequence[object], called: CalledTools) -> Iterator[Message]:
    """Yield the turn; of its thinking what a model here thought, for another server's means nothing to it."""
    found = (seals.of_text(block.data) for block in blocks if isinstance(block, _Redacted))
    sealed = [seal for seal in found if seal is not None]
    of_calls = {call_id: seal for seal, call_id in sealed}
    calls = [
        CalledTool(block.name, block.input, block.id, extra=of_calls.get(block.id))
        for block in blocks
        if isinstance(block, _ToolUse)
    ]
    for call in calls:
        called.add(call.call_id or "", call.name)
    ours = [
        block.thinking
        for block in blocks
        if isinstance(block, _Thinking) and block.signature == ThinkingSeal(block.thinking).signature
    ]
    text = "".join(block.text for block in blocks if isinstance(block, _Text))
    extra = tuple(seal for seal, call_id in sealed if not call_id) or None
    yield Message("assistant", text, "".join(ours) or None, tool_calls=tuple(calls) or None, extra=extra)


def _of_user(blocks: Sequence[object], called: CalledTools) -> Iterator[Message]:
    """Yield a turn for each result of a tool, and one for what is said before and after them."""
    for are_results, run in groupby(blocks, key=lambda block: isinstance(block, _ToolResult)):
        if are_results:
            yield from (_result(block, called) for block in run if isinstance(block, _ToolResult))
        else:
            said = list(run)
            yield Message("user", _text(said), images=_images(said))


_TELL: Final = {"system": _of_system, "assistant": _of_assistant, "user": _of_user}


def _result(result: _ToolResult, called: CalledTools) -> Message:
    name = called.name_of(result.tool_use_id, "tool_use_id of a tool_result")
    text = ("Error: " if result.is_error else "") + _text(result.content)
    return Message("tool", text, images=_images(result.content), tool_name=name, tool_call_id=result.tool_use_id)


def _text(blocks: Iterable[object]) -> str:
    return joined([block.text for block in blocks if isinstance(block, _Text)])


def _images(blocks: Iterable[object]) -> tuple[str, ...] | None:
    return tuple(block.source.data for block in blocks if isinstance(block, _Picture)) or None
