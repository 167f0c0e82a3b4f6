"""A slow reader slows itself alone: it lags, is cut without a word, and comes back for the rest. Cases C3, C4, C11."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest

from tests.behaviour.connections import gateway_beside, reasons, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.private_network import private_network
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import TINY_BUFFER_BYTES, SocketClient
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.machine import needs
from tests.reader import Client

WRITE_TIMEOUT_S: Final = 1.0
USER_TIMEOUT_S: Final = WRITE_TIMEOUT_S + 5.0
SLACK_S: Final = 3.0
RSS_GROWTH_BYTES: Final = 64 << 20  # P3


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    patient = {"FIRST_TOKEN_TIMEOUT_S": "30", "TOTAL_TIMEOUT_S": "60", "IDLE_TIMEOUT_S": "20", "GRACE_S": "5"}
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=0"},
            proxy={**patient, "PERMITS": "11"},
            gateway={"MAX_OUTPUT_TOKENS": "25000"},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


def is_cut(model: Scripted, client: SocketClient) -> bool:
    """Whether what arrived is the beginning of the answer in whole frames, without an end of any kind."""
    answer = client.answer
    numbers = [int(event.last_event_id.rpartition("-")[2]) for event in answer.events if event.type != "status"]
    in_order = numbers == sorted(set(numbers)) and model.text.startswith(answer.text)
    return in_order and answer.end is None and not answer.ended_cleanly


async def cut_for_slowness(chain: Chain, request_id: str, since: float) -> float:
    """Return how long after ``since`` the gateway gave a client up, which took nothing any more."""
    assert await told(chain.gateway, request_id, 15.0) == ["slow_client"]
    return time.monotonic() - since


# --- one beside many


async def test_a_reader_that_stops_costs_the_seventeen_others_nothing(chain: Chain) -> None:
    """C4: seven on the same stream and ten on their own have the whole text; memory stays bounded."""
    shared = scripted(tokens=4000, rate=900)
    own = [scripted(tokens=4000, rate=900) for _ in range(10)]
    before = chain.gateway.resident_bytes(), chain.proxy.resident_bytes()
    async with AsyncExitStack() as stack:
        tiny = SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES)
        stopped = await stack.enter_async_context(tiny)
        others = [await stack.enter_async_context(SocketClient.connected(chain.gateway.port)) for _ in range(17)]
        await stopped.chat(shared.name, "stops-beside-many")
        seen = await stopped.until_tokens(10)
        for follower in others[:7]:
            await follower.ask(seen.path, method="GET")
        for client, model in zip(others[7:], own, strict=True):
            await client.chat(model.name)

        answers = await asyncio.gather(*(other.until_end(40.0) for other in others))
        after = chain.gateway.resident_bytes(), chain.proxy.resident_bytes()
        await cut_for_slowness(chain, "stops-beside-many", time.monotonic())
        await stopped.until_closed()

    assert [answer.text for answer in answers] == [shared.text] * 7 + [model.text for model in own]
    assert {answer.reason for answer in answers} == {"stop"}
    assert is_cut(shared, stopped)
    assert all(now - then < RSS_GROWTH_BYTES for now, then in zip(after, before, strict=True))


async def test_a_reader_that_was_cut_comes_back_and_gets_the_rest(chain: Chain) -> None:
    """C4: cut after WRITE_TIMEOUT_S without a word to the proxy, in both modes: within the window it resumes."""
    await asyncio.gather(*(is_cut_and_comes_back(chain, mode) for mode in ("cancel", "continue")))


async def is_cut_and_comes_back(chain: Chain, on_disconnect: str) -> None:
    model, request_id = scripted(tokens=2500, rate=1000), f"cut-and-back-{on_disconnect}"
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.chat(model.name, request_id, on_disconnect=on_disconnect)
        await client.until_tokens(10)
        took_s = await cut_for_slowness(chain, request_id, time.monotonic())
        await client.until_closed()
        first = client.answer
    async with Client(chain.gateway.url) as again:
        rest = await again.get(first.path, {"Last-Event-ID": first.last_id})

    assert WRITE_TIMEOUT_S <= took_s <= WRITE_TIMEOUT_S + SLACK_S
    assert is_cut(model, client)
    assert (first.text + rest.text, rest.reason) == (model.text, "stop")
    assert await told(chain.proxy, request_id) == ["stop"]


async def test_a_direct_client_that_stops_reading_is_cut_by_the_proxy(chain: Chain) -> None:
    """C4 at the proxy: its stream is nobody's then, and stops."""
    before = sample(chain.proxy, "llm_followers_cut_total", reason="slow_client")
    model = scripted(tokens=5000, rate=1000)
    async with SocketClient.connected(chain.proxy.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        body = {"model": model.name, "prompt": "hi"}
        await client.ask("/api/generate/stream", body, {"X-Request-Id": "stops-direct"})
        await client.until(lambda answer: len(answer.events) > 10)
        stopped_at = time.monotonic()
        assert await told(chain.proxy, "stops-direct", 15.0) == ["cancelled"]
        took_s = time.monotonic() - stopped_at
        await client.until_closed()

    assert WRITE_TIMEOUT_S <= took_s <= WRITE_TIMEOUT_S + SLACK_S
    assert is_cut(model, client)
    assert sample(chain.proxy, "llm_followers_cut_total", reason="slow_client") == before + 1


# --- slow, but in time


async def test_a_reader_that_pauses_and_goes_on_in_time_loses_nothing(chain: Chain) -> None:
    """It fell behind, on both hops, and caught up with merged frames."""
    model = scripted(tokens=4000, size=200)  # more than all the buffers on the way, less than the log
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.chat(model.name, "pauses-in-time")
        for tokens in (1, 5):
            await client.until_tokens(tokens)
            await asyncio.sleep(WRITE_TIMEOUT_S * 0.6)  # the pause itself: what is tested
        answer = await client.until_end()

    assert (answer.text, answer.reason, answer.ended_cleanly) == (model.text, "stop", True)
    assert sum(event.type == "token" for event in answer.events) < 4000
    assert await told(chain.gateway, "pauses-in-time") == ["stop"]
    (line,) = [line for line in chain.gateway.events("stream.finished") if line["request_id"] == "pauses-in-time"]
    assert line["stages"]["client_blocked_ms"] > 0


async def test_a_reader_that_takes_little_but_steadily_is_not_cut(chain: Chain) -> None:
    """The deadline is for taking no byte at all."""
    model = scripted(tokens=4000, size=200)
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.chat(model.name, "takes-little")
        began = time.monotonic()
        while time.monotonic() < began + 1.8 * WRITE_TIMEOUT_S:
            await client.read(512)
            await asyncio.sleep(0.05)  # its pace: what is tested
        assert reasons(chain.gateway, "takes-little") == []
        answer = await client.until_end()

    assert (answer.text, answer.reason) == (model.text, "stop")


# --- a client that vanished


@pytest.mark.root
@needs("root", "ip")
async def test_a_client_whose_packets_are_lost_is_let_go(chain: Chain) -> None:
    """C3: no FIN, no RST, no acknowledgement: the write deadline finds it, and TCP_USER_TIMEOUT frees the socket."""
    model = scripted(tokens=5000, rate=500)
    with private_network() as network, gateway_beside(chain, LISTEN=f"{network.here}:0") as gateway:
        sock = network.new_socket()
        async with SocketClient.connected(gateway.port, host=network.here, sock=sock) as client:
            await client.chat(model.name, "black-holed")
            await client.until_tokens(10)
            network.lose_everything()
            lost_at = time.monotonic()
            assert await told(gateway, "black-holed", USER_TIMEOUT_S + 1.0) == ["slow_client"]
            took_s = time.monotonic() - lost_at

        assert took_s >= WRITE_TIMEOUT_S
        await soon(lambda: sample(gateway, "llm_streams_active") == 0, "nothing is held for it")
    async with Client(chain.gateway.url) as other:
        assert (await other.ask(f"{client.answer.path}/cancel")).status == 202
