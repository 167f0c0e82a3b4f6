"""Who may ask the model, in which order, and what those hear who wait: O2 of docs/faults.md, and the permits."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of, gateway_beside, reasons, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

QUEUE_LENGTH: Final = 6
QUEUE_TIMEOUT_S: Final = 2.0
STATUS_PERIOD_S: Final = 1.0
SLACK_S: Final = 2.0
GRAIN_S: Final = 0.02  # a timer of uvloop's counts from the start of the turn that set it


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=100"},
            proxy={
                "PERMITS": "1",
                "QUEUE_LENGTH": f"{QUEUE_LENGTH}",
                "QUEUE_TIMEOUT_S": f"{QUEUE_TIMEOUT_S:g}",
                "TOTAL_TIMEOUT_S": "30",
            },
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


@asynccontextmanager
async def line(chain: Chain, model: str, length: int) -> AsyncIterator[list[SocketClient]]:
    """Let one ask, who gets the permit, and ``length`` more, who wait behind it in this order."""
    async with AsyncExitStack() as stack:
        clients = []
        for place in range(1 + length):
            client = await stack.enter_async_context(SocketClient.connected(chain.gateway.port))
            await client.chat(model, message=f"number {place}")
            await (client.until_phase("queued") if place else client.until_tokens(1))
            clients.append(client)
        yield clients


def positions(answer: Answer) -> list[int]:
    return [data["position"] for data in answer.data if data.get("phase") == "queued"]


def order_asked(chain: Chain, model: str) -> list[str]:
    """What the model was asked, in the order in which it came."""
    return [call["body"]["messages"][0]["content"] for call in calls_of(chain, model)]


# --- the line


async def test_who_comes_first_is_served_first_and_one_at_a_time(chain: Chain) -> None:
    """FIFO, as the model server saw it; never two calls at once where there is one permit."""
    model = scripted(tokens=20)
    async with line(chain, model.name, QUEUE_LENGTH) as clients:
        answers = await asyncio.gather(*(client.until_end() for client in clients))

    assert [answer.text for answer in answers] == [model.text] * (1 + QUEUE_LENGTH)
    assert order_asked(chain, model.name) == [f"number {place}" for place in range(1 + QUEUE_LENGTH)]
    assert chain.witness()["models"][model.name]["most_calls"] == 1
    assert [positions(answer)[:1] for answer in answers] == [[], *([place] for place in range(1, 1 + QUEUE_LENGTH))]


async def test_who_waits_hears_its_position_once_a_second_at_most(chain: Chain) -> None:
    """Five leave the line at once in front of it: the newest position gets out, the ones between do not."""
    model = scripted(tokens=120)
    began = time.monotonic()
    async with line(chain, model.name, QUEUE_LENGTH) as clients:
        last = clients[-1]
        for client in clients[1:-1]:
            client.fin()
        await last.until(lambda answer: positions(answer)[-1] == 1)
        heard_s = time.monotonic() - began
        heard = positions(last.answer)
        answer = await last.until_end()

    assert heard[0] == QUEUE_LENGTH
    assert heard == sorted(set(heard), reverse=True)
    assert (len(heard) - 1) * STATUS_PERIOD_S <= heard_s
    assert answer.text == model.text
    assert order_asked(chain, model.name) == ["number 0", f"number {QUEUE_LENGTH}"]


async def test_a_status_has_no_id_and_who_joins_gets_the_current_one(chain: Chain) -> None:
    """It is not in the log: a follower from 0 sees `start`, then where the stream stands now."""
    model = scripted(tokens=100)
    async with line(chain, model.name, 2) as clients, Client(chain.gateway.url) as other:
        seen = clients[2].answer
        async with other.open("GET", f"{seen.path}?after=0") as reading:
            joined = await reading.until_tokens(1)

    frames = seen.body.split(b"\n\n")
    assert not any(b"id: " in frame for frame in frames if b"event: status" in frame)
    assert [data["type"] for data in joined.data][:2] == ["start", "status"]
    assert joined.data[1]["phase"] == "queued"


async def test_a_wait_that_is_too_long_ends_as_an_error_event(chain: Chain) -> None:
    """O2: `queue_timeout` at the limit, as an event, for the headers left when it took its place; nothing was asked."""
    model = scripted(tokens=600)
    async with line(chain, model.name, 0) as clients, SocketClient.connected(chain.gateway.port) as late:
        asked_at = time.monotonic()
        await late.chat(model.name, "waits-too-long")
        answer = await late.until_end()
        waited_s = time.monotonic() - asked_at
        assert reasons(chain.gateway, clients[0].answer.headers["X-Request-Id"]) == []

    assert QUEUE_TIMEOUT_S - GRAIN_S <= waited_s <= QUEUE_TIMEOUT_S + SLACK_S
    assert (answer.status, answer.reason, answer.ended_cleanly) == (200, "queue_timeout", True)
    assert (answer.end or {})["error"]["retryable"] is True
    assert len(calls_of(chain, model.name)) == 1
    assert await told(chain.proxy, "waits-too-long") == ["queue_timeout"]
    assert sample(chain.gateway, "llm_upstream_retries_total", reason="hop") == 0  # its heartbeats kept the hop


async def test_a_full_line_is_refused_at_once_and_counted(chain: Chain) -> None:
    """503 overloaded, Retry-After from 1 to 36 (30 s and a fifth); another model has a line of its own."""
    model = scripted(tokens=2000)  # it outlasts whatever is looked at meanwhile
    before = sample(chain.proxy, "llm_admission_rejected_total", reason="overloaded")
    async with line(chain, model.name, QUEUE_LENGTH) as clients, Client(chain.gateway.url) as client:
        refused = await client.chat(model.name)
        other = await client.chat(scripted(tokens=3).name)
        waiting = sample(chain.proxy, "llm_admission_queue_length")
        for one in reversed(clients):
            one.fin()

    assert (refused.status, refused.error["code"], refused.error["retryable"]) == (503, "overloaded", True)
    assert 1 <= int(refused.headers["Retry-After"]) <= 36
    assert other.reason == "stop"
    assert waiting == QUEUE_LENGTH
    assert sample(chain.proxy, "llm_admission_rejected_total", reason="overloaded") == before + 1


async def test_who_could_not_be_served_in_time_is_told_at_the_door_and_not_after_the_wait(chain: Chain) -> None:
    """By the model's last eight answers, of 0.3 s: at most three would begin within the limit of 0.5 s."""
    proxy = await asyncio.to_thread(chain.another_proxy, QUEUE_TIMEOUT_S="0.5", QUEUE_LENGTH="64")
    model = scripted(tokens=30).name
    with gateway_beside(chain, PROXY_URL=proxy.url) as gateway:
        await soon(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready")
        async with Client(gateway.url) as client:
            one_by_one = [await client.chat(model) for _ in range(8)]
            crowd = await asyncio.gather(*(client.chat(model) for _ in range(12)))
    rejected = sample(proxy, "llm_admission_rejected_total", reason="overloaded")
    proxy.stop()

    refused = [answer for answer in crowd if answer.status == 503]
    assert {answer.reason for answer in one_by_one} == {"stop"}
    assert len(refused) >= 8
    assert rejected == len(refused)
    for answer in refused:
        assert (answer.error["code"], answer.error["retryable"]) == ("overloaded", True)
        assert "wait in line would be too long" in answer.error["message"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert {answer.reason for answer in crowd if answer.status == 200} <= {"stop", "queue_timeout"}


# --- permits


async def test_a_permit_is_given_back_only_after_the_model_servers_socket_is_closed(chain: Chain) -> None:
    """Clients that leave, cancel and come back in a hurry never make two calls at once."""
    model = scripted(tokens=1000).name

    async def come_and_go(turn: int) -> None:
        async with SocketClient.connected(chain.gateway.port) as client:
            await client.chat(model)
            await client.until_tokens(1)
            if turn % 3 == 0:
                client.fin()
            elif turn % 3 == 1:
                client.reset()
            else:
                async with Client(chain.gateway.url) as other:
                    await other.ask(f"{client.answer.path}/cancel")

    for hurry in range(10):  # as many as wait in line: the last to leave may have its permit still
        await asyncio.gather(*(come_and_go(turn + hurry) for turn in range(QUEUE_LENGTH)))

    seen: dict[str, Any] = chain.witness()["models"][model]
    assert len(calls_of(chain, model)) == 10 * QUEUE_LENGTH
    assert (seen["most_calls"], seen["most_running"]) == (1, 1)


@pytest.mark.parametrize(
    "script", [{"fault": "reset", "at": 5}, {"fault": "error", "at": 5}, {"fault": "truncate", "at": 5}]
)
async def test_a_failed_answer_gives_its_permit_to_the_next_in_line(chain: Chain, script: dict[str, Any]) -> None:
    """Whatever ends a stream, the line moves on."""
    model = scripted(tokens=20, **script)
    async with line(chain, model.name, 2) as clients:
        answers = await asyncio.gather(*(client.until_end() for client in clients))

    assert [answer.reason.startswith("upstream_") for answer in answers] == [True] * 3
    assert chain.witness()["models"][model.name]["most_calls"] == 1


# --- the gateway's own door


async def test_one_address_has_as_many_answers_at_once_as_it_may_and_the_others_are_served(chain: Chain) -> None:
    """Without keys; who is behind an edge that is trusted counts for himself, and this machine never."""
    with gateway_beside(chain, STREAMS_PER_ADDRESS="2", TRUSTED_EDGES="127.0.0.1") as gateway:
        async with Client(gateway.url) as client, AsyncExitStack() as stack:

            async def asks(address: str | None) -> Answer:
                headers = {"X-Forwarded-For": address} if address else {}
                body = {"model": scripted(tokens=300).name, "message": "hi"}
                opening = client.open("POST", "/api/chat/stream", body, headers)
                return await (await stack.enter_async_context(opening)).until_tokens(1)

            crowd = [await asks("203.0.113.9") for _ in range(2)]
            one_more = await asks("203.0.113.9")
            others = [await asks(address) for address in ("203.0.113.8", *[None] * 3)]
            told = one_more.error["code"], int(one_more.headers["Retry-After"])

        assert [answer.status for answer in (*crowd, one_more, *others)] == [200, 200, 429, *[200] * 4]
        assert told == ("concurrency_limited", 5)
        assert sample(gateway, "llm_admission_rejected_total", reason="concurrency_limited") == 1


async def test_a_gateway_with_as_many_streams_as_it_may_have_refuses_more(chain: Chain) -> None:
    """MAX_STREAMS counts connections with a stream, follows included; a place is free when one has left."""
    models = [scripted(tokens=300) for _ in range(2)]
    with gateway_beside(chain, MAX_STREAMS="3") as gateway:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(Client(gateway.url))
            readers = [await stack.enter_async_context(SocketClient.connected(gateway.port)) for _ in models]
            for reader, model in zip(readers, models, strict=True):
                await reader.chat(model.name)
                await reader.until_tokens(1)
            path = readers[0].answer.path
            async with client.open("GET", path) as follower:
                await follower.until_tokens(1)
                refused = [await client.chat(scripted().name), await client.get(path)]
                follower.leave()
            await soon(lambda: sample(gateway, "llm_streams_active") == 2, "a place is free")
            async with client.open("GET", path) as again:
                status = again.answer.status
                again.leave()

        assert [(one.status, one.error["code"]) for one in refused] == [(503, "overloaded")] * 2
        assert all(int(one.headers["Retry-After"]) >= 1 for one in refused)
        assert status == 200
        assert sample(gateway, "llm_admission_slots") == 3
        assert sample(gateway, "llm_admission_rejected_total", reason="overloaded") == 2
