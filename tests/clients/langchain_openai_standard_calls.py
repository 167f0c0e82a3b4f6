"""LangChain's own standard tests of a chat model, for ChatOpenAI at the gateway, on both of OpenAI's APIs.

Run by pytest of an environment that has them (tests/client_environment.py), so it imports nothing of ours:
test_langchain_standard.py says how, and which of them cannot pass.
"""

import os
from typing import Any

from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests


class _Standard(ChatModelIntegrationTests):  # type: ignore[misc] # its package is in another environment
    @property
    def chat_model_class(self) -> Any:
        return ChatOpenAI

    @property
    def supports_image_inputs(self) -> bool:
        return False  # by tests that fetch pictures from elsewhere

    @property
    def enable_vcr_tests(self) -> bool:
        return False


class TestChatCompletions(_Standard):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "tooler", "base_url": os.environ["OPENAI_API_BASE"], "api_key": "none", "stream_usage": True}


class TestResponses(_Standard):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        place = {"base_url": os.environ["OPENAI_API_BASE"], "api_key": "none"}
        return {"model": "tooler", **place, "use_responses_api": True}
