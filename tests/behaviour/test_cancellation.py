"""Who leaves stops what nobody reads: in every phase, every way, and at once. Cases C1, C2, C16 of docs/faults.md."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of, clients_connected, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Client

GRACE_S: Final = 1.0
STOPPED_WITHIN_S: Final = 1.0  # P6: client gone -> model server's socket closed
SLACK_S: Final = 3.0  # of a busy machine; with it still less than the five seconds in which a client may come back
RATE: Final = 50
CLIENTS: Final = 1000
BATCH: Final = 50
PROBES: Final = 2  # calls that the servers' own looks at the model server may have open

Phase = Callable[[Chain, SocketClient, str], Awaitable[None]]


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


# --- phases: each returns when the stream is in it


def in_state(state: str) -> Phase:
    async def reached(chain: Chain, _client: SocketClient, model: str) -> None:
        await soon(lambda: [call["state"] for call in calls_of(chain, model)] == [state], state)

    return reached


async def connected(_chain: Chain, client: SocketClient, _model: str) -> None:
    await client.until(lambda answer: answer.events)


async def first_words(_chain: Chain, client: SocketClient, _model: str) -> None:
    await client.until_tokens(10)


async def refused_once(chain: Chain, _client: SocketClient, model: str) -> None:
    await soon(lambda: [call["end"] for call in calls_of(chain, model)] == ["answered"], "a first refusal")


PHASES: Final[Mapping[str, tuple[dict[str, Any], Phase]]] = {
    "loading": ({"load": 30}, in_state("loading")),
    "loading, headers seen": ({"load": 30}, connected),
    "prefill": ({"prefill": 30}, in_state("prefill")),
    "thinking": ({"base": "thinker", "think": 2000}, first_words),
    "decoding": ({"tokens": 2000}, first_words),
    "retry wait": ({"status": 503, "retry_after": 9}, refused_once),
    "retry wait, headers seen": ({"status": 503, "retry_after": 9}, connected),
}
WAYS: Final[Mapping[str, Callable[[SocketClient], None]]] = {
    "fin": SocketClient.fin,
    "rst": SocketClient.reset,
    "half-close": SocketClient.half_close,
}


async def until_told(server: Server, request_id: str, reason: str) -> None:
    """Wait until ``server`` has said how a request ended."""
    assert await told(server, request_id) == [reason]


async def is_over(chain: Chain, request_id: str, *, gateway: str, proxy: str) -> None:
    """Wait until both servers have said how it ended; each says it once."""
    await until_told(chain.gateway, request_id, gateway)
    await until_told(chain.proxy, request_id, proxy)


async def model_stopped(chain: Chain, model: str, since: float, slack_s: float = SLACK_S) -> dict[str, Any]:
    """Return the model's only call, which was closed within STOPPED_WITHIN_S of ``since``, and a machine's slack."""
    await soon(lambda: all(call["closed_at"] for call in calls_of(chain, model)), "the call is closed")
    (call,) = calls_of(chain, model)
    assert call["closed_at"] - since <= STOPPED_WITHIN_S + slack_s
    return call


@asynccontextmanager
async def holding_the_permit(chain: Chain, model: str) -> AsyncIterator[SocketClient]:
    """Run a stream that holds the only permit of ``model``."""
    async with SocketClient.connected(chain.proxy.port) as holder:
        await holder.ask("/api/chat/stream", {"model": model, "messages": [{"role": "user", "content": "hi"}]})
        await holder.until(lambda answer: len(answer.events) >= 2)
        yield holder


async def delete(server: Server, path: str, headers: Mapping[str, str] | None = None) -> int:
    async with Client(server.url) as client, client.open("DELETE", path, None, headers) as reading:
        return reading.answer.status


async def cancel(chain: Chain, stream_id: str) -> int:
    async with Client(chain.gateway.url) as client:
        return (await client.ask(f"/api/chat/stream/{stream_id}/cancel")).status


def tasks(chain: Chain) -> list[float]:
    """The tasks of both servers, without the one that each kept-alive connection has."""
    servers = (chain.gateway, chain.proxy)
    return [sample(server, "llm_event_loop_tasks") - clients_connected(server) for server in servers]


def calls_now(chain: Chain) -> int:
    count: int = chain.witness()["totals"]["calls_now"]
    return count


# --- leaving


@pytest.mark.parametrize(
    ("phase", "way"),
    [(phase, way) for phase in PHASES for way in WAYS if way == "rst" or "headers seen" not in phase],
)
async def test_who_leaves_stops_the_model_in_every_phase(chain: Chain, phase: str, way: str) -> None:
    """C1, C2: the model server's socket is closed; the reason is told once on each tier."""
    script, reached = PHASES[phase]
    model = scripted(**script).name
    request_id = f"leaves-{phase}-{way}".replace(" ", "_").replace(",", "")
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model, request_id)
        await reached(chain, client, model)
        left_at = time.monotonic()
        WAYS[way](client)

        await is_over(chain, request_id, gateway="client_gone", proxy="cancelled")

    if "retry" not in phase:
        call = await model_stopped(chain, model, left_at)
        assert call["end"] == "left"
        assert call["tokens"] <= 30 + RATE * (STOPPED_WITHIN_S + SLACK_S)
    assert len(calls_of(chain, model)) == 1


@pytest.mark.clock
@pytest.mark.parametrize("phase", ["prefill", "decoding"])
async def test_the_model_server_s_socket_is_closed_within_a_second(chain: Chain, phase: str) -> None:
    """P6."""
    script, reached = PHASES[phase]
    model = scripted(**script).name
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model)
        await reached(chain, client, model)
        left_at = time.monotonic()
        client.fin()

        await model_stopped(chain, model, left_at, slack_s=0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
async def test_who_leaves_the_line_frees_the_place_and_the_model_is_never_asked(
    chain: Chain, way: str, on_disconnect: str
) -> None:
    """C2: left in line; a `continue` stream keeps its place for its grace, and is not started without a reader."""
    model = scripted(tokens=1000).name
    request_id = f"leaves-line-{on_disconnect}-{way}"
    async with holding_the_permit(chain, model) as holder:
        async with SocketClient.connected(chain.gateway.port) as client:
            await client.chat(model, request_id, on_disconnect=on_disconnect)
            await client.until_phase("queued")
            WAYS[way](client)
            await until_told(chain.gateway, request_id, "client_gone")
            if on_disconnect == "cancel":
                await until_told(chain.proxy, request_id, "cancelled")
        holder.fin()
        await until_told(chain.proxy, request_id, {"cancel": "cancelled", "continue": "abandoned"}[on_disconnect])

    assert len(calls_of(chain, model)) == 1


async def test_who_leaves_while_the_proxy_connects_frees_everything(chain: Chain) -> None:
    """C2: the model server's host swallows SYNs; the connect time-out of 30 s is not what ends it."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, _filling(full.getsockname()[1]):
        environ = {**chain.proxy_environ, "SLUICE_PROXY_CONNECT_TIMEOUT_S": "30"}
        proxy = Server("proxy", {**environ, "SLUICE_PROXY_OLLAMA_URL": f"http://127.0.0.1:{full.getsockname()[1]}"})
        try:
            files = proxy.open_files()
            await asyncio.gather(*(leaves_while_connecting(proxy, way) for way in WAYS))

            await soon(lambda: proxy.open_files() <= files + PROBES, "no socket is left but a probe's")
        finally:
            proxy.stop()


async def leaves_while_connecting(proxy: Server, way: str) -> None:
    async with SocketClient.connected(proxy.port) as client:
        body = {"model": "m", "prompt": "hi"}
        await client.ask("/api/generate/stream", body, {"X-Request-Id": f"connecting-{way}"})
        await client.until(lambda answer: any(data.get("phase") == "connecting" for data in answer.data))
        WAYS[way](client)
        await until_told(proxy, f"connecting-{way}", "cancelled")


@contextmanager
def _filling(port: int) -> Iterator[None]:
    """Fill a listener's queue, so that the kernel drops every further SYN."""
    with ExitStack() as fillers:
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield


async def test_who_leaves_before_the_headers_stops_even_a_stream_that_should_continue(chain: Chain) -> None:
    """C2: nobody has an id to come back with, so nobody can come back."""
    model = scripted(prefill=30).name
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model, "leaves-unseen", on_disconnect="continue")
        await in_state("prefill")(chain, client, model)
        left_at = time.monotonic()
        client.reset()

        await is_over(chain, "leaves-unseen", gateway="client_gone", proxy="cancelled")

    await model_stopped(chain, model, left_at)


async def test_who_leaves_after_the_end_changes_nothing(chain: Chain) -> None:
    """The answer was whole: its one line says so, and a cancel finds it finished."""
    model = scripted(tokens=5)
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model.name, "leaves-after-done")
        answer = await client.until_end()
        client.reset()

    assert (answer.reason, answer.text) == ("stop", model.text)
    await is_over(chain, "leaves-after-done", gateway="stop", proxy="stop")
    assert await cancel(chain, answer.stream_id) == 200


async def test_a_direct_client_that_leaves_the_proxy_stops_its_stream(chain: Chain) -> None:
    """Without a gateway there is nobody to come back through: no grace."""
    model = scripted(tokens=2000).name
    async with SocketClient.connected(chain.proxy.port) as client:
        await client.ask("/api/generate/stream", {"model": model, "prompt": "hi"}, {"X-Request-Id": "leaves-proxy"})
        await client.until(lambda answer: len(answer.events) >= 5)
        left_at = time.monotonic()
        client.fin()

        await until_told(chain.proxy, "leaves-proxy", "cancelled")

    await model_stopped(chain, model, left_at)


async def test_a_thousand_clients_that_leave_a_silent_stream_leave_no_task_behind(chain: Chain) -> None:
    """C16: the handler waits on nothing but its client; tasks and sockets are back at their baseline."""
    before = tasks(chain)
    for batch in range(CLIENTS // BATCH):
        chain.forget()
        async with AsyncExitStack() as clients:
            here = [await clients.enter_async_context(SocketClient.connected(chain.gateway.port)) for _ in range(BATCH)]
            asking = (one.chat(f"sim:seed={n},prefill=60", f"silent-{batch}-{n:03}") for n, one in enumerate(here))
            await asyncio.gather(*asking)
            await soon(lambda: calls_now(chain) >= BATCH, "the model server holds them all")
            for client in here:
                client.reset()
            await soon(lambda: calls_now(chain) <= PROBES, "all are let go")

    await soon(lambda: all(now <= then + 2 for now, then in zip(tasks(chain), before, strict=True)), "tasks end")
    await soon(lambda: clients_connected(chain.gateway) == 0, "no client's socket is left")


# --- saying cancel


@pytest.mark.parametrize("phase", ["loading, headers seen", "thinking", "decoding", "retry wait, headers seen"])
async def test_a_cancel_ends_the_answer_in_every_phase_and_is_idempotent(chain: Chain, phase: str) -> None:
    """202 stopped, 200 had ended; its reader gets the one terminal event that says so."""
    script, reached = PHASES[phase]
    model = scripted(**script).name
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model)
        await reached(chain, client, model)
        stream_id = client.answer.stream_id
        said_at = time.monotonic()

        assert await cancel(chain, stream_id) == 202
        answer = await client.until_end()

        assert (answer.reason, answer.ended_cleanly) == ("cancelled", True)
        assert [await cancel(chain, stream_id) for _ in range(2)] == [200, 200]
    if "retry" not in phase:
        await model_stopped(chain, model, said_at)
    assert len(calls_of(chain, model)) == 1


async def test_a_cancel_in_line_ends_the_answer_and_the_model_is_never_asked(chain: Chain) -> None:
    """C2: the place is given up, and who holds the permit does not notice."""
    model = scripted(tokens=30)
    async with holding_the_permit(chain, model.name) as holder:
        async with SocketClient.connected(chain.gateway.port) as client:
            await client.chat(model.name)
            await client.until_phase("queued")

            assert await cancel(chain, client.answer.stream_id) == 202
            assert (await client.until_end()).reason == "cancelled"

        assert (await holder.until_end()).text == model.text
    assert len(calls_of(chain, model.name)) == 1


async def test_of_ten_cancels_at_once_one_stops_the_stream(chain: Chain) -> None:
    """The first terminal event wins; the others find the stream ended."""
    model = scripted(tokens=2000).name
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model)
        await client.until_tokens(3)

        statuses = await asyncio.gather(*(cancel(chain, client.answer.stream_id) for _ in range(10)))

        assert sorted(statuses) == [*[200] * 9, 202]
        assert (await client.until_end()).reason == "cancelled"


@pytest.mark.parametrize("stream_id", ["abcd.AAAAAAAAAAAAAAAAAAAAAAAAAA", "abcd", "x" * 500, "a-1"])
async def test_a_cancel_of_what_is_not_held_is_gone(chain: Chain, stream_id: str) -> None:
    """One answer for a stream that was never there, is forgotten, or has no id's form."""
    async with Client(chain.gateway.url) as client:
        answer = await client.ask(f"/api/chat/stream/{stream_id}/cancel")

    assert (answer.status, answer.error["code"]) == (410, "stream_gone")
    assert await delete(chain.proxy, f"/api/streams/{stream_id}") == 410


async def test_the_proxys_delete_stops_a_stream_of_its_owner_only(chain: Chain) -> None:
    """202, 200, and 410 for another owner: as if the stream were not there."""
    model = scripted(tokens=2000).name
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model)
        await client.until_tokens(3)
        path = f"/api/streams/{client.answer.stream_id}"

        assert await delete(chain.proxy, path, {"Sluice-Owner": "somebody.else"}) == 410
        assert [await delete(chain.proxy, path) for _ in range(3)] == [202, 200, 200]
        assert (await client.until_end()).reason == "cancelled"


async def test_a_permit_is_free_as_soon_as_a_cancel_is_answered(chain: Chain) -> None:
    """The next one asks the same model, which has one permit, and does not wait in line."""
    model = scripted(tokens=20)
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model.name)
        await client.until_tokens(3)
        await cancel(chain, client.answer.stream_id)
        async with Client(chain.gateway.url) as other:
            answer = await other.chat(model.name)

    assert answer.text == model.text
    assert "queued" not in [data.get("phase") for data in answer.data]
