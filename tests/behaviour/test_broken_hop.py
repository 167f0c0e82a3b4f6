"""The hop between gateway and proxy breaks, or falls silent: the client's connection goes on, once."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from tests.behaviour.connections import calls_of, gateway_beside, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import SocketClient
from tests.behaviour.tcp_relay import TcpRelay, relay_to
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

HEARTBEAT_S: Final = 0.3
SILENT_S: Final = 3 * HEARTBEAT_S
HEADERS_S: Final = 6.0  # ARCHITECTURE.md, "Admission, retry, time": "proxy: headers"
STOPPED_WITHIN_S: Final = 1.0  # P6
SLACK_S: Final = 3.0
GRAIN_S: Final = 0.02  # a timer of uvloop's counts from the start of the turn that set it


PATIENT: Final = {"FIRST_TOKEN_TIMEOUT_S": "30", "IDLE_TIMEOUT_S": "20", "TOTAL_TIMEOUT_S": "30"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=100"},
            proxy={"GRACE_S": "20", "KEEP_S": "20", **PATIENT},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


@dataclass
class Cable:
    """A gateway whose way to the proxy the test holds in its hands."""

    gateway: Server
    relay: TcpRelay

    @property
    def times_followed_again(self) -> float:
        return sample(self.gateway, "llm_upstream_retries_total", reason="hop")


@asynccontextmanager
async def cable(chain: Chain) -> AsyncIterator[Cable]:
    async with relay_to(chain.proxy.port) as relay:
        # in a thread: the relay lives in this loop, and the new gateway asks through it at once
        beside = gateway_beside(chain, PROXY_URL=relay.url)
        gateway = await asyncio.to_thread(beside.__enter__)
        try:
            yield Cable(gateway, relay)
        finally:
            await asyncio.to_thread(beside.__exit__, None, None, None)


@asynccontextmanager
async def reading(
    cable: Cable, model: Scripted, label: str, on_disconnect: str = "cancel"
) -> AsyncIterator[SocketClient]:
    """Ask, and read the first ten tokens."""
    async with SocketClient.connected(cable.gateway.port) as client:
        await client.chat(model.name, label, on_disconnect=on_disconnect)
        await client.until_tokens(10)
        yield client


async def stop(chain: Chain, answer: Answer) -> None:
    """Cancel what would wait for its grace."""
    async with Client(chain.gateway.url) as client:
        assert (await client.ask(f"{answer.path}/cancel")).status == 202


def numbers(answer: Answer) -> list[int]:
    return [int(event.last_event_id.rpartition("-")[2]) for event in answer.events if event.type != "status"]


def is_unbroken(model: Scripted, answer: Answer) -> bool:
    """Whether one connection brought the answer once, whole, with one start and one end."""
    whole = (answer.text, answer.reason, answer.ended_cleanly) == (model.text, "stop", True)
    starts = [event.type for event in answer.events].count("start")
    return whole and starts == 1 and numbers(answer) == sorted(set(numbers(answer)))


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
async def test_a_hop_that_breaks_is_followed_again_and_the_client_does_not_notice(
    chain: Chain, on_disconnect: str, reset: bool
) -> None:
    """No gap, no duplicate, no second start; the model is asked once."""
    model, label = scripted(tokens=100), f"hop-cut-{on_disconnect}-{reset}"
    async with cable(chain) as hop, reading(hop, model, label, on_disconnect) as client:
        hop.relay.cut(reset=reset)
        answer = await client.until_end()

        assert is_unbroken(model, answer)
        assert hop.times_followed_again == 1
    assert await told(chain.proxy, label) == ["stop"]
    assert len(calls_of(chain, model.name)) == 1


async def test_a_hop_whose_model_says_nothing_for_long_is_not_taken_for_broken(chain: Chain) -> None:
    """The proxy's heartbeats keep it, whether the silence comes before the first token or after one."""
    slow, stalled = scripted(tokens=5, prefill=2.5), scripted(tokens=20, fault="stall", at=10, for_=2.5)
    async with Client(chain.gateway.url) as client:
        answers = await asyncio.gather(client.chat(slow.name), client.chat(stalled.name))

    assert [(answer.text, answer.reason) for answer in answers] == [(slow.text, "stop"), (stalled.text, "stop")]
    assert sample(chain.gateway, "llm_upstream_retries_total", reason="hop") == 0


async def test_a_hop_that_is_silent_for_three_heartbeats_is_followed_again(chain: Chain) -> None:
    """The client hears the gateway's own heartbeats meanwhile, and then the rest."""
    model = scripted(tokens=250)
    async with cable(chain) as hop, reading(hop, model, "hop-silent") as client:
        hop.relay.fall_silent()
        heard = len(client.answer.body)
        last_word_at = hop.relay.last_word_at
        await soon(lambda: hop.times_followed_again == 1, "followed again", within_s=SILENT_S + SLACK_S)
        waited_s = time.monotonic() - last_word_at
        answer = await client.until_end()

    assert waited_s >= SILENT_S - GRAIN_S
    assert answer.body[heard:].count(b": hb\n") >= 2
    assert is_unbroken(model, answer)


async def test_a_follower_lost_in_silence_does_not_count_when_its_client_leaves(chain: Chain) -> None:
    """The proxy saw nothing of the old hop's end; the model stops all the same when the new one's client goes."""
    model = scripted(tokens=5000)
    async with cable(chain) as hop:
        async with reading(hop, model, "hop-silent-then-left") as client:
            hop.relay.fall_silent()
            await client.until_tokens(sum(event.type == "token" for event in client.answer.events) + 20)
        left_at = time.monotonic()
        assert await told(chain.proxy, "hop-silent-then-left") == ["cancelled"]
        (call,) = calls_of(chain, model.name)

    assert call["closed_at"] - left_at <= STOPPED_WITHIN_S + SLACK_S


@pytest.mark.parametrize("then", ["cut again", "refused"])
async def test_a_hop_that_breaks_twice_is_an_error_of_the_gateways_own(chain: Chain, then: str) -> None:
    """`error upstream_disconnected` without an id: it is in no log, and the text that was shown stays."""
    model, label = scripted(tokens=2000), f"hop-{then}".replace(" ", "-")
    async with cable(chain) as hop, reading(hop, model, label) as client:
        if then == "refused":
            hop.relay.refuse()
        else:
            hop.relay.cut()
            await soon(lambda: hop.times_followed_again == 1, "followed again")
            await client.until_tokens(20)
        hop.relay.cut()
        answer = await client.until_end()
        assert await told(hop.gateway, label) == ["upstream_disconnected"]
    await stop(chain, answer)

    last = answer.body.rstrip(b"\n").rsplit(b"\n\n", 1)[1]
    assert (answer.reason, answer.ended_cleanly) == ("upstream_disconnected", True)
    assert last.startswith(b"event: error\n")
    assert b"id:" not in last.split(b"\ndata:")[0]
    assert (answer.end or {})["error"]["retryable"] is True
    assert model.text.startswith(answer.text)


async def test_an_answer_whose_hop_was_lost_can_be_taken_up_through_another_gateway(chain: Chain) -> None:
    """Its log lives in the proxy: the error was one gateway's view."""
    model = scripted(tokens=150)
    async with cable(chain) as hop, reading(hop, model, "hop-lost-taken-up", "continue") as client:
        hop.relay.refuse()
        hop.relay.cut()
        lost = await client.until_end()
    async with Client(chain.gateway.url) as again:
        rest = await again.get(lost.path, {"Last-Event-ID": lost.last_id})

    assert lost.reason == "upstream_disconnected"
    assert (lost.text + rest.text, rest.reason) == (model.text, "stop")


async def test_a_proxy_that_sends_no_headers_is_given_up_after_six_seconds(chain: Chain) -> None:
    """502 upstream_disconnected; the stream that was started is taken back, though it should continue: unseen."""
    model = scripted(tokens=5000)
    async with cable(chain) as hop, Client(hop.gateway.url) as client:
        hop.relay.fall_silent(new_ones_too=True)
        asked_at = time.monotonic()
        answer = await client.chat(model.name, on_disconnect="continue")
        took_s = time.monotonic() - asked_at
        await soon(lambda: [call["end"] for call in calls_of(chain, model.name)] == ["left"], "the model stopped")

    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (502, "upstream_disconnected", True)
    assert HEADERS_S <= took_s <= HEADERS_S + SLACK_S


async def test_a_proxy_that_is_not_there_is_unavailable(chain: Chain) -> None:
    """503 with Retry-After before the stream; nothing was asked of the model."""
    model = scripted()
    async with cable(chain) as hop, Client(hop.gateway.url) as client:
        hop.relay.refuse()
        hop.relay.cut()
        answer = await client.chat(model.name)

    assert (answer.status, answer.error["code"]) == (503, "upstream_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert calls_of(chain, model.name) == []


async def test_a_hop_that_breaks_before_its_headers_leaves_no_generation_behind(chain: Chain) -> None:
    """It is asked again at most once, on a fresh connection; of what was started nothing goes on unseen."""
    model = scripted(tokens=5000)
    async with cable(chain) as hop, SocketClient.connected(hop.gateway.port) as client:
        hop.relay.fall_silent(new_ones_too=True)
        await client.chat(model.name, "hop-breaks-headless", on_disconnect="continue")
        await soon(lambda: calls_of(chain, model.name), "the model is asked")
        hop.relay.cut()
        await client.until(lambda answer: answer.status)
        await soon(lambda: running(chain, model) == (client.answer.status == 200), "only what is seen goes on")
        client.reset()
        assert len(await told(hop.gateway, "hop-breaks-headless")) == 1
    if client.answer.status == 200:
        await stop(chain, client.answer)

    assert client.answer.status in {200, 502}
    assert len(calls_of(chain, model.name)) <= 2


def running(chain: Chain, model: Scripted) -> int:
    return sum(call["closed_at"] is None for call in calls_of(chain, model.name))
