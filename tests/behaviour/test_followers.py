"""What it means when a follower leaves: said or unsaid, the last or not, in each mode. Case C1 and the hop's words."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest

from tests.behaviour.connections import calls_of, gateway_beside, reasons, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Client

GRACE_S: Final = 1.0
CANCEL_GRACE_S: Final = 5.0  # PROTOCOL.md, "Leaving": `resume_window_s` of a `cancel` stream
RATE: Final = 50
SLACK_S: Final = 2.0
GRAIN_S: Final = 0.02  # a timer of uvloop's counts from the start of the turn that set it
NATIVE: Final = "text/event-stream;dialect=native"


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    patient = {"QUEUE_TIMEOUT_S": "20", "FIRST_TOKEN_TIMEOUT_S": "30", "TOTAL_TIMEOUT_S": "40", "IDLE_TIMEOUT_S": "20"}
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": f"rate={RATE}"},
            proxy={**patient, "PERMITS": "1", "GRACE_S": f"{GRACE_S:g}", "KEEP_S": "10"},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


def name_of(label: str) -> str:
    """A follower's name, which a gateway draws at random."""
    return f"{label:_<22}"


@asynccontextmanager
async def hop(chain: Chain, model: str, label: str, leave: str) -> AsyncIterator[SocketClient]:
    """Start a stream at the proxy as a gateway does."""
    async with SocketClient.connected(chain.proxy.port) as client:
        headers = {"Accept": NATIVE, "Sluice-Follower": name_of(label), "Sluice-Leave": leave, "X-Request-Id": label}
        await client.ask("/api/generate/stream", {"model": model, "prompt": "hi"}, headers)
        yield client


async def depart(chain: Chain, label: str, headers: Mapping[str, str] | None = None) -> int:
    """Say, as its gateway does, that a follower left on purpose."""
    path = f"/api/followers/{name_of(label)}"
    async with Client(chain.proxy.url) as client, client.open("DELETE", path, None, headers) as reading:
        return reading.answer.status


async def ended_after(chain: Chain, label: str, since: float, within_s: float) -> tuple[str, float]:
    """Return the reason of a stream's end, and how many seconds after ``since`` it was told."""
    (reason,) = await told(chain.proxy, label, within_s)
    return reason, time.monotonic() - since


async def stopped_at(chain: Chain, model: Scripted) -> float:
    """Return when the model server's only call of this model was closed."""
    await soon(lambda: all(call["closed_at"] for call in calls_of(chain, model.name)), "the call is closed")
    (call,) = calls_of(chain, model.name)
    assert call["end"] == "left"
    assert call["tokens_after_left"] == 0
    at: float = call["closed_at"]
    return at


async def read_on(client: SocketClient, events: int) -> None:
    """Read until ``client`` is so many events further."""
    number = client.answer.last_number + events
    await client.until(lambda answer: answer.last_number >= number)


# --- the mode that a client chooses


async def test_a_continue_stream_nobody_comes_back_to_is_abandoned_after_its_grace(chain: Chain) -> None:
    """The model goes on for GRACE_S and then stops; `start` has promised the client that window."""
    model = scripted(tokens=5000)
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model.name, "abandoned-grace", on_disconnect="continue")
        answer = await client.until_tokens(5)
        client.fin()
        left_at = time.monotonic()

    reason, took_s = await ended_after(chain, "abandoned-grace", left_at, GRACE_S + SLACK_S)

    assert reason == "abandoned"
    assert took_s >= GRACE_S - GRAIN_S
    assert await stopped_at(chain, model) - left_at >= GRACE_S - GRAIN_S
    assert answer.data[0]["resume_window_s"] == GRACE_S
    assert await told(chain.gateway, "abandoned-grace") == ["client_gone"]


async def test_a_continue_stream_that_ends_while_nobody_follows_is_whole_when_asked_for(chain: Chain) -> None:
    """A reload: the answer was finished meanwhile, and is replayed to its last event."""
    model = scripted(tokens=40)
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model.name, "finished-alone", on_disconnect="continue")
        seen = await client.until_tokens(5)
        client.reset()
    assert await told(chain.proxy, "finished-alone") == ["stop"]

    async with Client(chain.gateway.url) as again:
        rest = await again.get(f"{seen.path}?after={seen.last_number}")

    assert seen.text + rest.text == model.text
    assert rest.reason == "stop"


async def test_a_cancel_stream_waits_five_seconds_for_a_client_whose_gateway_vanished(chain: Chain) -> None:
    """A gateway that dies says nothing: its clients may come through another one, until the window has passed."""
    model, followed = scripted(tokens=5000), scripted(tokens=5000)
    async with hop(chain, model.name, "vanished-gateway", "cancel") as first:
        await first.until_tokens(5)
        async with hop(chain, followed.name, "vanished-but-followed", "cancel") as second:
            await second.until_tokens(5)
            second.reset()
        first.reset()
        vanished_at = time.monotonic()
    assert first.answer.data[0]["resume_window_s"] == CANCEL_GRACE_S

    async with Client(chain.gateway.url) as again:
        path = f"{second.answer.path}?after=0"
        async with again.open("GET", path) as reading:
            await reading.until_tokens(5)
            reason, took_s = await ended_after(chain, "vanished-gateway", vanished_at, CANCEL_GRACE_S + SLACK_S)
            assert reasons(chain.proxy, "vanished-but-followed") == []
            reading.leave()

    assert (reason, took_s >= CANCEL_GRACE_S - GRAIN_S) == ("abandoned", True)
    assert await stopped_at(chain, model) - vanished_at >= CANCEL_GRACE_S - GRAIN_S
    assert await told(chain.proxy, "vanished-but-followed") == ["cancelled"]


# --- several followers


@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
async def test_of_several_followers_the_last_one_to_leave_counts(chain: Chain, on_disconnect: str) -> None:
    """The one that started it leaves first; the stream goes on until nobody reads."""
    model, request_id = scripted(tokens=5000), f"three-readers-{on_disconnect}"
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(SocketClient.connected(chain.gateway.port)) for _ in range(3)]
        await readers[0].chat(model.name, request_id, on_disconnect=on_disconnect)
        seen = await readers[0].until_tokens(3)
        for reader in readers[1:]:
            await reader.ask(seen.path, method="GET")
            await reader.until_tokens(3)
        for gone, last in ((0, 1), (1, 2)):
            readers[gone].fin()
            await read_on(readers[last], 20)
            assert reasons(chain.proxy, request_id) == []
        readers[2].fin()
        left_at = time.monotonic()

        reason, _ = await ended_after(chain, request_id, left_at, GRACE_S + SLACK_S)

    waited_s = await stopped_at(chain, model) - left_at
    assert reason == {"cancel": "cancelled", "continue": "abandoned"}[on_disconnect]
    assert waited_s >= GRACE_S - GRAIN_S if on_disconnect == "continue" else waited_s < CANCEL_GRACE_S


async def test_a_follower_at_another_gateway_keeps_the_stream_alive(chain: Chain) -> None:
    """The log is the proxy's: which gateway a reader comes through does not matter."""
    model = scripted(tokens=60)
    with gateway_beside(chain) as other:
        async with SocketClient.connected(chain.gateway.port) as first, Client(other.url) as client:
            await first.chat(model.name, "two-gateways")
            seen = await first.until_tokens(3)
            async with client.open("GET", seen.path) as second:
                await second.until_tokens(3)
                first.reset()
                answer = await second.until_end()

    assert (answer.text, answer.reason) == (model.text, "stop")


# --- the gateway's word


async def test_a_followers_leaving_is_said_once_or_often_and_stops_a_cancel_stream_at_once(chain: Chain) -> None:
    """DELETE follower: 202 while the stream is held, also after the socket closed; 410 for a name nobody had."""
    model = scripted(tokens=5000)
    async with hop(chain, model.name, "departs-cancel", "cancel") as client:
        await client.until_tokens(3)
        said_at = time.monotonic()

        assert await depart(chain, "departs-cancel") == 202
        await client.until_closed()

        assert client.answer.end is None
        assert [await depart(chain, "departs-cancel") for _ in range(2)] == [202, 202]
        assert await depart(chain, "never-followed-anything") == 410
    assert await stopped_at(chain, model) - said_at < CANCEL_GRACE_S
    assert await told(chain.proxy, "departs-cancel") == ["cancelled"]


async def test_a_follower_said_to_have_left_lets_a_continue_stream_wait(chain: Chain) -> None:
    """The proxy knows the mode, so the gateway need not."""
    model = scripted(tokens=5000)
    async with hop(chain, model.name, "departs-continue", "continue") as client:
        await client.until_tokens(3)
        said_at = time.monotonic()
        assert await depart(chain, "departs-continue") == 202

        reason, took_s = await ended_after(chain, "departs-continue", said_at, GRACE_S + SLACK_S)

    assert (reason, took_s >= GRACE_S - GRAIN_S) == ("abandoned", True)


@pytest.mark.parametrize("closed_first", [True, False])
async def test_an_unseen_stream_stops_in_every_mode(chain: Chain, closed_first: bool) -> None:
    """Sluice-Unseen: the client never got the headers, so the one that began the stream takes it back."""
    model, label = scripted(tokens=5000), f"unseen-{closed_first}"
    async with hop(chain, model.name, label, "continue") as client:
        await client.until_tokens(3)
        if closed_first:
            client.fin()

        assert await depart(chain, label, {"Sluice-Unseen": "1"}) == 202

        assert await told(chain.proxy, label) == ["cancelled"]  # and not `abandoned`, for which its grace is waited
    await stopped_at(chain, model)


async def test_an_unseen_stream_that_another_follows_goes_on(chain: Chain) -> None:
    """Somebody reads it: it is theirs."""
    model = scripted(tokens=60)
    async with hop(chain, model.name, "unseen-but-followed", "cancel") as client, Client(chain.gateway.url) as other:
        await client.until_tokens(3)
        async with other.open("GET", client.answer.path) as reading:
            await reading.until_tokens(3)
            assert await depart(chain, "unseen-but-followed", {"Sluice-Unseen": "1"}) == 202
            answer = await reading.until_end()

    assert (answer.text, answer.reason) == (model.text, "stop")


async def test_a_follower_that_arrives_after_its_leaving_was_said_has_already_gone(chain: Chain) -> None:
    """The word overtook the request: no stream is started for it, and it is not followed."""
    model = scripted(tokens=5000)
    assert await depart(chain, "overtaken-start") == 410

    async with hop(chain, model.name, "overtaken-start", "cancel") as client:
        answer = await client.until_end()

    assert (answer.status, answer.error["code"]) == (410, "stream_gone")
    assert calls_of(chain, model.name) == []


@pytest.mark.parametrize("name", ["short", "x" * 65, "with.dots.in.its.name.of.22", "%20" * 22])
async def test_a_followers_name_of_another_form_is_refused(chain: Chain, name: str) -> None:
    """400: 22 to 64 characters of [A-Za-z0-9_-]."""
    async with Client(chain.proxy.url) as client, client.open("DELETE", f"/api/followers/{name}") as reading:
        answer = await reading.until_end()

    assert (answer.status, answer.error["code"]) == (400, "invalid_request")


async def test_leaving_and_coming_back_in_turns_is_one_stream(chain: Chain) -> None:
    """The grace begins anew with each leaving, and ends with each return: twenty tabs that come and go."""
    model = scripted(tokens=100)
    async with Client(chain.gateway.url) as client:
        async with client.open(
            "POST", "/api/chat/stream", {"model": model.name, "message": "hi", "on_disconnect": "continue"}
        ) as reading:
            seen = await reading.until_tokens(2)
            reading.leave()
        text, number = seen.text, seen.last_number
        while True:
            async with client.open("GET", f"{seen.path}?after={number}") as reading:
                answer = await reading.until_tokens(8)
                reading.leave()
            text, number = text + answer.text, max(number, answer.last_number)
            if answer.end is not None:
                break

    assert (text, answer.reason) == (model.text, "stop")
