"""LangChain's own standard tests of a chat model, for ChatOllama at the gateway.

Run by pytest of an environment that has them (tests/client_environment.py), so it imports nothing of ours:
test_langchain_anthropic.py says how, and which of them cannot pass.
"""

import os
from typing import Any

from langchain_ollama import ChatOllama
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatOllama(ChatModelIntegrationTests):  # type: ignore[misc] # its package is in another environment
    @property
    def chat_model_class(self) -> Any:
        return ChatOllama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tooler", "base_url": os.environ["OLLAMA_BASE_URL"]}

    @property
    def has_tool_choice(self) -> bool:
        return False  # Ollama has no such thing
