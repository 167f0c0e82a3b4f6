"""The conversations that a gateway keeps, asked for as another device would."""

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.chain import Server


def conversations(
    gateway: Server, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Any:
    """Ask the gateway's conversations; return what it answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 ours
        f"{gateway.url}/api/conversations{path}",
        data,
        {"Content-Type": "application/json", **(headers or {})},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 ours
        text = answer.read()
    return json.loads(text) if text else None


class Keeping:
    """A gateway with a database, and the page that lists what it keeps."""

    def __init__(self, gateway: Server, page: Server) -> None:
        self.gateway = gateway
        self.page = page

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the gateway's conversations; return what it answers."""
        return conversations(self.gateway, method, path, body)

    def titles(self) -> list[str]:
        return [one["title"] for one in self.ask("GET", "")["conversations"]]

    def messages(self) -> list[dict[str, Any]]:
        """Return those of the newest conversation."""
        newest = self.ask("GET", "")["conversations"][0]["id"]
        messages: list[dict[str, Any]] = self.ask("GET", f"/{newest}/messages")["messages"]
        return messages
