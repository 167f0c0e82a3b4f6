"""The four readers of request bodies, a full body for each, and a way to change one field of it."""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

from services.wire import chat

Path = tuple[str | int, ...]

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
CALL = {"function": {"name": "clock", "arguments": {"tz": None}}}
TURNS = [
    {"role": "user", "content": "what time is it"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "12:00", "tool_name": "clock"},
    {"role": "user", "content": "and now"},
]
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "default": None}}}
CHAT = {"model": "m", "messages": TURNS, "tools": [TOOL], "options": {"top_k": 40}}
GENERATE = {"model": "m", "prompt": "hi", "options": {"top_k": 40}}

READERS: dict[str, Callable[[bytes], chat.ModelRequest]] = {
    "gateway chat": chat.gateway_chat,
    "gateway generate": chat.gateway_generate,
    "proxy chat": chat.proxy_chat,
    "proxy generate": chat.proxy_generate,
}
ROUTES = tuple(READERS)
CHAT_ROUTES = ("gateway chat", "proxy chat")
GENERATE_ROUTES = ("gateway generate", "proxy generate")
GATEWAY_ROUTES = ("gateway chat", "gateway generate")
PROXY_ROUTES = ("proxy chat", "proxy generate")


def full_body(route: str) -> dict[str, Any]:
    """Return a fresh body that ``route`` takes as it is."""
    return copy.deepcopy(CHAT if route in CHAT_ROUTES else GENERATE)


def read(route: str, body: object) -> chat.ModelRequest:
    """Read ``body`` as ``route`` does."""
    return READERS[route](json.dumps(body).encode())


def with_field(body: dict[str, Any], path: Path, value: object) -> dict[str, Any]:
    """Return ``body`` with ``value`` at ``path``."""
    *way, last = path
    place: Any = body
    for step in way:
        place = place[step]
    place[last] = value
    return body


def without_field(body: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return ``body`` without what is at ``path``."""
    *way, last = path
    place: Any = body
    for step in way:
        place = place[step]
    place.pop(last, None)
    return body


def field_of(body: Any, path: Path) -> Any:
    """Return what is at ``path``."""
    for step in path:
        body = body[step]
    return body


def name_of(path: Path) -> str:
    """Return the name under which a refusal speaks of ``path``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
