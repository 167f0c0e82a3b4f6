"""The bodies' fields: their types and limits, declared, and every refusal in our words.

    bytes -> read() -> one JSON object -> validated() -> a model of the side and the route, or BadBody

What the fields mean together is chat.py's. The rules are PROTOCOL.md's, "Bodies".
"""

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from services.wire import json_text
from services.wire.events import Code
from services.wire.json_text import loads
from services.wire.model_names import MAX_MODEL_CHARACTERS
from services.wire.schema import is_schema

MAX_DEPTH: Final = 160
"""Levels of a body: what was streamed comes back as history, six levels down, and an attack does not."""
MAX_MESSAGES: Final = 1000
MAX_IMAGES: Final = 16
MAX_TOOLS: Final = 128
MAX_STOPS: Final = 16
MAX_SCHEMA_BYTES: Final = 64 << 10
_MAX_SHOWN_NAME: Final = 64  # characters of a client's field name in a message

# What fits Ollama's options: float32; for integers its runner's int32, for the seed int64.
_FLOAT32: Final = 3.4028234663852886e38
_INT32: Final = 2**31
_INT64: Final = 2**63

_GATEWAY_ROLES: Final = ("system", "user", "assistant", "tool")
_MAX_ROLE: Final = 64  # characters
_THINK_WORD: Final = re.compile(r"[A-Za-z]{1,16}")
_MAX_TOOL_TYPE: Final = 64  # characters
_MAX_DURATION: Final = 32  # characters of a Go duration
_LINE_BREAKS: Final = {ord("\r"): None, ord("\n"): None}
_IMAGE_HEAD: Final = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)


class BadBody(Exception):
    """The body is refused; ``message``, of at most 300 characters, names the field and repeats nothing else of it."""

    code: ClassVar[Code] = Code.INVALID_REQUEST

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _think(value: object) -> object:
    """Take any word: which of them mean something only the model server knows, and it learns new ones."""
    if isinstance(value, bool) or (isinstance(value, str) and _THINK_WORD.fullmatch(value)):
        return value
    raise PydanticCustomError("think", "must be true, false or a word of 1 to 16 letters")


def _format(value: object) -> object:
    if value == "json" or (is_schema(value) and len(orjson.dumps(value)) <= MAX_SCHEMA_BYTES):
        return value
    raise PydanticCustomError("format", 'must be "json" or a JSON schema of at most 64 KiB')


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


def _whole(value: object) -> object:
    """Return a whole number as an integer however it is written: many languages know one kind of number alone."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _keep_alive(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and len(value) <= _MAX_DURATION):
        return value
    raise PydanticCustomError("keep_alive", "must be a number of seconds or a duration of at most 32 characters")


def _input(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        return value
    raise PydanticCustomError("input", "must be a string or a list of strings")


def _image(value: str) -> str:
    """Refuse what is no picture by its first bytes: a URL would make the model server fetch it.

    Line breaks are part of the base64 that MIME's encoders write, and Go's decoder skips them.
    """
    try:
        data = base64.b64decode(value.translate(_LINE_BREAKS), validate=True)
    except ValueError:
        data = b""
    if _IMAGE_HEAD.match(data):
        return value
    raise PydanticCustomError("image", "must be the plain base64 of a PNG, JPEG, WebP or GIF image")


_Float = Annotated[float, Field(ge=-_FLOAT32, le=_FLOAT32)]
_Integer = Annotated[int, Field(ge=-_INT32, le=_INT32 - 1), BeforeValidator(_whole)]
_Seed = Annotated[int, Field(ge=-_INT64, le=_INT64 - 1), BeforeValidator(_whole)]
_Name = Annotated[str, Field(min_length=1)]
_Image = Annotated[str, AfterValidator(_image)]
_Images = Annotated[list[_Image], Field(max_length=MAX_IMAGES, fail_fast=True)]


class Part(BaseModel):
    """An object of a body: strict types, and null is absent.

    ``EMPTY_IS_ABSENT`` names the fields of which Ollama takes the empty string for none, too.
    """

    EMPTY_IS_ABSENT: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _present(cls, given: object) -> object:
        """Leave out the nulls, and all unknown keys but the first: to name 100,000 of them would take half a second."""
        if not isinstance(given, dict):
            return given
        fields = cls.model_fields
        known = {name: given[name] for name in fields if given.get(name) is not None}
        for name in cls.EMPTY_IS_ABSENT:
            if known.get(name) == "":
                del known[name]
        first = next((name for name in given if name not in fields and given[name] is not None), None)
        return known if first is None else {**known, first: None}


class _Options(Part):
    temperature: _Float | None = None
    top_k: _Integer | None = None
    top_p: _Float | None = None
    min_p: _Float | None = None
    typical_p: _Float | None = None
    seed: _Seed | None = None
    num_predict: _Integer | None = None
    stop: Annotated[list[str], Field(max_length=MAX_STOPS, fail_fast=True)] | None = None
    repeat_last_n: _Integer | None = None
    repeat_penalty: _Float | None = None
    presence_penalty: _Float | None = None
    frequency_penalty: _Float | None = None


OPTIONS: Final = tuple(_Options.model_fields)
"""The options that every answer may be asked with."""


class _ProxyOptions(_Options):
    """With those of the runner that an operator may let through: each other value loads the model anew."""

    num_ctx: _Integer | None = None
    num_thread: _Integer | None = None
    num_gpu: _Integer | None = None
    num_batch: _Integer | None = None


class _CalledFunction(Part):
    name: _Name
    arguments: dict[str, Any] | None = None
    index: _Integer | None = None


class _ToolCall(Part):
    id: str | None = None
    function: _CalledFunction


class _Message(Part):
    role: Annotated[str, AfterValidator(_role)]
    content: str | None = None
    thinking: str | None = None
    images: _Images | None = None
    tool_calls: Annotated[list[_ToolCall], Field(fail_fast=True)] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _GatewayMessage(_Message):
    role: Annotated[str, AfterValidator(_gateway_role)]


class _OfferedFunction(Part):
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Part):
    type: Annotated[str, Field(max_length=_MAX_TOOL_TYPE)] | None = None
    function: _OfferedFunction


_Model = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
_KeepAlive = Annotated[int | float | str, PlainValidator(_keep_alive)]
_Tools = Annotated[list[_Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]


class Body(Part):
    """What every body may hold that asks for an answer."""

    EMPTY_IS_ABSENT = frozenset({"format"})

    model: _Model | None = None
    think: Annotated[bool | str, PlainValidator(_think)] | None = None
    format: Annotated[str | dict[str, Any], PlainValidator(_format)] | None = None
    options: _Options | None = None
    stream: bool | None = None


class _Generate(Body):
    """What every generate body may hold."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = None
    images: _Images | None = None


class ProxyBody(Body):
    """What every body at the proxy may hold, which is Ollama's."""

    options: _ProxyOptions | None = None
    keep_alive: _KeepAlive | None = None


class ProxyChat(ProxyBody):
    """The proxy's chat body."""

    messages: Annotated[list[_Message], Field(max_length=MAX_MESSAGES, fail_fast=True)] | None = None
    tools: _Tools | None = None


class ProxyGenerate(ProxyBody, _Generate):
    """The proxy's generate body."""

    raw: bool | None = None


class Embed(Part):
    """The proxy's body of ``/api/embed``."""

    model: _Model | None = None
    input: Annotated[str | list[str], PlainValidator(_input)] | None = None
    dimensions: _Integer | None = None
    truncate: bool | None = None
    options: _ProxyOptions | None = None
    keep_alive: _KeepAlive | None = None


class Embeddings(Part):
    """The proxy's body of the older ``/api/embeddings``."""

    model: _Model | None = None
    prompt: str | None = None
    options: _ProxyOptions | None = None
    keep_alive: _KeepAlive | None = None


class Show(Part):
    """The proxy's body of ``/api/show``; ``name`` is what older clients call the model."""

    EMPTY_IS_ABSENT = frozenset({"model", "name"})

    model: _Model | None = None
    name: _Model | None = None


class GatewayBody(Body):
    """What every body at the gateway may hold."""

    on_disconnect: Literal["cancel", "continue"] = "cancel"
    conversation_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,64}$")] | None = None


class GatewayChat(GatewayBody):
    """The gateway's chat body: ``message`` and ``system`` are short for messages."""

    messages: Annotated[list[_GatewayMessage], Field(max_length=MAX_MESSAGES, fail_fast=True)] | None = None
    tools: _Tools | None = None
    message: str | None = None
    system: str | None = None


class GatewayGenerate(GatewayBody, _Generate):
    """The gateway's generate body."""


_Validated = TypeVar("_Validated", bound=Part)


def read(raw: bytes) -> dict[str, Any]:
    """Return the object in ``raw``; of a key given twice the last counts, as it does at Ollama.

    Raises:
        BadBody: not JSON, not an object, or nested deeper than 160.
    """
    try:
        given = loads(raw)  # refuses more than 1,024 levels by itself
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or json_text.is_deeper_than(MAX_DEPTH, given):
        raise BadBody(f"Send one JSON object, in UTF-8, nested at most {MAX_DEPTH} levels deep")
    return given


def validated(model: type[_Validated], given: dict[str, Any], *, extra: Literal["forbid", "ignore"]) -> _Validated:
    """Return ``given`` as ``model``; unknown keys, at any depth that we declare, are refused or left out.

    Raises:
        BadBody: with the first fault, in the order of the declarations, unknown keys last.
    """
    try:
        return model.model_validate(given, extra=extra)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_input=False)[0]
    raise BadBody(_in_our_words(fault))  # outside the except: pydantic's error holds the body


# pydantic's error types in words that follow the field's name; in braces what pydantic tells about its own limit.
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_long": "must have at most {max_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def _in_our_words(fault: ErrorDetails) -> str:
    field = _path(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown field: {field}"
    words = _WORDS.get(fault["type"], fault["msg"])  # the message of a PydanticCustomError is our own
    return f"{field} {words.format_map(fault.get('ctx', {}))}"


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in loc).removeprefix(".")


def _shown(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:_MAX_SHOWN_NAME])
