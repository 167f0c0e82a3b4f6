"""Two gateways and two proxies: any gateway finds any stream, and a proxy that drains or dies costs its own alone."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pytest

from services.wire.ids import instance_of
from tests.behaviour.connections import calls_of, sample
from tests.behaviour.gate import common_gate
from tests.behaviour.script import Scripted, scripted
from tests.chain import START_S, Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.ports import free_port
from tests.reader import Answer, Client, Reading

LONG: Final = 2000  # tokens, at 100 a second: they outlast every test


@dataclass
class House:
    """Proxies ``a`` and ``b`` at one model server, and two gateways that know both."""

    chain: Chain
    gateways: list[Server]
    proxies: dict[str, Server] = field(default_factory=dict)

    def states(self, gateway: int = 0) -> dict[str, str]:
        states: dict[str, str] = json.loads(self.gateways[gateway].get("/health")[1])["proxies"]
        return states

    def both(self, **states: str) -> bool:
        """Whether both gateways know that the proxies stand so."""
        return [self.states(0), self.states(1)] == [states] * 2


@contextmanager
def running_house(chain: Chain) -> Iterator[House]:
    b = chain.another_proxy(INSTANCE="b", LISTEN=f"127.0.0.1:{free_port()}")  # it comes back there
    url = f"a={chain.proxy.url},b={b.url}"
    house = House(chain, [chain.another_gateway(PROXY_URL=url) for _ in range(2)], {"a": chain.proxy, "b": b})
    eventually(lambda: house.both(a="ready", b="ready"), "both know both", within_s=START_S)
    yield house
    for server in (*house.gateways, house.proxies["b"]):
        server.stop()  # or their idle connections would be found at the gate


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    patient = {"IDLE_TIMEOUT_S": "20", "TOTAL_TIMEOUT_S": "60", "GRACE_S": "5", "KEEP_S": "10", "DRAIN_S": "1"}
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=100"}, proxy={"INSTANCE": "a", **patient}
        ) as chain,
        common_gate(chain),
        running_house(chain) as house,
    ):
        yield house


@pytest.fixture
async def clients(house: House) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(gateway.url)) for gateway in house.gateways]


@asynccontextmanager
async def speaking(clients: list[Client], models: list[Scripted]) -> AsyncIterator[list[Reading]]:
    """Ask for every model, of the gateways by turns, and read until each has said something."""
    async with AsyncExitStack() as stack:
        readings = []
        for number, model in enumerate(models):
            body = {"model": model.name, "message": "hi"}
            opening = clients[number % 2].open("POST", "/api/chat/stream", body)
            readings.append(await stack.enter_async_context(opening))
            await readings[-1].until_tokens(1)
        yield readings
        await asyncio.gather(*(clients[0].ask(f"{one.answer.path}/cancel", {}) for one in readings))


def owners_of(answers: list[Answer]) -> list[str]:
    return [instance_of(answer.stream_id) for answer in answers]


async def test_streams_are_shared_out_and_every_gateway_finds_each(clients: list[Client]) -> None:
    models = [scripted(tokens=LONG) for _ in range(8)]
    async with speaking(clients, models) as readings:
        answers = [reading.answer for reading in readings]
        found: list[Any] = []
        for client in clients:
            as_json = {"Accept": "application/json"}
            found.append([json.loads((await client.get(one.path, as_json)).body)["model"] for one in answers])
        lists = [json.loads((await client.get("/api/chat/streams")).body)["streams"] for client in clients]
        stopped = [(await clients[1].ask(f"{answer.path}/cancel", {})).status for answer in answers]
        ends = [(await reading.until_end()).reason for reading in readings]

    assert {owners_of(answers).count(name) for name in "ab"} <= {3, 4, 5}  # by turns but for a look in between
    assert found == [[model.name for model in models]] * 2
    assert [sorted(one["model"] for one in listed) for listed in lists] == [sorted(model.name for model in models)] * 2
    assert (stopped, ends) == ([202] * 8, ["cancelled"] * 8)


async def test_models_are_one_list_whoever_is_asked(clients: list[Client]) -> None:
    paths = ("/api/models", "/ollama/api/tags")
    pages = [json.loads((await client.get(path)).body) for client in clients for path in paths]
    names = [[model["name"] for model in page["models"]] for page in pages]

    assert names[0]
    assert [sorted(one) for one in names] == [sorted(set(names[0]))] * 4


async def test_a_key_is_one_answer_at_whichever_gateway_it_is_asked(house: House, clients: list[Client]) -> None:
    models = [scripted(tokens=2, prefill=0) for _ in range(6)]
    both = []
    for number, model in enumerate(models):
        headers = {"Idempotency-Key": f"one-answer-for-both-{number:04}"}
        body = {"model": model.name, "message": "hi"}
        both.append([(await client.ask("/api/chat/stream", body, headers)).stream_id for client in clients])

    assert [first == second for first, second in both] == [True] * 6
    assert {len(calls_of(house.chain, model.name)) for model in models} == {1}


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_a_page_comes_back_to_the_newest_answer_of_its_chat_and_stops_that_one(
    order: str, house: House, clients: list[Client]
) -> None:
    """They run at both proxies: a question was asked again, and the first answer goes on without its reader."""
    name, models = f"asked-again-{order}-0123", [scripted(tokens=LONG) for _ in order]
    path = f"/api/ui/chat/{name}"
    told = {"Sluice-Chat": name, "Sluice-Leave": "continue"}
    async with AsyncExitStack() as stack:
        running = []
        for proxy, model in zip(order, models, strict=True):
            asking = await stack.enter_async_context(Client(house.proxies[proxy].url))
            body = {"model": model.name, "messages": [{"role": "user", "content": "hi"}]}
            running.append(await stack.enter_async_context(asking.open("POST", "/api/chat/stream", body, told)))
            await soon(partial(calls_of, house.chain, model.name), "the model server was asked")
        async with clients[0].open("GET", f"{path}/stream") as again:
            found = again.answer.stream_id
            again.leave()
        stopped = (await clients[1].ask(f"{path}/stop")).status
        older, newer = (model.name for model in models)
        await soon(lambda: calls_of(house.chain, newer)[0]["left_at"], "the newer one is left")
        goes_on = calls_of(house.chain, older)[0]["left_at"] is None
        rest = (await clients[1].ask(f"{path}/stop")).status

    assert found == running[1].answer.stream_id
    assert (stopped, goes_on, rest) == (202, True, 202)


async def test_a_proxy_that_drains_ends_what_outlasts_it_and_costs_nobody_else_anything(
    house: House, clients: list[Client]
) -> None:
    """L2, P1: whoever asks meanwhile is served by the other; who comes for the old answers finds them until then."""
    async with speaking(clients, [scripted(tokens=LONG) for _ in range(8)]) as readings:
        answers = [reading.answer for reading in readings]
        house.proxies["b"].signal(signal.SIGTERM)
        asked = await asyncio.gather(*(clients[number % 2].chat(scripted(tokens=3).name) for number in range(20)))
        ended = {
            answer.stream_id: (await reading.until_end()).reason
            for reading, answer in zip(readings, answers, strict=True)
            if instance_of(answer.stream_id) == "b"
        }
        running = json.loads((await clients[0].get("/api/chat/streams")).body)["streams"]
        await asyncio.to_thread(house.proxies["b"].wait)
        alone = await asyncio.gather(*(clients[number % 2].chat(scripted(tokens=3).name) for number in range(6)))
        path = f"/api/chat/stream/{next(iter(ended))}"
        away = await clients[0].get(path)
        house.proxies["b"].stop()
        house.proxies["b"] = await asyncio.to_thread(
            house.chain.another_proxy, INSTANCE="b", LISTEN=house.proxies["b"].address
        )
        await soon(lambda: house.both(a="ready", b="ready"), "it is back at both", within_s=START_S)
        gone = await clients[1].get(path)

    assert {answer.reason for answer in (*asked, *alone)} == {"stop"}
    assert set(owners_of(alone)) == {"a"}
    assert set(ended.values()) == {"shutting_down"}
    assert len(running) == owners_of(answers).count("a")
    assert (away.status, gone.status) == (503, 410)  # only who holds nothing can say that it is lost


async def test_a_proxy_that_dies_takes_its_own_streams_alone(house: House, clients: list[Client]) -> None:
    """L6; those who ask in the same moment are served, though nobody has looked at it since."""
    async with speaking(clients, [scripted(tokens=LONG) for _ in range(6)]) as readings:
        house.proxies["b"].kill()
        asked = await asyncio.gather(*(clients[number % 2].chat(scripted(tokens=3).name) for number in range(12)))
        ends = [
            (await reading.until_end()).reason for reading in readings if instance_of(reading.answer.stream_id) == "b"
        ]
        address = house.proxies["b"].address
        house.proxies["b"].stop()
        house.proxies["b"] = await asyncio.to_thread(house.chain.another_proxy, INSTANCE="b", LISTEN=address)
        await soon(lambda: house.both(a="ready", b="ready"), "it is back at both", within_s=START_S)

    assert [(answer.status, answer.reason) for answer in asked] == [(200, "stop")] * 12
    assert set(ends) == {"upstream_disconnected"}
    assert sum(sample(gateway, "llm_upstream_retries_total", reason="elsewhere") for gateway in house.gateways) > 0


async def test_a_proxy_that_answers_by_another_name_is_an_error_and_gets_nothing(house: House) -> None:
    stranger = await asyncio.to_thread(house.chain.another_proxy, INSTANCE="stranger")
    urls = f"a={house.proxies['a'].url},c={stranger.url}"
    gateway = await asyncio.to_thread(house.chain.another_gateway, PROXY_URL=urls)
    await soon(lambda: gateway.events("proxy.misnamed"), "it is told")
    await soon(lambda: gateway.get("/readyz")[0] == 200, "the other one serves")
    async with Client(gateway.url) as client:
        answers = [await client.chat(scripted(tokens=2, prefill=0).name) for _ in range(6)]
    lines, page = gateway.events("proxy.misnamed"), json.loads(gateway.get("/health")[1])
    gateway.stop()
    stranger.stop()

    assert owners_of(answers) == ["a"] * 6
    assert [(line["level"], line["proxy"]) for line in lines] == [("error", "c")]
    assert page["proxies"] == {"a": "ready", "c": "misnamed"}
    assert [line["route"] for line in stranger.events("stream.finished")] == []
