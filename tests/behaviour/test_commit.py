"""When a failure is a status, when an event, and in whose shape (PROTOCOL.md, "Before and after the headers")."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from services.wire.events import Code
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.refusals import GENERATE, asking, failed, refused, refused_as_ollama
from tests.behaviour.script import scripted
from tests.chain import Chain, Server, running_chain
from tests.reader import Answer, Client

COMMIT_S: Final = 1.0
PREFILL_S: Final = 2.5
"""Between one second and the three after which the test profile gives a first token up."""
EARLY_S: Final = 0.005  # libuv counts whole milliseconds, from the beginning of a turn of the loop
OLLAMAS_PATHS: Final = ("/api/generate", "/api/chat", "/api/tags", "/api/ps", "/api/version", "/api/show", "/nowhere")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    proxy = {"PERMITS": "1"}
    with (
        running_chain(simulator=simulator, proxy=proxy, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


@pytest.fixture(params=["gateway", "proxy"])
async def client(request: pytest.FixtureRequest, chain: Chain) -> AsyncIterator[Client]:
    async with Client(getattr(chain, request.param).url) as client:
        yield client


@pytest.fixture
async def direct(chain: Chain) -> AsyncIterator[Client]:
    async with Client(chain.proxy.url) as client:
        yield client


@pytest.fixture
async def both(chain: Chain) -> AsyncIterator[list[Client]]:
    """A client of the gateway and one of the proxy, for what takes seconds: they wait at the same time."""
    async with Client(chain.gateway.url) as people, Client(chain.proxy.url) as direct:
        yield [people, direct]


async def timed(client: Client, model: str) -> tuple[Answer, float]:
    """Ask, and return the answer with the seconds until its headers came."""
    started = time.monotonic()
    async with client.open("POST", GENERATE, asking(model)) as reading:
        headers_s = time.monotonic() - started
        return await reading.until_end(), headers_s


# --- when the headers leave


@pytest.mark.clock
async def test_without_content_the_headers_leave_after_one_second(both: list[Client]) -> None:
    for answer, headers_s in await asyncio.gather(
        *(timed(client, scripted(tokens=3, prefill=PREFILL_S).name) for client in both)
    ):
        assert COMMIT_S - EARLY_S <= headers_s < PREFILL_S
        assert answer.reason == "stop"


@pytest.mark.clock
async def test_the_headers_leave_with_the_first_content_if_that_is_earlier(both: list[Client]) -> None:
    for answer, headers_s in await asyncio.gather(
        *(timed(client, scripted(tokens=40, rate=40, prefill=0.2).name) for client in both)
    ):
        assert 0.2 - EARLY_S <= headers_s < COMMIT_S
        assert answer.reason == "stop"


@pytest.mark.clock
async def test_the_headers_leave_at_once_for_who_takes_a_place_in_the_line(client: Client) -> None:
    """And from then on a failure is an event, however early: the reader was shown its place."""
    model = scripted(tokens=10, rate=20, fault="error", at=10).name
    async with client.open("POST", GENERATE, asking(model)) as running:
        await running.until_tokens(1)
        started = time.monotonic()
        async with client.open("POST", GENERATE, asking(model)) as waiting:
            headers_s = time.monotonic() - started
            running.leave()
            answer = await waiting.until_end()

    assert headers_s < COMMIT_S
    assert next(data["phase"] for data in answer.data if "phase" in data) == "queued"
    failed(answer, Code.UPSTREAM_ERROR)


async def test_a_failure_within_the_first_second_is_a_status(client: Client) -> None:
    """And too little memory stays too little: no retry is promised."""
    model = scripted(load=0.3, fault="error", at=0, words="memory")

    refused(await client.ask(GENERATE, asking(model.name)), Code.UPSTREAM_ERROR, retryable=False)


async def test_a_failure_after_the_first_second_is_an_event_though_nothing_was_said(client: Client) -> None:
    model = scripted(load=1.4, fault="error", at=0, words="memory")
    answer = await client.ask(GENERATE, asking(model.name))

    failed(answer, Code.UPSTREAM_ERROR, retryable=False)
    assert {event.type for event in answer.events} == {"start", "status", "error"}


@pytest.mark.clock
async def test_the_place_in_line_that_is_not_left_in_time_is_an_event_on_sse(both: list[Client]) -> None:
    """O2."""

    async def wait_in_line(client: Client) -> tuple[Answer, float]:
        body = asking(scripted(tokens=100, rate=25).name)
        async with client.open("POST", GENERATE, body) as running:
            await running.until_tokens(1)
            started = time.monotonic()
            answer = await client.ask(GENERATE, body)
            took_s = time.monotonic() - started
            running.leave()
        return answer, took_s

    for answer, took_s in await asyncio.gather(*(wait_in_line(client) for client in both)):
        failed(answer, Code.QUEUE_TIMEOUT)
        assert 2.0 - EARLY_S <= took_s < 3.0


# --- labels


@pytest.mark.parametrize("given", ["12345678", "a-Z_0" * 12 + "1234"])
async def test_a_request_id_of_the_right_form_is_taken_everywhere(given: str, client: Client) -> None:
    label = {"X-Request-Id": given}
    good, bad, broken = await asyncio.gather(
        client.ask(GENERATE, asking("sim:tokens=1"), label),
        client.ask(GENERATE, {"model": "sim"}, {"X-Request-Id": given[::-1]}),
        client.ask(
            GENERATE, asking("story:fault=error,at=1"), {"X-Request-Id": given.upper() + "_"[: 64 - len(given)]}
        ),
    )

    assert good.headers["X-Request-Id"] == given
    assert good.data[0].get("request_id", given) == given
    assert refused(bad, Code.INVALID_REQUEST)["request_id"] == given[::-1]
    assert failed(broken, Code.UPSTREAM_ERROR)["request_id"].startswith(given.upper())


@pytest.mark.parametrize("given", ["short", "a" * 65, "has space in it", "semi;colon;x", "ünïcödé-id", ""])
async def test_a_request_id_of_another_form_is_replaced(given: str, client: Client) -> None:
    answer = await client.ask(GENERATE, {"model": "sim"}, {"X-Request-Id": given})
    made = refused(answer, Code.INVALID_REQUEST)["request_id"]

    assert made != given
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", made)


# --- Ollama's shape at the proxy


@pytest.mark.parametrize("path", OLLAMAS_PATHS)
async def test_ollamas_routes_and_unknown_paths_refuse_in_ollamas_shape(path: str, direct: Client) -> None:
    refused_as_ollama(await direct.get(path, {"Host": "rebound.example"}), Code.MISDIRECTED)
    refused_as_ollama(await direct.get(path, {"Origin": "http://localhost:3000"}), Code.FORBIDDEN)


@pytest.mark.parametrize("path", OLLAMAS_PATHS[:-1])
async def test_a_wrong_method_on_ollamas_routes_is_told_in_ollamas_shape(path: str, direct: Client) -> None:
    async with direct.open("DELETE", path) as reading:
        answer = await reading.until_end()

    refused_as_ollama(answer, Code.METHOD_NOT_ALLOWED)
    assert answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/api/show"])
async def test_a_bad_body_on_ollamas_routes_is_told_in_ollamas_shape(path: str, direct: Client) -> None:
    refused_as_ollama(await direct.ask(path, []), Code.INVALID_REQUEST)
    refused_as_ollama(await direct.ask(path, {"model": ""}), Code.INVALID_REQUEST)


async def test_the_same_refusals_on_our_routes_are_in_our_shape(direct: Client) -> None:
    for path in (GENERATE, "/api/streams", "/api/streams/x", "/health"):
        refused(await direct.get(path, {"Host": "rebound.example"}), Code.MISDIRECTED)
        refused(await direct.get(path, {"Origin": "http://localhost:3000"}), Code.FORBIDDEN)


async def test_a_model_server_that_is_not_there_is_told_on_every_passed_route(dead: Server) -> None:
    async with Client(dead.url) as client:
        answers = [await client.get(path) for path in ("/api/tags", "/api/ps", "/api/version")]
        answers.append(await client.ask("/api/show", {"model": "m"}))

    for answer in answers:
        assert refused_as_ollama(answer, Code.UPSTREAM_UNAVAILABLE).startswith("AI unavailable. ")


@pytest.fixture
def dead(chain: Chain) -> Iterator[Server]:
    """A proxy whose model server is not there."""
    proxy = chain.another_proxy(OLLAMA_URL="http://127.0.0.1:1")
    yield proxy
    proxy.stop()
