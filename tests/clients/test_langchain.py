"""LangChain's ChatOllama at the proxy, against itself at the model server."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx
import ollama
import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_ollama import ChatOllama, OllamaLLM

from tests.chain import Chain
from tests.clients.calls import BREAKS, CLOCK, HELLO, PNG
from tests.clients.outcome import Row, innermost

CLIENT: Final = {"timeout": 10.0, "verify": False, "limits": httpx.Limits(max_keepalive_connections=0)}
"""LangChain never closes its clients: they may keep no connection."""
TIMES: Final = {"created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
PICTURE: Final = [
    {
        "role": "user",
        "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": f"data:;base64,{PNG}"}],
    }
]

CASES: Final[dict[str, dict[str, Any]]] = {
    "plain": {"model": "story"},
    "with options": {
        "model": "sim:tokens=60",
        "num_predict": 9,
        "temperature": 0.5,
        "stop": ["never"],
        "num_ctx": 2048,
    },
    "thinks": {"model": "thinker", "reasoning": True},
    "may not think": {"model": "thinker", "reasoning": False},
    "in a format": {"model": "story", "format": "json"},
    "with tools": {"model": "tooler", "tools": [CLOCK]},
    "calls three tools": {"model": "tooler:calls=3", "tools": [CLOCK, CLOCK]},
    "with an image": {"model": "story", "asked": PICTURE},
    "an unknown model": {"model": "nobody"},
}


def chat_of(host: str, given: dict[str, Any]) -> Any:
    """Return the model that a program would make of a case."""
    settings = {name: value for name, value in given.items() if name not in {"tools", "asked"}}
    chat = ChatOllama(base_url=host, client_kwargs=CLIENT, **settings)
    return chat.bind_tools(given["tools"]) if "tools" in given else chat


def invoked(host: str, given: dict[str, Any]) -> BaseMessage:
    message: BaseMessage = chat_of(host, given).invoke(given.get("asked", HELLO))
    return message


def joined(parts: list[AIMessageChunk]) -> BaseMessage:
    message: BaseMessage = AIMessageChunk.__add__(parts[0], parts[1:])
    return message


def streamed(host: str, given: dict[str, Any]) -> BaseMessage:
    return joined(list(chat_of(host, given).stream(given.get("asked", HELLO))))


def streamed_by_asyncio(host: str, given: dict[str, Any]) -> BaseMessage:
    async def ask() -> BaseMessage:
        return joined([part async for part in chat_of(host, given).astream(given.get("asked", HELLO))])

    return asyncio.run(ask())


WAYS: Final[dict[str, Callable[[str, dict[str, Any]], BaseMessage]]] = {
    "invoke": invoked,
    "stream": streamed,
    "astream": streamed_by_asyncio,
}


def outcome_of(way: str, host: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the whole message but for its times and the ids that LangChain draws; or the exception."""
    try:
        message = WAYS[way](host, given)
    except (ollama.ResponseError, httpx.HTTPError, ValueError) as exc:
        return {
            "error": type(exc).__name__,
            "text": innermost(getattr(exc, "error", str(exc))),
            "status": getattr(exc, "status_code", 0),
        }
    said = message.model_dump(exclude={"id", "tool_call_chunks"})
    said["response_metadata"] = {key: value for key, value in said["response_metadata"].items() if key not in TIMES}
    for call in said["tool_calls"]:
        del call["id"]
    return said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_a_call_gives_through_us_what_it_gives_directly(case: str, way: str, chain: Chain, rows: list[Row]) -> None:
    direct, ours = (outcome_of(way, server.url, CASES[case]) for server in (chain.simulator, chain.proxy))
    verdict = "equal" if direct == ours else "values"
    rows.append(Row("LangChain", f"{way} {case}", cell(direct), cell(ours), verdict))

    assert ours == direct


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", BREAKS)
def test_an_answer_that_breaks_off_raises(how: str, way: str, chain: Chain, rows: list[Row]) -> None:
    direct, ours = (outcome_of(way, server.url, {"model": BREAKS[how]}) for server in (chain.simulator, chain.proxy))
    rows.append(Row("LangChain", f"{way} {how}", cell(direct), cell(ours), "an error line, whatever broke"))

    assert ours["error"] == "ResponseError"
    assert ours["text"].startswith("The model server")


def cell(said: dict[str, Any]) -> str:
    """Say it in a cell of the table."""
    return f"{said['error']} {said['status']}" if "error" in said else f"{len(said['content'])} characters"


@pytest.mark.parametrize("asked", ["hi", "tell"])
def test_its_completion_model_gives_what_it_gives_directly(asked: str, chain: Chain) -> None:
    """It sends `"format": ""` with every call, which means none."""
    direct, ours = (
        OllamaLLM(base_url=server.url, model="story", client_kwargs=CLIENT).invoke(asked)
        for server in (chain.simulator, chain.proxy)
    )

    assert ours == direct != ""
