"""A tool of this server, what a call of it came to, and how long a result may be. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as a model is offered it.

    Attributes:
        parameters: the JSON schema of its arguments.
        confirm: whether a person must approve each call.
        server: the operator's name for where it runs.
        approval_s: how long that person may take, in seconds.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    confirm: bool
    server: str
    approval_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: text for the model, whether or not it went well."""

    ok: bool
    text: str


def cut(text: str, most_bytes: int) -> str:
    """Return ``text``, cut at a character where it is longer than ``most_bytes`` of UTF-8; who reads it is told so."""
    data = text.encode()
    if len(data) <= most_bytes:
        return text
    kept = data[:most_bytes].decode(errors="ignore")
    return f"{kept}[cut: {len(kept.encode())} of {len(data)} bytes]"
