"""What Ollama makes of a request body, in its order, with its words and statuses.

Each text stands in a recording of tests/captures (generate_wrong_type_*, generate_option_type_*, chat_*). What it
finds out about the model comes later: see :mod:`.models` and :func:`refuse_capabilities`.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.simulator import gojson
from services.simulator.gojson import GoError, Shape
from services.simulator.lines import Endpoint

DEFAULT_NUM_CTX: Final = 4096
THINK_LEVELS: Final = frozenset({"high", "medium", "low", "max"})
_GENERATE: Final = Shape("GenerateRequest", {
    "model": "string", "prompt": "string", "suffix": "string", "system": "string", "template": "string",
    "context": "[]int", "stream": "bool", "raw": "bool", "format": None, "keep_alive": None,
    "images": "[]api.ImageData", "options": "map[string]interface {}", "think": None, "truncate": "bool",
    "shift": "bool", "logprobs": "bool", "top_logprobs": "int", "_debug_render_only": "bool",
})  # fmt: skip
_CHAT: Final = Shape("ChatRequest", {
    "model": "string", "messages": "[]api.Message", "stream": "bool", "format": None, "keep_alive": None,
    "tools": "api.Tools", "options": "map[string]interface {}", "think": None, "truncate": "bool", "shift": "bool",
    "logprobs": "bool", "top_logprobs": "int", "_debug_render_only": "bool",
})  # fmt: skip
_MESSAGE: Final = Shape("Message", {
    "role": "string", "content": "string", "thinking": "string", "images": "[]api.ImageData",
    "tool_calls": "[]api.ToolCall", "tool_name": "string", "tool_call_id": "string",
})  # fmt: skip
_INTEGERS: Final = frozenset({
    "num_keep", "seed", "num_predict", "top_k", "repeat_last_n", "num_ctx", "num_batch", "num_gpu", "main_gpu",
    "num_thread", "draft_num_predict",
})  # fmt: skip
_FLOATS: Final = frozenset({
    "top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty",
})  # fmt: skip
_DURATION_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\r\n]*")


class InvalidRequest(Exception):
    """The request is answered with ``status`` and an error object that says ``text``."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Ask:
    """What a body to /api/generate or /api/chat asks for."""

    endpoint: Endpoint
    model: str
    stream: bool = True
    prompt: str = ""
    has_system: bool = False
    messages: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    images: bool = False
    suffix: bool = False
    raw: bool = False
    format: Any = None
    think: bool | str | None = None
    keep_alive_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it only loads or unloads the model."""
        return not (self.prompt if self.endpoint == "generate" else self.messages)

    @property
    def num_predict(self) -> int:
        """The most tokens that are said: what was asked for, or ten times the context as Ollama bounds the rest."""
        asked = int(self.options.get("num_predict") or 0)
        return asked if asked > 0 else 10 * self.num_ctx

    @property
    def num_ctx(self) -> int:
        """The context that the runner must have, in tokens."""
        return max(4, int(self.options.get("num_ctx") or DEFAULT_NUM_CTX))

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the simulator counts for the prompt: one for four characters, and one to begin with."""
        text = self.prompt + "".join(str(message.get("content", "")) for message in self.messages)
        return 1 + (len(text) + 3) // 4


def read_ask(endpoint: Endpoint, body: bytes) -> Ask:
    """Return what ``body`` asks of ``endpoint``.

    Raises:
        InvalidRequest: the body is none, or not of the endpoint's form.
    """
    if not body:
        raise InvalidRequest(400, "missing request body")
    try:
        fields = gojson.fill(gojson.decode(body), _GENERATE if endpoint == "generate" else _CHAT)
        ask = _generate(fields) if endpoint == "generate" else _chat(fields)
    except GoError as exc:
        raise InvalidRequest(400, str(exc)) from None
    if not 0 <= fields.get("top_logprobs", 0) <= 20:
        raise InvalidRequest(400, "top_logprobs must be between 0 and 20")
    return ask


def read_model(body: bytes) -> str:
    """Return the model that a body to /api/show names.

    Raises:
        InvalidRequest: there is no body, or it is of another form.
    """
    if not body:
        raise InvalidRequest(400, "missing request body")
    try:
        fields = gojson.fill(gojson.decode(body), Shape("ShowRequest", {"model": "string", "name": "string"}))
    except GoError as exc:
        raise InvalidRequest(400, str(exc)) from None
    return gojson.replace_lone_surrogates(fields.get("model") or fields.get("name") or "")


def refuse_options(options: Mapping[str, Any]) -> None:
    """Refuse an option of the wrong type; unknown ones are ignored, whole numbers may be written as floats.

    Raises:
        InvalidRequest: 500, as Ollama has it.
    """
    for name, value in options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None:
            continue
        if name in _INTEGERS and not number:
            raise InvalidRequest(500, f'option "{name}" must be of type integer')
        if name in _FLOATS and not number:
            raise InvalidRequest(500, f'option "{name}" must be of type float32')
        if name == "use_mmap" and not isinstance(value, bool):
            raise InvalidRequest(500, f'option "{name}" must be of type boolean')
        if name == "stop" and not isinstance(value, list):
            raise InvalidRequest(500, f'option "{name}" must be of type array')


def refuse_format(value: Any) -> None:
    """Refuse a format that is neither "json" nor a schema; Ollama finds out only when the model is loaded.

    Raises:
        InvalidRequest: 500, as Ollama has it.
    """
    if value in ("", None, "json") or isinstance(value, dict):
        return
    raw = json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')
    raise InvalidRequest(500, f'invalid format: "{raw}"; expected "json" or a valid JSON Schema object')


def duration_s(value: Any) -> float | None:
    """Return a keep-alive in seconds: a number of them, or Go's words for a duration; infinity if it is negative.

    Raises:
        GoError: in Go's words.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise GoError(f"Unsupported type: '{_go_name(value)}'")
    seconds = _parse_duration(value) if isinstance(value, str) else float(value)
    return float("inf") if seconds < 0 else seconds


def _go_name(value: Any) -> str:
    return {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}[type(value)]


def _parse_duration(text: str) -> float:
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    for match in _DURATION_PART.finditer(rest):
        number, unit = match.groups()
        if match.start() != position:
            break
        if not unit:
            raise GoError(f'time: missing unit in duration "{text}"')
        if unit not in _DURATION_S:
            raise GoError(f'time: unknown unit "{unit}" in duration "{text}"')
        total, position = total + float(number) * _DURATION_S[unit], match.end()
    if not rest or position != len(rest):
        raise GoError(f'time: invalid duration "{text}"')
    return -total if text.startswith("-") else total


def _generate(fields: dict[str, Any]) -> Ask:
    _refuse_images(fields.get("images", ()), "GenerateRequest.images")
    return Ask(
        "generate",
        prompt=fields.get("prompt", ""),
        has_system=bool(fields.get("system") or fields.get("template") or fields.get("context")),
        images=bool(fields.get("images")),
        suffix=bool(fields.get("suffix")),
        raw=fields.get("raw", False),
        **_shared(fields),
    )


def _chat(fields: dict[str, Any]) -> Ask:
    messages = [_message(message) for message in fields.get("messages", ())]
    return Ask(
        "chat",
        messages=messages,
        tools=[tool for tool in fields.get("tools", ()) if isinstance(tool, dict)],
        images=any(message.get("images") for message in messages),
        **_shared(fields),
    )


def _shared(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": gojson.replace_lone_surrogates(fields.get("model", "")),
        "stream": fields.get("stream", True),
        "format": fields.get("format"),
        "think": _think(fields.get("think")),
        "keep_alive_s": duration_s(fields.get("keep_alive")),
        "options": fields.get("options", {}),
    }


def _message(value: Any) -> dict[str, Any]:
    message = gojson.fill(value, _MESSAGE, "ChatRequest.messages")
    _refuse_images(message.get("images", ()), "ChatRequest.messages.images")
    for call in message.get("tool_calls", ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            raise GoError("Value looks like object, but can't find closing '}' symbol")  # recorded for "{}"
    return message


def _think(value: Any) -> bool | str | None:
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value in THINK_LEVELS):
        return value
    choices = '"high", "medium", "low", "max", true, or false'
    if isinstance(value, str):
        raise GoError(f'invalid think value: "{value}" (must be {choices})')
    raise GoError(f"think must be a boolean or string ({choices})")


def _refuse_images(images: Sequence[Any], place: str) -> None:
    for image in images:
        gojson.check(image, "string", place)
        good = _BASE64.match(image)
        end = good.end() if good is not None else 0
        try:
            base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError):
            raise GoError(f"illegal base64 data at input byte {end}") from None
