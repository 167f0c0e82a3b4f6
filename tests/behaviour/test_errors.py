"""Every code of PROTOCOL.md's table, reached at both servers by the situation that it names.

Not yet: unauthorized, model_not_allowed, rate_limited, idempotency_conflict, which come with keys.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest

from services.wire.events import Code
from tests.behaviour.exhaustion import ask_without_memory
from tests.behaviour.refusals import GENERATE, asking, failed, failed_wordless, parsed, refused, refused_as_ollama
from tests.chain import Chain, Server
from tests.eventually import eventually
from tests.reader import Client, raw_exchange

UNKNOWN_ID: Final = "abcd." + "A" * 26
SIDES: Final = ("gateway", "proxy")


@dataclass(frozen=True)
class Pair:
    """A proxy and the gateway before it."""

    proxy: Server
    gateway: Server

    def side(self, name: str) -> Server:
        return self.gateway if name == "gateway" else self.proxy


@pytest.fixture(scope="module")
def narrow(chain: Chain) -> Pair:
    """One permit, a line for one, and little patience."""
    proxy = chain.another_proxy(PERMITS="1", QUEUE_LENGTH="1", QUEUE_TIMEOUT_S="0.5", FIRST_TOKEN_TIMEOUT_S="0.6")
    return ready(Pair(proxy, chain.another_gateway(PROXY_URL=proxy.url)))


@pytest.fixture(params=SIDES)
async def client(request: pytest.FixtureRequest, chain: Chain) -> AsyncIterator[Client]:
    """A client of the gateway, and of the proxy itself."""
    async with Client(getattr(chain, request.param).url) as client:
        yield client


@pytest.fixture(params=SIDES)
async def narrow_client(request: pytest.FixtureRequest, narrow: Pair) -> AsyncIterator[Client]:
    async with Client(narrow.side(request.param).url) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def unfinished(chain: Chain) -> Iterator[Future[list[bytes]]]:
    """What both servers answer to a body that does not come on; begun ahead: the proxy's patience is ten seconds."""
    request = b"POST /api/generate/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    part = request + b'Content-Length: 100\r\n\r\n{"model"'

    async def send() -> list[bytes]:
        ports = [chain.gateway.port, chain.proxy.port]
        return await asyncio.gather(*(raw_exchange("127.0.0.1", port, part, within_s=15) for port in ports))

    with ThreadPoolExecutor(1) as ahead:
        yield ahead.submit(asyncio.run, send())


def ready(pair: Pair) -> Pair:
    eventually(lambda: pair.gateway.get("/readyz")[0] == 200, "the other gateway is ready", within_s=10)
    return pair


# --- the request


async def test_invalid_request(client: Client) -> None:
    assert (
        refused(await client.ask(GENERATE, {"model": "sim"}), Code.INVALID_REQUEST)["message"] == "Prompt is required"
    )


async def test_payload_too_large_by_its_announcement(client: Client) -> None:
    request = b"POST /api/generate/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    port = int(client.url.rpartition(":")[2])
    answer = await raw_exchange("127.0.0.1", port, request + b"Content-Length: 99000000\r\n\r\n")

    refused(parsed(answer), Code.PAYLOAD_TOO_LARGE)


async def test_unsupported_media_type_is_a_body_in_a_bombs_wrapper(client: Client) -> None:
    answer = await client.ask(GENERATE, asking("sim"), {"Content-Encoding": "gzip"})

    refused(answer, Code.UNSUPPORTED_MEDIA_TYPE)


async def test_unsupported_media_type_is_what_a_form_can_send_at_the_gateway_alone(chain: Chain) -> None:
    """Ollama's documented curls send no type, so the proxy asks for none."""
    async with Client(chain.gateway.url) as people, Client(chain.proxy.url) as direct:
        form = {"Content-Type": "text/plain"}
        refused(await people.ask(GENERATE, asking("sim"), form), Code.UNSUPPORTED_MEDIA_TYPE)
        answer = await direct.ask(GENERATE, asking("sim:tokens=1"), form)

    assert answer.reason == "stop"


async def test_forbidden_is_a_browser_at_the_proxy(chain: Chain) -> None:
    async with Client(chain.proxy.url) as client:
        answer = await client.ask(GENERATE, asking("sim"), {"Origin": "http://localhost:3000"})

    refused(answer, Code.FORBIDDEN)


async def test_not_found_is_in_our_shape_at_the_gateway_and_in_ollamas_at_the_proxy(chain: Chain) -> None:
    async with Client(chain.gateway.url) as people, Client(chain.proxy.url) as direct:
        for path in ("/nothing", "/api", "/api/pull", "/metrics", "/v2/chat/completions"):
            refused(await people.get(path), Code.NOT_FOUND)
            refused_as_ollama(await direct.get(path), Code.NOT_FOUND)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_method_not_allowed_names_what_is(method: str, client: Client) -> None:
    async with client.open(method, GENERATE) as reading:
        answer = await reading.until_end()

    refused(answer, Code.METHOD_NOT_ALLOWED)
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("side", "path"),
    [
        ("gateway", "/api/models"),
        ("gateway", "/health"),
        ("gateway", "/livez"),
        ("proxy", f"/api/streams/{UNKNOWN_ID}"),
    ],
)
async def test_method_not_allowed_is_head_at_the_gateway_and_where_it_would_follow(
    side: str, path: str, chain: Chain
) -> None:
    async with Client(getattr(chain, side).url) as client, client.open("HEAD", path) as reading:
        answer = await reading.until_end()

    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]


async def test_misdirected_is_a_host_that_is_not_ours(client: Client) -> None:
    refused(await client.ask(GENERATE, asking("sim"), {"Host": "rebound.example"}), Code.MISDIRECTED)


async def test_stream_gone_is_the_answer_for_every_stream_that_is_not_held(chain: Chain) -> None:
    """A stranger cannot tell what never was from what is another's or over."""
    async with Client(chain.gateway.url) as people, Client(chain.proxy.url) as direct:
        for stream_id in (UNKNOWN_ID, "short", "a" * 300):
            refused(await people.get(f"/api/chat/stream/{stream_id}"), Code.STREAM_GONE)
            refused(await people.ask(f"/api/chat/stream/{stream_id}/cancel"), Code.STREAM_GONE)
            refused(await direct.get(f"/api/streams/{stream_id}"), Code.STREAM_GONE)


# --- the model, and how many ask


async def test_model_not_found(client: Client) -> None:
    error = refused(await client.ask(GENERATE, asking("nobody")), Code.MODEL_NOT_FOUND)

    assert "nobody" in error["message"]


async def test_concurrency_limited_is_the_ninth_reader_of_one_stream(chain: Chain, client: Client) -> None:
    path = "/api/chat/stream/" if client.url == chain.gateway.url else "/api/streams/"
    async with client.open("POST", GENERATE, asking("sim:tokens=1000,rate=50")) as first:
        await first.until_tokens(1)
        readers = [client.open("GET", path + first.answer.stream_id) for _ in range(7)]
        opened = await asyncio.gather(*(reader.__aenter__() for reader in readers))
        ninth = await client.get(path + first.answer.stream_id)
        await asyncio.gather(*(reader.__aexit__(None, None, None) for reader in readers))

    assert [reading.answer.status for reading in opened] == [200] * 7
    refused(ninth, Code.CONCURRENCY_LIMITED)


async def test_overloaded_is_a_full_line_and_queue_timeout_a_long_wait_in_it(narrow_client: Client) -> None:
    """O2: the one is an HTTP status; the other was shown its place, so it is an event."""
    model = "sim:tokens=40,rate=20"
    async with narrow_client.open("POST", GENERATE, asking(model)) as running:
        await running.until_tokens(1)
        async with narrow_client.open("POST", GENERATE, asking(model)) as waiting:
            full = await narrow_client.ask(GENERATE, asking(model))
            waited = await waiting.until_end()
        whole = await running.until_end()

    refused(full, Code.OVERLOADED)
    failed(waited, Code.QUEUE_TIMEOUT)
    assert [data["phase"] for data in waited.data if "phase" in data] == ["queued"]
    assert whole.reason == "stop"


async def test_overloaded_is_a_gateway_with_as_many_connections_as_it_may_have(chain: Chain) -> None:
    gateway = chain.another_gateway(MAX_STREAMS="1")
    long = asking("sim:tokens=100,rate=50")
    async with Client(gateway.url) as client, client.open("POST", GENERATE, long) as running:
        await running.until_tokens(1)
        refused(await client.ask(GENERATE, asking("sim")), Code.OVERLOADED)
        refused(await client.get(running.answer.path), Code.OVERLOADED)
    gateway.stop()


async def test_shutting_down_is_a_new_stream_while_another_is_let_to_its_end(chain: Chain) -> None:
    """First the gateway drains, then the proxy: their stop order."""
    proxy = chain.another_proxy()
    gateway = chain.another_gateway(PROXY_URL=proxy.url)
    ready(Pair(proxy, gateway))
    for server in (gateway, proxy):
        long = asking("sim:tokens=60,rate=30")
        async with Client(server.url) as client, client.open("POST", GENERATE, long) as running:
            await running.until_tokens(1)
            server.signal(signal.SIGTERM)
            await asyncio.to_thread(eventually, partial(is_draining, server))
            answer = await client.ask(GENERATE, asking("sim"))
            whole = await running.until_end()
        server.stop()

        refused(answer, Code.SHUTTING_DOWN)
        assert answer.headers["Connection"] == "close"
        assert 1 <= int(answer.headers["Retry-After"]) <= 3
        assert whole.reason == "stop"


def is_draining(server: Server) -> bool:
    return server.get("/readyz")[0] == 503


# --- the model server


async def test_upstream_unavailable_is_nobody_behind(chain: Chain) -> None:
    """The proxy's model server refuses three times; the gateway's proxy is refused once and says so."""
    proxy = chain.another_proxy(OLLAMA_URL="http://127.0.0.1:1")
    behind_it, alone = chain.another_gateway(PROXY_URL=proxy.url), chain.another_gateway(PROXY_URL="http://127.0.0.1:1")
    for server in (proxy, behind_it, alone):
        async with Client(server.url) as client:
            error = failed_wordless(await client.ask(GENERATE, asking("sim")), Code.UPSTREAM_UNAVAILABLE)
        server_says = error["message"]

        assert server_says.startswith("AI unavailable. ")
    for server in (alone, behind_it, proxy):
        server.stop()


async def test_upstream_timeout_before_the_first_second_is_a_status_with_its_stage(narrow_client: Client) -> None:
    answer = await narrow_client.ask(GENERATE, asking("sim:fault=mute"))

    assert refused(answer, Code.UPSTREAM_TIMEOUT)["stage"] == "first_token"


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (Code.UPSTREAM_DISCONNECTED, "fault=refuse", "fault=reset,at=3"),
        (Code.UPSTREAM_TRUNCATED, "fault=truncate,at=0", "fault=truncate,at=3"),
        (Code.UPSTREAM_MALFORMED, "fault=garbage", "fault=malformed,at=3,count=8"),
        (Code.UPSTREAM_ERROR, "status=500", "fault=error,at=3"),
    ],
)
async def test_upstream_disconnected_truncated_malformed_and_error(
    code: Code, before: str, after: str, client: Client
) -> None:
    """Before the first content an HTTP status, as long as the headers wait; behind it an event."""
    early, late = await asyncio.gather(
        client.ask(GENERATE, asking(f"sim:{before}")), client.ask(GENERATE, asking(f"sim:tokens=9,{after}"))
    )

    failed_wordless(early, code)
    failed(late, code)
    assert late.text


# --- ours


@pytest.mark.parametrize("side", SIDES)
async def test_internal_is_what_nobody_foresaw_and_the_server_lives_on(side: str, chain: Chain) -> None:
    """Here: there is no memory for a body."""
    server = chain.another_gateway(BODY_BYTES="33000000") if side == "gateway" else chain.another_proxy()
    answer = await ask_without_memory(server, json.dumps(asking("sim", system="a" * 30_000_000)).encode())
    async with Client(server.url) as client:
        good = await client.ask(GENERATE, asking("sim:tokens=1"))
    logged = await asyncio.to_thread(
        eventually, lambda: server.events("request.failed"), what="the line of the failure"
    )
    server.stop()

    refused(answer, Code.INTERNAL)
    assert good.reason == "stop"
    assert [line["request_id"] for line in logged] == [answer.headers["X-Request-Id"]]


def test_request_timeout_is_a_body_that_does_not_come(unfinished: Future[list[bytes]]) -> None:
    """The gateway's limit is a setting, the proxy's is ten seconds."""
    for answer in unfinished.result():
        refused(parsed(answer), Code.REQUEST_TIMEOUT)
