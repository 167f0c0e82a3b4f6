"""What is answered where no handler is asked, and what never follows headers that have left: by raw bytes.

Each of these hangs on how aiohttp works inside (ARCHITECTURE.md): a new aiohttp that changes it fails here.
"""

import asyncio
import json
import re
import socket
from typing import Any

import pytest
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from structlog.testing import capture_logs

from services.http import edge
from services.http.sink import open_sink
from services.runtime.settings import Address
from tests.http.served import connected, served

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
CANARY = "sk-canary-4711"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_HTTP = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY.encode() + b"\r\n\r\n",
    "a line of text": CANARY.encode() + b"\r\n\r\n",
    "another version": b"GET /" + CANARY.encode() + b" HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization " + CANARY.encode() + b"\r\n\r\n",
    "a null in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + CANARY.encode() + b"\0\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nX : " + CANARY.encode() + b"\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nX: " + CANARY.encode() + b"\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nX: " + CANARY.encode() * 800 + b"\r\n\r\n",
    "a long target": b"GET /" + CANARY.encode() * 800 + b" HTTP/1.1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: sk-canary-4711\r\n" * 200 + b"\r\n",
    "a bad chunk in the same packet": CHUNKED + b"zz sk-canary-4711\r\n",
}
WORDS = re.compile(rb"aiohttp|Python|python|\d\.\d+\.\d|Server:")


def _echo(router: web.UrlDispatcher) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await edge.read_body(request, limit_bytes=1000, patience_s=30))

    router.add_route("*", "/", echo)


async def answered(address: Address, request: bytes) -> bytes:
    async with connected(address) as client:
        client.send(request)
        return await client.rest()


@pytest.mark.parametrize("what", NOT_HTTP)
async def test_what_is_not_http_is_a_400_in_our_shape_that_names_and_repeats_nothing(what: str) -> None:
    with capture_logs() as lines:
        async with served(_echo) as address:
            raw = await answered(address, NOT_HTTP[what])

    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"X-Shape: ours\r\n" in head
    assert b"Connection: close" in head
    assert json.loads(body)["id"].encode() in head
    assert not WORDS.search(raw)
    assert b"canary" not in raw
    assert "canary" not in str(lines)
    assert raw.count(b"HTTP/1.1 400") == 1


async def test_a_header_that_is_too_long_is_told_so() -> None:
    async with served(_echo) as address:
        raw = await answered(address, NOT_HTTP["a long header"])

    assert b"too long" in raw


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: sk-canary-4711\r\nConnection: close\r\n\r\n", 417),
    ],
)
async def test_what_aiohttp_refuses_before_any_middleware_has_our_shape_too(request_: bytes, status: int) -> None:
    async with served(_echo) as address:
        raw = await answered(address, request_)

    assert raw.startswith(b"HTTP/1.1 %d " % status)
    assert b"X-Shape: ours\r\n" in raw
    assert b"canary" not in raw
    assert not WORDS.search(raw)


async def test_only_a_connection_that_waits_for_a_request_has_a_keep_alive_to_end() -> None:
    """Before its first request, and behind each answer; an answer may take longer."""
    timers: list[bool] = []

    def routes(router: web.UrlDispatcher) -> None:
        async def look(request: web.Request) -> web.Response:
            timers.append(request.protocol._keepalive_handle is not None)  # noqa: SLF001 aiohttp shows it nowhere
            return web.Response(text="whole")

        router.add_get("/", look)

    async with served(routes, keepalive_s=1.0) as address, connected(address) as client:
        client.send(GET)
        await client.until(b"whole")
        client.send(GET)
        await client.until(b"whole")
        closed = await client.rest()  # by the keep-alive that the answer set anew

    assert (timers, closed) == ([False, False], b"")


async def test_a_body_in_which_the_parser_loses_its_place_is_refused_at_once_and_alone() -> None:
    """Not when the body's time is over, and nothing behind it is read as a request."""
    reading = asyncio.Event()

    def routes(router: web.UrlDispatcher) -> None:
        async def echo(request: web.Request) -> web.Response:
            reading.set()
            return web.Response(body=await edge.read_body(request, limit_bytes=1000, patience_s=30))

        router.add_post("/", echo)

    async with (
        served(routes, edge.error_middleware(_answers_status, _Status)) as address,
        connected(address) as client,
    ):
        client.send(CHUNKED + b"4\r\nhalf\r\n")
        await asyncio.wait_for(reading.wait(), 5)
        client.send(b"zz\r\nx\r\n" + GET)
        raw = await client.rest()

    assert raw.startswith(b"HTTP/1.1 400 ")
    assert raw.count(b"HTTP/1.1 ") == 1


async def test_a_bad_body_that_nobody_reads_ends_the_connection_behind_the_one_answer() -> None:
    """Where the next request would begin nobody can say."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    def routes(router: web.UrlDispatcher) -> None:
        async def ignore(_request: web.Request) -> web.Response:
            asked.set()
            await go_on.wait()
            return web.Response(text="whole")

        router.add_post("/", ignore)

    with capture_logs() as lines:
        async with served(routes) as address, connected(address) as client:
            client.send(CHUNKED)
            await asyncio.wait_for(asked.wait(), 5)
            client.send(b"zz\r\n" + GET)
            for _ in range(5):
                await asyncio.sleep(0)  # the loop is the server's, too: a turn of it takes what the socket holds
            go_on.set()
            raw = await client.rest()

    assert raw.startswith(b"HTTP/1.1 200 ")
    assert raw.count(b"HTTP/1.1") == 1
    assert lines == []


class _Status(Exception):
    """A status and its words."""


def _answers_status(exc: Exception, _request: web.Request) -> edge.Answer | None:
    return (exc.args[0], {"X-Shape": "ours"}, str(exc.args[1]).encode()) if isinstance(exc, _Status) else None


# --- behind headers that have left

BEGUN = b"4\r\nhalf\r\n"
FAILURES: dict[str, tuple[Any, ...]] = {
    "a bug": (RuntimeError, "a bug"),
    "aiohttp's refusal": (web.HTTPNotFound,),
    "a named failure": (_Status, 409, "taken"),
    "a time-out": (TimeoutError,),
    "a broken connection elsewhere": (ConnectionError,),
}


async def _begin(request: web.Request) -> None:
    sink = await open_sink(request, {})
    sink.write(b"half")


async def cut_off(handler: Handler, *middlewares: Middleware) -> list[str]:
    """Assert that what ``handler`` began is cut where it stood, and return the log lines of that."""
    with capture_logs() as lines:
        async with served(
            lambda router: router.add_get("/", handler),
            *middlewares,
            edge.error_middleware(_answers_status, _Status),
        ) as address:
            raw = await answered(address, GET)

    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert BEGUN.startswith(body)  # what is buffered is lost
    assert raw.count(b"HTTP/1.1") == 1
    return [line["event"] for line in lines]


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_exception_behind_the_headers_cuts_the_body_and_is_one_line(failure: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await _begin(request)
        kind, *arguments = FAILURES[failure]
        raise kind(*arguments)

    assert await cut_off(handler) == ["response.broken_off"]


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_exception_of_an_outer_middleware_does_so_too(failure: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        sink = await open_sink(request, {})
        sink.write(b"half")
        return sink.response

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        await handler(request)
        kind, *arguments = FAILURES[failure]
        raise kind(*arguments)

    assert await cut_off(handler, counted) == ["response.broken_off"]


async def test_another_response_than_the_one_that_has_begun_is_never_written() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await _begin(request)
        return web.Response(text="whole")

    assert await cut_off(handler) == ["response.broken_off"]


async def test_no_response_at_all_behind_the_headers_is_cut() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await _begin(request)
        return None  # type: ignore[return-value] # the mistake

    assert await cut_off(handler) == ["response.broken_off"]


async def test_a_body_that_nobody_said_was_whole_is_not_ended_properly() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        sink = await open_sink(request, {})
        sink.write(b"half")
        return sink.response

    assert await cut_off(handler) == ["response.broken_off"]


async def test_a_cancelled_handler_s_body_is_not_ended_properly() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await _begin(request)
        raise asyncio.CancelledError

    assert await cut_off(handler) == []


async def test_below_http_1_1_where_a_close_is_a_proper_end_the_connection_is_reset() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await _begin(request)
        raise RuntimeError

    errors = edge.error_middleware(_answers_status, _Status)
    async with (
        served(lambda router: router.add_get("/", handler), errors) as address,
        connected(address) as client,
    ):
        client.send(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.until(b"what never comes")


async def test_a_failure_before_any_header_that_no_middleware_takes_is_a_500_in_our_shape() -> None:
    def routes(router: web.UrlDispatcher) -> None:
        async def fail(_request: web.Request) -> web.Response:
            raise RuntimeError(CANARY)

        router.add_get("/", fail)

    with capture_logs() as lines:
        async with served(routes) as address:
            raw = await answered(address, GET)

    assert raw.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"X-Shape: ours\r\n" in raw
    assert b"canary" not in raw
    assert [line["event"] for line in lines] == ["request.failed"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_burst_of_connections_is_accepted_several_in_each_turn_of_the_loop(loop: str) -> None:
    """One a turn is what uvloop takes: beside a thousand streams a turn is long, and who came last waited seconds."""
    answered = 0

    async def count(_request: web.Request) -> web.Response:
        nonlocal answered
        answered += 1
        return web.Response()

    async def burst() -> None:
        async with served(lambda router: router.add_get("/", count)) as address:
            clients = [socket.create_connection((address.host, address.port)) for _ in range(64)]
            for client in clients:
                client.sendall(GET)
            for _ in range(32):
                await asyncio.sleep(0)
            at_once = answered
            for client in clients:
                client.close()
        assert at_once == 64

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(burst())
