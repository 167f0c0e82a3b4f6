"""Every kind of model server that there is, by the word that the operator's file has for it. Pure."""

from collections.abc import Mapping
from typing import Final

from proxy.providers import (
    anthropic_refusal,
    anthropic_request,
    gemini_refusal,
    gemini_request,
    ollama_refusal,
    ollama_request,
    openai_refusal,
    openai_request,
)
from proxy.providers.anthropic import AnthropicAdapter
from proxy.providers.gemini import GeminiAdapter
from proxy.providers.groq import GroqAdapter
from proxy.providers.history import is_conversation
from proxy.providers.ollama import OllamaAdapter
from proxy.providers.openai import OpenAIAdapter
from proxy.providers.provider import Provider
from services.wire.request import ModelRequest


def _anything(_request: ModelRequest) -> bool:
    return True


_ALL: Final = (
    Provider(
        OllamaAdapter.name,
        None,
        needs_key=False,
        adapter=OllamaAdapter,
        takes=_anything,
        check=ollama_request.check,
        checked=ollama_refusal.checked,
    ),
    Provider(
        OpenAIAdapter.name,
        "https://api.openai.com/v1",
        needs_key=False,
        adapter=OpenAIAdapter,
        takes=is_conversation,
        check=openai_request.check,
        checked=openai_refusal.checked,
    ),
    Provider(
        GroqAdapter.name,
        "https://api.groq.com/openai/v1",
        needs_key=True,
        adapter=GroqAdapter,
        takes=is_conversation,
        check=openai_request.check,
        checked=openai_refusal.checked,
    ),
    Provider(
        AnthropicAdapter.name,
        "https://api.anthropic.com",
        needs_key=True,
        adapter=AnthropicAdapter,
        takes=anthropic_request.takes,
        check=anthropic_request.check,
        checked=anthropic_refusal.checked,
    ),
    Provider(
        GeminiAdapter.name,
        "https://generativelanguage.googleapis.com",
        needs_key=True,
        adapter=GeminiAdapter,
        takes=is_conversation,
        check=gemini_request.check,
        checked=gemini_refusal.checked,
    ),
)
PROVIDERS: Final[Mapping[str, Provider]] = {provider.name: provider for provider in _ALL}
