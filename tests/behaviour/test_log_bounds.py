"""What a proxy remembers is bounded, and it says so: LOG_BYTES, LOGS_TOTAL_BYTES, and case C11 of docs/faults.md."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest

from tests.behaviour.connections import reasons, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, running_chain
from tests.reader import Client

TINY_BUFFER_BYTES: Final = 4096
LOG_BYTES: Final = 65_536
LOGS_TOTAL_BYTES: Final = 1 << 20


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    patient = {"FIRST_TOKEN_TIMEOUT_S": "30", "TOTAL_TIMEOUT_S": "60", "IDLE_TIMEOUT_S": "20", "GRACE_S": "5"}
    bounded = {"LOG_BYTES": f"{LOG_BYTES}", "LOGS_TOTAL_BYTES": f"{LOGS_TOTAL_BYTES}", "KEEP_S": "20"}
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=0"}, proxy={**patient, **bounded}, log_level="debug"
        ) as chain,
        common_gate(chain),
    ):
        yield chain


async def test_a_number_that_has_left_the_log_is_gone_and_a_later_one_is_not(chain: Chain) -> None:
    """C11: the log holds the last LOG_BYTES; 410 for what would be a gap."""
    model = scripted(tokens=3000, size=64)
    async with Client(chain.gateway.url) as client, Client(chain.proxy.url) as direct:
        whole = await client.chat(model.name)
        path = f"/api/streams/{whole.stream_id}"
        gone = [await client.get(f"{whole.path}?after={after}") for after in (0, 1, 1500)]
        gone.append(await direct.get(f"{path}?after=0"))
        rest = await client.get(f"{whole.path}?after=2900")

    assert whole.text == model.text
    assert [(answer.status, answer.error["code"]) for answer in gone] == [(410, "stream_gone")] * 4
    assert rest.text == model.after(2900)


async def test_a_repeated_key_whose_answer_has_lost_its_beginning_finds_it_gone(chain: Chain) -> None:
    """It would join from the beginning, and be given a gap."""
    model, one = scripted(tokens=3000, size=64), {"Idempotency-Key": secrets.token_urlsafe(24)}
    body = {"model": model.name, "messages": [{"role": "user", "content": "hi"}]}
    async with Client(chain.gateway.url) as client:
        whole, again = [await client.ask("/api/chat/stream", body, one) for _ in range(2)]

    assert whole.reason == "stop"
    assert (again.status, again.error["code"]) == (410, "stream_gone")


async def test_a_reader_cut_too_long_ago_finds_its_number_gone(chain: Chain) -> None:
    """C4, C11: the log went on without it; it is told so, instead of being given a gap."""
    model = scripted(tokens=3000, size=200, rate=1500)
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.chat(model.name, "cut-too-long", on_disconnect="continue")
        await client.until_tokens(10)
        assert await told(chain.gateway, "cut-too-long", 10.0) == ["slow_client"]
        await client.until_closed()
        assert await told(chain.proxy, "cut-too-long") == ["stop"]
    async with Client(chain.gateway.url) as again:
        answer = await again.get(client.answer.path, {"Last-Event-ID": client.answer.last_id})

    assert (client.answer.end, client.answer.ended_cleanly) == (None, False)
    assert model.text.startswith(client.answer.text)
    assert (answer.status, answer.error["code"]) == (410, "stream_gone")


async def test_a_steady_reader_that_is_outrun_by_the_log_is_cut(chain: Chain) -> None:
    """What it needs has left the log: cut as slow, though it takes some, and never given a gap."""
    model = scripted(tokens=6000, size=500, rate=2500)  # the servers keep up with it, the reader does not
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.chat(model.name, "outrun-by-log")
        while not reasons(chain.gateway, "outrun-by-log"):
            assert await client.read(1024)
            await asyncio.sleep(0.005)  # its pace: what is tested
        await client.until_closed()

    assert await told(chain.gateway, "outrun-by-log") == ["slow_client"]
    assert (client.answer.end, client.answer.ended_cleanly) == (None, False)
    assert model.text.startswith(client.answer.text)


async def test_when_running_logs_hold_all_memory_finished_ones_go_and_new_streams_are_refused(chain: Chain) -> None:
    """LOGS_TOTAL_BYTES: finished first, then `overloaded`; a running stream is never cut for memory."""
    held = scripted(tokens=40, size=4096, rate=100, prefill=0.3, fault="stall", at=30)
    models = [scripted(tokens=40, size=4096, rate=100, prefill=0.3, fault="stall", at=30) for _ in range(20)]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(SocketClient.connected(chain.gateway.port)) for _ in models]
        ask = await stack.enter_async_context(Client(chain.gateway.url))
        finished = await ask.chat(scripted(tokens=5).name)
        assert (await ask.get(finished.path)).text == finished.text

        await asyncio.gather(*(client.chat(model.name) for client, model in zip(clients, models, strict=True)))
        await asyncio.gather(*(client.until(lambda answer: answer.last_number == 31) for client in clients))
        full = sample(chain.proxy, "llm_stream_log_bytes")
        refused = await ask.chat(held.name)
        gone = await ask.get(finished.path)
        stops = [await ask.ask(f"{client.answer.path}/cancel") for client in clients]
        ends = await asyncio.gather(*(client.until_end() for client in clients))
        again = await ask.chat(scripted(tokens=5).name)

    assert LOGS_TOTAL_BYTES <= full <= len(models) * LOG_BYTES
    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert gone.status == 410
    assert {stop.status for stop in stops} == {202}
    assert [end.text for end in ends] == ["".join(model.tokens[:30]) for model in models]
    assert {end.reason for end in ends} == {"cancelled"}
    assert again.reason == "stop"
    assert sample(chain.proxy, "llm_admission_rejected_total", reason="overloaded") >= 1
    assert sample(chain.proxy, "llm_stream_log_bytes") < LOGS_TOTAL_BYTES
