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
