"""One model, one name, at both hops; which model is meant by who names none; and what is said where there is none."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import pytest
from aiohttp import web

from tests.behaviour.connections import calls_of, sample
from tests.behaviour.gate import common_gate, is_idle
from tests.behaviour.script import scripted
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.http.served import served
from tests.reader import Client

SPELLINGS: Final = ("{}", "library/{}", "registry.ollama.ai/library/{}")
STORIES: Final = ("story", "STORY", "library/story", "registry.ollama.ai/library/story:latest")
SIDES: Final = ("proxy", "gateway")
READY_S: Final = 10.0


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=200,load=0,prefill=0"},
            proxy={"PERMITS": "1", "QUEUE_TIMEOUT_S": "10"},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


class ModelServer:
    """As much of an Ollama as lists models and has none that can be asked."""

    def __init__(self, models: Any) -> None:
        self.models = models

    async def version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "0.33.0"})

    async def listed(self, _request: web.Request) -> web.Response:
        return web.json_response({"models": self.models})

    async def not_found(self, request: web.Request) -> web.Response:
        model = (await request.json())["model"]
        return web.json_response({"error": f"model '{model}' not found"}, status=404)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/version", self.version)
        for path in ("/api/tags", "/api/ps"):
            router.add_get(path, self.listed)
        for path in ("/api/generate", "/api/chat", "/api/show"):
            router.add_post(path, self.not_found)


@asynccontextmanager
async def servers_before(chain: Chain, model_server: ModelServer) -> AsyncIterator[tuple[Server, Server]]:
    """A proxy beside this model server, and a gateway in front of it."""
    async with served(model_server.add_routes) as address:
        proxy = await asyncio.to_thread(chain.another_proxy, OLLAMA_URL=f"http://{address.host}:{address.port}")
        gateway = await asyncio.to_thread(chain.another_gateway, PROXY_URL=proxy.url)
        try:
            await soon_ready(gateway)
            yield proxy, gateway
        finally:
            await asyncio.to_thread(gateway.stop)
            await asyncio.to_thread(proxy.stop)


async def soon_ready(gateway: Server) -> None:
    async with Client(gateway.url) as client, asyncio.timeout(READY_S):
        while (await client.get("/readyz")).status != 200:  # noqa: ASYNC110 a process of its own says it on no other way
            await asyncio.sleep(0.02)


def knows_a_list(server: Server) -> bool:
    """A list's first model has series as soon as the list is known."""
    return any("sim:latest" in name for name in server.metrics())


# --- one model, one name


async def test_the_spellings_of_a_model_wait_in_one_line_and_go_on_as_they_were_written(chain: Chain) -> None:
    """PERMITS=1: Ollama would run them side by side, on one permit of its own."""
    model = scripted(tokens=20)
    names = [spelling.format(model.name) for spelling in SPELLINGS]
    async with Client(chain.gateway.url) as client:
        answers = await asyncio.gather(*(client.chat(name) for name in names))
    calls = [call for name in names for call in calls_of(chain, name)]
    calls.sort(key=lambda call: call["opened_at"])

    assert [answer.text for answer in answers] == [model.text] * len(names)
    assert sorted(call["body"]["model"] for call in calls) == sorted(names)
    assert all(before["closed_at"] <= after["opened_at"] for before, after in itertools.pairwise(calls))


async def test_the_spellings_of_a_model_have_one_label_and_one_name_in_the_log(chain: Chain) -> None:
    def counted() -> dict[str, float]:
        labels = {"gen_ai_request_model": "story:latest", "reason": "stop"}
        return {side: sample(getattr(chain, side), "llm_streams_finished_total", **labels) for side in SIDES}

    def logged() -> list[str]:
        lines = [line for side in SIDES for line in getattr(chain, side).events("stream.finished")]
        return [line["model"] for line in lines if "story" in line["model"]]

    await soon(lambda: knows_a_list(chain.proxy) and knows_a_list(chain.gateway), "both know the list")
    for server in (chain.proxy, chain.gateway):  # what others asked for is counted, and has its lines
        await soon(partial(is_idle, server), "all is over")
    before, lines = counted(), len(logged())
    async with Client(chain.gateway.url) as client:
        for name in STORIES:
            assert (await client.chat(name)).reason == "stop"
    await soon(lambda: len(logged()) == lines + 2 * len(STORIES), "both servers' lines")

    assert {side: count - before[side] for side, count in counted().items()} == dict.fromkeys(SIDES, len(STORIES))
    assert set(logged()) == {"story:latest"}


# --- which models there are


async def test_the_simulator_s_models_are_marked_and_the_default_is_one_that_chats(chain: Chain) -> None:
    async with Client(chain.gateway.url) as client:
        models = json.loads((await client.get("/api/models")).body)["models"]

    assert {model["simulated"] for model in models} == {True}
    assert [model["name"] for model in models if model["default"]] == ["sim:latest"]


@pytest.mark.parametrize("models", [[], None])
async def test_where_no_model_is_installed_both_hops_say_how_to_install_one(chain: Chain, models: Any) -> None:
    async with (
        servers_before(chain, ModelServer(models)) as (proxy, gateway),
        Client(gateway.url) as client,
        Client(proxy.url) as direct,
    ):
        refusals = [
            await client.ask("/api/chat/stream", {"message": "hi"}),
            await client.ask("/api/chat/stream", {"model": "llama3.2", "message": "hi"}),
            await direct.ask("/api/generate/stream", {"model": "llama3.2", "prompt": "hi"}),
        ]
        ollamas = await direct.ask("/api/generate", {"model": "llama3.2", "prompt": "hi"})

    assert [(refusal.status, refusal.error["code"]) for refusal in refusals] == [(404, "model_not_found")] * 3
    assert {refusal.error["message"] for refusal in refusals} == {
        "No model is installed. Install one: `ollama pull llama3.2`."
    }
    assert ollamas.status == 404
    assert b"ollama pull llama3.2" in ollamas.body


async def test_an_embedder_pulled_last_is_not_the_default_where_no_capabilities_are_listed(chain: Chain) -> None:
    models = [
        {"name": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
        {"name": "all-minilm:latest", "details": {"family": "bert"}},
        {"name": "llama3.2:latest", "details": {"family": "llama"}},
    ]
    async with servers_before(chain, ModelServer(models)) as (_, gateway), Client(gateway.url) as client:
        refusal = await client.ask("/api/chat/stream", {"message": "hi"})

    assert refusal.error["message"] == "model 'llama3.2:latest' not found"
