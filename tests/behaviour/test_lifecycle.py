"""How the servers end, and what their readers notice of it. Cases L1 to L3, L6 and L7 of docs/faults.md."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of
from tests.behaviour.gate import common_gate, errors_logged
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

DRAIN_S: Final = 1.0
LONG_DRAIN_S: Final = 10.0  # which nothing outlasts, on a busy machine either
GOODBYE_S: Final = 1.0
SLACK_S: Final = 3.0
ASKED_MEANWHILE: Final = 12


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    patient = {"IDLE_TIMEOUT_S": "20", "TOTAL_TIMEOUT_S": "30", "GRACE_S": "5", "KEEP_S": "10"}
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=100"},
            proxy={**patient, "DRAIN_S": f"{DRAIN_S:g}"},
            gateway={"DRAIN_S": f"{DRAIN_S:g}"},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


@asynccontextmanager
async def pair(chain: Chain, side: str, drain_s: float = DRAIN_S) -> AsyncIterator[tuple[Server, Server]]:
    """Run a server of ``side`` that may be ended, and return it with the gateway to ask."""
    async with AsyncExitStack() as stack:
        if side == "proxy":
            proxy = await asyncio.to_thread(chain.another_proxy, DRAIN_S=f"{drain_s:g}")
            stack.callback(proxy.stop)
            gateway = await asyncio.to_thread(chain.another_gateway, PROXY_URL=proxy.url)
        else:
            gateway = proxy = await asyncio.to_thread(chain.another_gateway, DRAIN_S=f"{drain_s:g}")
        stack.callback(gateway.stop)
        yield (proxy if side == "proxy" else gateway), gateway


@asynccontextmanager
async def reading(gateway: Server, models: list[Scripted], **fields: Any) -> AsyncIterator[list[SocketClient]]:
    """Ask for every model, and read until each has said something."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(SocketClient.connected(gateway.port)) for _ in models]
        await asyncio.gather(
            *(client.chat(model.name, **fields) for client, model in zip(clients, models, strict=True))
        )
        await asyncio.gather(*(client.until_tokens(3) for client in clients))
        yield clients


async def read_on(clients: list[SocketClient]) -> list[Answer]:
    return await asyncio.gather(*(client.until_end() for client in clients))


async def exit_of(server: Server, told_at: float) -> tuple[int, float]:
    """Return the exit code, and how long after ``told_at`` it came."""
    code = await asyncio.to_thread(server.wait, 15.0)
    return code, time.monotonic() - told_at


# --- the drain


@pytest.mark.parametrize("side", ["gateway", "proxy"])
async def test_streams_that_end_within_the_drain_are_whole(chain: Chain, side: str) -> None:
    """L1: SIGTERM with 50 short streams: 50 times `done`, exit 0 with the last of them."""
    models = [scripted(tokens=50) for _ in range(50)]
    async with pair(chain, side, LONG_DRAIN_S) as (ending, gateway), reading(gateway, models) as clients:
        told_at = time.monotonic()
        ending.signal(signal.SIGTERM)
        answers = await read_on(clients)
        code, took_s = await exit_of(ending, told_at)

        assert [(answer.text, answer.reason) for answer in answers] == [(model.text, "stop") for model in models]
        assert (code, took_s < LONG_DRAIN_S) == (0, True)
        assert errors_logged(ending) == []


async def test_a_gateway_hands_over_what_outlasts_its_drain(chain: Chain) -> None:
    """L2: closed after a whole frame, without a terminal event; every answer is resumed elsewhere without a gap."""
    models = [scripted(tokens=250) for _ in range(25)]
    async with pair(chain, "gateway") as (ending, gateway), reading(gateway, models) as clients:
        told_at = time.monotonic()
        ending.signal(signal.SIGTERM)
        firsts = await read_on(clients)
        code, took_s = await exit_of(ending, told_at)
        lines = ending.events("stream.finished")
    async with Client(chain.gateway.url) as client:
        follows = (client.get(f"{one.path}?after={one.last_number}") for one in firsts)
        rests = await asyncio.gather(*follows)

    assert {(first.end is None, first.ended_cleanly) for first in firsts} == {(True, False)}
    assert all(first.body.replace(b": hb\n", b"").endswith(b'"}\n\n') for first in firsts)
    assert [line["reason"] for line in lines] == ["handed_over"] * 25
    assert [first.text + rest.text for first, rest in zip(firsts, rests, strict=True)] == [one.text for one in models]
    assert [len(calls_of(chain, model.name)) for model in models] == [1] * 25
    assert (code, DRAIN_S <= took_s <= DRAIN_S + SLACK_S) == (0, True)


async def test_a_proxy_ends_what_outlasts_its_drain_truthfully(chain: Chain) -> None:
    """L2: 25 times `error shutting_down`, the text that was shown stays, and the models stop."""
    models = [scripted(tokens=3000) for _ in range(25)]
    async with pair(chain, "proxy") as (ending, gateway), reading(gateway, models) as clients:
        told_at = time.monotonic()
        ending.signal(signal.SIGTERM)
        answers = await read_on(clients)
        code, took_s = await exit_of(ending, told_at)
        lines = ending.events("stream.finished")

    assert {(answer.reason, answer.ended_cleanly) for answer in answers} == {("shutting_down", True)}
    assert all((answer.end or {})["error"]["retryable"] for answer in answers)
    assert all(model.text.startswith(answer.text) for model, answer in zip(models, answers, strict=True))
    assert [line["reason"] for line in lines] == ["shutting_down"] * 25
    assert (code, DRAIN_S <= took_s <= DRAIN_S + GOODBYE_S + SLACK_S) == (0, True)
    await soon(lambda: all(call["closed_at"] for model in models for call in calls_of(chain, model.name)), "stop")


@pytest.mark.parametrize("side", ["gateway", "proxy"])
async def test_while_draining_new_streams_are_refused_and_everything_else_is_answered(chain: Chain, side: str) -> None:
    """L3: /readyz is 503 at once; follow and cancel work; no connection is refused until the last stream is over."""
    model = scripted(tokens=3000)
    async with pair(chain, side, LONG_DRAIN_S) as (ending, gateway), reading(gateway, [model]) as clients:
        stream_id = clients[0].answer.stream_id
        path = f"/api/chat/stream/{stream_id}" if side == "gateway" else f"/api/streams/{stream_id}"
        ending.signal(signal.SIGTERM)
        await soon(lambda: ending.events("draining"), "it has heard")
        pages = {page: ending.get(page)[0] for page in ("/readyz", "/health", "/livez")}
        health = json.loads(ending.get("/health")[1])
        async with Client(ending.url) as client:
            refused = await client.ask(
                "/api/chat/stream", {"model": model.name, "messages": [{"role": "user", "content": "x"}]}
            )
            async with client.open("GET", f"{path}?after=1") as following:
                followed = await following.until_tokens(3)
                snapshot = await client.get(path, {"Accept": "application/json"})
                stopped = await (client.ask(f"{path}/cancel") if side == "gateway" else deleted(client, path))
                last = await following.until_end()
        code, _ = await exit_of(ending, time.monotonic())

    assert pages == {"/readyz": 503, "/health": 503, "/livez": 200}
    assert (health["status"], health["active_streams"]) == ("draining", 1)
    assert (refused.status, refused.error["code"]) == (503, "shutting_down")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3
    assert refused.headers["Connection"] == "close"
    assert (followed.status, snapshot.status, stopped.status) == (200, 200, 202)
    assert (last.reason, code) == ("cancelled", 0)


async def deleted(client: Client, path: str) -> Answer:
    async with client.open("DELETE", path) as answered:
        return answered.answer


async def test_no_connection_is_refused_until_the_last_stream_is_over(chain: Chain) -> None:
    """L3: a load balancer that has not heard of the drain yet gets an answer, not a RST."""
    model = scripted(tokens=60, rate=20)
    statuses: list[int] = []
    async with pair(chain, "gateway", LONG_DRAIN_S) as (ending, gateway), reading(gateway, [model]) as clients:
        ending.signal(signal.SIGTERM)
        await soon(lambda: ending.events("draining"), "it has heard")
        for tokens in range(4, 4 + 2 * ASKED_MEANWHILE, 2):
            statuses.append(ending.get("/livez")[0])
            await clients[0].until_tokens(tokens)
        answer = (await read_on(clients))[0]
        code, _ = await exit_of(ending, time.monotonic())

    assert statuses == [200] * ASKED_MEANWHILE
    assert (answer.text, code) == (model.text, 0)


# --- harder ends


@pytest.mark.clock
async def test_a_proxy_that_is_killed_is_an_error_for_every_reader_and_the_models_stop(chain: Chain) -> None:
    """L6: `upstream_disconnected` within a second; what was shown stays; later ones hear that nobody is there."""
    models = [scripted(tokens=3000) for _ in range(20)]
    async with pair(chain, "proxy") as (dying, gateway), reading(gateway, models) as clients:
        dying.kill()
        killed_at = time.monotonic()
        answers = await read_on(clients)
        told_s = time.monotonic() - killed_at
        async with Client(gateway.url) as client:
            later = await client.chat(scripted().name)
        await soon(
            lambda: all(call["closed_at"] for model in models for call in calls_of(chain, model.name)), what="stop"
        )
        closed = [call["closed_at"] - killed_at for model in models for call in calls_of(chain, model.name)]

    assert {answer.reason for answer in answers} == {"upstream_disconnected"}
    assert all(model.text.startswith(answer.text) for model, answer in zip(models, answers, strict=True))
    assert told_s <= 1.0 + SLACK_S
    assert max(closed) <= 1.0
    assert (later.status, later.error["code"]) == (503, "upstream_unavailable")


@pytest.mark.parametrize("side", ["gateway", "proxy"])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.clock
async def test_a_second_signal_ends_the_drain_at_once(chain: Chain, side: str, second: signal.Signals) -> None:
    """L7: within a second, whatever runs, and not with 0."""
    model = scripted(tokens=3000)
    async with pair(chain, side) as (ending, gateway), SocketClient.connected(gateway.port) as client:
        await client.chat(model.name)
        await client.until_tokens(3)
        ending.signal(signal.SIGINT)
        await soon(lambda: ending.events("draining"), "it has heard the first")
        told_at = time.monotonic()
        ending.signal(second)
        code, took_s = await exit_of(ending, told_at)
        answer = await client.until_end()

    assert code != 0
    assert took_s < DRAIN_S
    assert answer.reason in {"", "upstream_disconnected"}
    if side == "gateway":
        async with Client(chain.gateway.url) as other:  # the stream itself goes on for its window
            assert (await other.ask(f"{answer.path}/cancel")).status == 202
