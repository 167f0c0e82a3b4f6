"""Which language a path is spoken in: whose shape its refusals have, and which rules its requests are held to."""

from collections.abc import Mapping
from typing import Final

from services.dialects import ollama, openai_error
from services.dialects.dialect import Refusal
from services.wire import native

OLLAMA: Final = "/ollama/"
V1: Final = "/v1/"
UI: Final = "/api/ui/"


def is_foreign(path: str) -> bool:
    """Whether the languages of other makers are spoken there: their bodies, limits and headers are not ours."""
    return path.startswith((V1, UI))


def refusal_of(path: str, _headers: Mapping[str, str]) -> Refusal:
    """Return who writes a failure before the stream, whatever refused it: also a wrong path, a Host, a key."""
    if path.startswith(OLLAMA):
        return ollama.refusal
    if path.startswith(V1):
        return openai_error.refusal
    return native.refusal
