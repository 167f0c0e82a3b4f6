"""The readers of request bodies, a full body for each, and a way to change one field of it.

A gateway has ours, a hop has ours as a gateway wrote it, and the proxy has Ollama's from everybody else.
"""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import orjson

from services.dialects import ollama_request
from services.wire import bodies, body_writer
from services.wire.request import Asked, ModelRequest

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

READERS: dict[str, Callable[[bytes], Asked[ModelRequest]]] = {
    "gateway chat": bodies.gateway_chat,
    "gateway generate": bodies.gateway_generate,
    "hop chat": bodies.hop_chat,
    "hop generate": bodies.hop_generate,
    "proxy chat": ollama_request.chat,
    "proxy generate": ollama_request.generate,
}
ROUTES = tuple(READERS)
CHAT_ROUTES = ("gateway chat", "hop chat", "proxy chat")
GENERATE_ROUTES = ("gateway generate", "hop generate", "proxy generate")
GATEWAY_ROUTES = ("gateway chat", "gateway generate")
HOP_ROUTES = ("hop chat", "hop generate")
OLLAMA_ROUTES = ("proxy chat", "proxy generate")
PROXY_ROUTES = HOP_ROUTES + OLLAMA_ROUTES

# Fields of Ollama's that no route offers.
NOT_OFFERED = {
    "keep_alive": 0,
    "context": [1, 2],
    "template": "{{ .Prompt }}",
    "logprobs": True,
    "top_logprobs": 3,
    "truncate": False,
    "shift": False,
    "_debug_render_only": True,
    "width": 512,
}
OPTIONS_NOT_OFFERED = {"num_ctx": 4096, "num_keep": 4, "num_gpu": 0, "num_thread": 1, "use_mmap": True, "mirostat": 1}


def full_body(route: str) -> dict[str, Any]:
    """Return a fresh body that ``route`` takes as it is."""
    return copy.deepcopy(CHAT if route in CHAT_ROUTES else GENERATE)


def read(route: str, body: object) -> Asked[ModelRequest]:
    """Read ``body`` as ``route`` does."""
    return READERS[route](json.dumps(body).encode())


def sent(asked: Asked[ModelRequest]) -> dict[str, Any]:
    """Return the body that a request is on the hop."""
    body: dict[str, Any] = orjson.loads(body_writer.written(asked.request))
    return body


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
