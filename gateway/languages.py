"""Which language a path is spoken in: whose shape its refusals have, and which rules its requests are held to."""

from collections.abc import Mapping
from typing import Final

from services.dialects import ai_sdk, anthropic, ollama, openai_error
from services.dialects.dialect import Refusal
from services.wire import native

OLLAMA: Final = "/ollama/"
V1: Final = "/v1/"
UI: Final = "/api/ui/"
_MESSAGES: Final = "/v1/messages"


def is_foreign(path: str) -> bool:
    """Whether the languages of other makers are spoken there: their bodies, limits and headers are not ours."""
    return path.startswith((V1, UI))


def is_anthropic(path: str, headers: Mapping[str, str]) -> bool:
    """Whether Anthropic's language is meant, where paths alone do not tell it from OpenAI's: their models' are one."""
    return path == _MESSAGES or path.startswith(f"{_MESSAGES}/") or "anthropic-version" in headers


def refusal_of(path: str, headers: Mapping[str, str]) -> Refusal:
    """Return who writes a failure before the stream, whatever refused it: also a wrong path, a Host, a key."""
    if path.startswith(OLLAMA):
        return ollama.refusal
    if path.startswith(UI):
        return ai_sdk.refusal
    if path.startswith(V1):
        return anthropic.refusal if is_anthropic(path, headers) else openai_error.refusal
    return native.refusal
