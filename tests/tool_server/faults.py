"""Messages of a server of tools: each fault is a tool. Plain Python, so that it starts at once."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

Reply = dict[str, Any] | None

OWN_ERROR: Final = -31999
CLOSED: Final = -32000
"""The package's own word for a connection that is closed; a server may use it, too."""
ENDLESS_BYTES: Final = 9 << 20
FLOOD: Final = 5_000
LONG_ID: Final = "x" * 4096
"""An answer carries it back: so many of them fit into no pipe."""

_held: list[Any] = []


def seen(words: str) -> None:
    """Write a line into the file that $SEEN names."""
    if path := os.environ.get("SEEN"):
        with Path(path).open("a") as file:
            file.write(words + "\n")


def send(message: Mapping[str, Any]) -> None:
    """Write one message to stdout."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def told(words: str) -> dict[str, Any]:
    """Return a result of one text."""
    return {"result": {"content": [{"type": "text", "text": words}]}}


def _endless(_message: Mapping[str, Any]) -> Reply:
    sys.stdout.write("x" * ENDLESS_BYTES)
    sys.stdout.flush()
    return None


def _flood(_message: Mapping[str, Any]) -> Reply:
    for number in range(FLOOD):
        send({"id": f"{LONG_ID}{number}", "method": "ping"})
    return told("flooded")


def _held_call(message: Mapping[str, Any]) -> Reply:
    _held.append(message["id"])
    return None


def _let_go(_message: Mapping[str, Any]) -> Reply:
    send({"id": _held.pop(), **told("let go")})
    return told("done")


TOOLS: Final[Mapping[str, Callable[[Mapping[str, Any]], Reply]]] = {
    "echo": lambda message: told(message["params"]["arguments"]["text"]),
    "hang": lambda _: None,
    "held": _held_call,
    "let_go": _let_go,
    "refuse": lambda _: {"error": {"code": OWN_ERROR, "message": "not today"}},
    "close": lambda _: {"error": {"code": CLOSED, "message": "the shop is closed"}},
    "big": lambda _: {"result": {"content": [], "structuredContent": {"id": 1 << 70}}},
    "half": lambda _: told("half \ud83d"),
    "formless": lambda _: {"result": {"content": "no list"}},
    "endless": _endless,
    "flood": _flood,
}


def answer(message: Mapping[str, Any]) -> Reply:
    """Return what a message is answered with; None for nothing."""
    params = message.get("params") or {}
    match message.get("method"):
        case "initialize":
            server = {"name": "faults", "version": "1"}
            about = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
            return {"result": about}
        case "tools/list":
            return {"result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}}
        case "tools/call":
            seen(params["name"])
            return TOOLS[params["name"]](message)
        case "notifications/cancelled":
            seen("cancelled")
        case "ping":
            return {"result": {}}
    return {"error": {"code": -32601, "message": "Method not found"}}
