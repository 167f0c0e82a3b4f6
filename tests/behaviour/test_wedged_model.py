"""A model that lost its permit to a client that left, as Ollama's #17131: noticed, named, and cured where allowed."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of, gateway_beside, sample
from tests.behaviour.gate import common_gate
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.reader import Answer, Client

MODEL: Final = "sim"
LISTED_AS: Final = "sim:latest"
FIRST_TOKEN_TIMEOUT_S: Final = 5.0


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """Whoever leaves early takes the model's one permit along."""
    with (
        running_chain(
            simulator={"SCRIPT": "rate=50,fault=wedge", "NUM_PARALLEL": "1"},
            proxy={"FIRST_TOKEN_TIMEOUT_S": f"{FIRST_TOKEN_TIMEOUT_S:g}"},
        ) as chain,
        common_gate(chain),
    ):
        yield chain


@contextmanager
def impatient(chain: Chain, **settings: str) -> Iterator[tuple[Server, Server]]:
    """Run one more proxy, to which a wait of a second is suspicious already, and a gateway of it."""
    named = {f"SLUICE_PROXY_{name}": value for name, value in settings.items()}
    proxy = Server("tests.behaviour.impatient_proxy", {**chain.proxy_environ, **named})
    try:
        with gateway_beside(chain, PROXY_URL=proxy.url) as gateway:
            eventually(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready")
            yield proxy, gateway
    finally:
        proxy.stop()
        unload(chain)


def unload(chain: Chain) -> None:
    """Unload the model by hand, as the troubleshooting says."""
    body = json.dumps({"model": MODEL, "keep_alive": 0}).encode()
    urllib.request.urlopen(f"{chain.simulator.url}/api/generate", body, timeout=5).close()  # noqa: S310 ours


async def leaves_early(proxy: Server, gateway: Server) -> None:
    async with SocketClient.connected(gateway.port) as client:
        await client.chat(MODEL)
        await client.until_tokens(1)
        client.fin()
    await soon(lambda: sample(proxy, "llm_streams_active") == 0, "the stream of who left is over")


async def answer_of(gateway: Server) -> Answer:
    async with Client(gateway.url) as client:
        return await client.chat(MODEL)


def health(server: Server) -> tuple[int, dict[str, Any]]:
    status, body = server.get("/health")
    return status, json.loads(body)


async def test_a_wedged_model_is_named_until_it_is_unloaded(chain: Chain) -> None:
    with impatient(chain) as (proxy, gateway):
        await leaves_early(proxy, gateway)
        async with SocketClient.connected(gateway.port) as waiting:
            await waiting.chat(MODEL)
            await soon(lambda: health(proxy)[1]["status"] == "degraded", "it is noticed")
            status, page = health(proxy)
            gauge = sample(proxy, "llm_model_wedged", gen_ai_request_model=LISTED_AS)
            ready = proxy.get("/readyz")[0]
            answer = await waiting.until_end()
        still = health(proxy)[1]["status"]
        unload(chain)
        healed = await answer_of(gateway)
        after = (health(proxy)[1]["status"], sample(proxy, "llm_model_wedged", gen_ai_request_model=LISTED_AS))

    assert (status, page["upstream"]["wedged_models"], gauge, ready) == (200, [LISTED_AS], 1, 200)
    assert [line["model"] for line in proxy.events("model.wedged")] == [LISTED_AS]
    assert (answer.reason, still) == ("upstream_timeout", "degraded")  # without the cure nobody is helped
    assert healed.reason == "stop"
    assert after == ("ok", 0.0)
    assert proxy.events("model.unloaded") == []


async def test_with_the_cure_it_is_unloaded_once_and_who_waits_gets_the_answer(chain: Chain) -> None:
    with impatient(chain, CURE="unload") as (proxy, gateway):
        chain.forget()
        await leaves_early(proxy, gateway)
        answer = await answer_of(gateway)
        after = (health(proxy)[1]["status"], sample(proxy, "llm_model_wedged"))
        retries = sample(proxy, "llm_upstream_retries_total", reason="wedged")
        await leaves_early(proxy, gateway)
        again = await answer_of(gateway)

    asked = [call["end"] for call in calls_of(chain, MODEL)]
    assert answer.reason == "stop"
    assert answer.data[-1]["served_by"]["attempts"] == 2
    assert (after, retries) == (("ok", 0), 1)
    assert again.reason == "upstream_timeout"  # the second time within ten minutes
    assert [len(proxy.events(name)) for name in ("model.wedged", "model.unloaded")] == [2, 1]
    assert asked[:2] == ["left", "left"]
