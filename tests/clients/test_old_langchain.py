"""A LangChain a year old at the proxy: what people have installed is not the newest."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain import Chain
from tests.throwaway import INSTALL_TIMEOUT_S, environment

pytestmark = pytest.mark.network

OLD: Final = "langchain-ollama==0.2.*"
ASK_TIMEOUT_S: Final = 60.0
PROGRAM: Final = """
import json, sys
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

host = sys.argv[1]
chat = ChatOllama(base_url=host, model="story", num_ctx=2048, keep_alive="5m")
print(json.dumps({
    "complete": OllamaLLM(base_url=host, model="story").invoke("hi"),
    "complete, streamed": "".join(OllamaLLM(base_url=host, model="story").stream("hi")),
    "chat": chat.invoke("hi").content,
    "chat, streamed": "".join(part.content for part in chat.stream("hi")),
    "embed": OllamaEmbeddings(base_url=host, model="embedder").embed_documents(["a", "b"]),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that has the old one."""
    return environment(tmp_path_factory.mktemp("old"), OLD) / "python"


def said(python: Path, host: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-c", PROGRAM, host], check=True, capture_output=True, text=True, timeout=ASK_TIMEOUT_S
    )
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.timeout(INSTALL_TIMEOUT_S + 2 * ASK_TIMEOUT_S)
def test_every_call_of_the_old_one_gives_through_us_what_it_gives_directly(python: Path, chain: Chain) -> None:
    direct, ours = (said(python, server.url) for server in (chain.simulator, chain.proxy))

    assert ours == direct
    assert all(ours.values())
