"""LangChain's own standard tests of a chat model, for ChatAnthropic at the gateway.

Run by pytest of an environment that has them (tests/client_environment.py), so it imports nothing of ours:
test_langchain_anthropic.py says how, and which of them cannot pass.
"""

import os
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestChatAnthropic(ChatModelIntegrationTests):  # type: ignore[misc] # its package is in another environment
    @property
    def chat_model_class(self) -> Any:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        place = {"base_url": os.environ["ANTHROPIC_BASE_URL"], "api_key": "none"}
        return {"model": "tooler", **place, "max_tokens": 1000, "max_retries": 0}
