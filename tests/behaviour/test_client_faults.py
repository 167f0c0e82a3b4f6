"""Clients that drip, that speak an older HTTP, or send too much: C6, C7, P4, T15 of docs/faults.md."""

import asyncio
import contextlib
import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from services.wire.sse import SseDecoder
from tests.behaviour.connections import calls_of, clients_connected, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client, raw_exchange

KEEPALIVE_S: Final = (
    15.0  # the gateway listener's; it is the header time-out (ARCHITECTURE.md, "Admission, retry, time")
)
BODY_TIMEOUT_S: Final = 1.0
BODY_BYTES: Final = 8 << 20
SLACK_S: Final = 3.0
HOST: Final = "127.0.0.1"
HEADER: Final = b"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Drip: "
IDLERS: Final = 300
GRAIN_S: Final = 0.02  # a timer of uvloop's counts from the start of the turn that set it


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=0"}, log_level="debug") as chain,
        common_gate(chain),
    ):
        yield chain


class Drip(threading.Thread):
    """A client that sends ``data`` a byte at a time, from a thread: other tests run meanwhile.

    ``closed_after_s`` is how long the server bore with it; None while it does.
    """

    def __init__(self, port: int, data: bytes) -> None:
        super().__init__(daemon=True)
        self._port, self._data = port, data
        self.closed_after_s: float | None = None

    def run(self) -> None:
        """Send until the server closes."""
        began = time.monotonic()
        with socket.create_connection((HOST, self._port)) as sock:
            sock.settimeout(0.3)
            for byte in self._data + b"x" * 100:
                try:
                    if self._data:
                        sock.send(bytes([byte]))
                    if sock.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        self.closed_after_s = time.monotonic() - began


@pytest.fixture(scope="module", autouse=True)
def drips(chain: Chain) -> dict[str, Drip]:
    """Clients that began to drip with the first test of this module."""
    drips = {"header": Drip(chain.gateway.port, HEADER), "nothing": Drip(chain.gateway.port, b"")}
    for drip in drips.values():
        drip.start()
    return drips


def body_of(model: str, **fields: Any) -> bytes:
    return json.dumps({"model": model, "message": "hi", **fields}).encode()


def request(body: bytes, *headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    lines = [b"POST /api/chat/stream %s" % version, b"Host: localhost", b"Content-Type: application/json", *headers]
    lines += [b"Content-Length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


# --- bodies


async def test_a_body_that_drips_is_given_up(chain: Chain) -> None:
    """C7: 408 within the body's time-out and a second, and the connection is closed; the model hears nothing."""
    model = scripted()
    whole = request(body_of(model.name), b"X-Request-Id: drips-its-body")
    head, _, body = whole.partition(b"\r\n\r\n")
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.send(head + b"\r\n\r\n")
        took_s, _ = await asyncio.gather(client.until_closed(), drip(client, body[:60]))

    assert BODY_TIMEOUT_S - GRAIN_S <= took_s <= BODY_TIMEOUT_S + 1.0 + SLACK_S
    assert (client.answer.status, client.answer.error["code"]) == (408, "request_timeout")
    assert client.answer.error["retryable"] is True
    assert await told(chain.gateway, "drips-its-body") == ["request_timeout"]
    assert calls_of(chain, model.name) == []


async def test_a_large_picture_on_a_slow_line_gets_through(chain: Chain) -> None:
    """C7: each 64 KiB that came is a second more."""
    model = scripted(tokens=3)
    whole = request(body_of(model.name, message="x" * (3 << 16)))
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.send(whole[: 5 << 15])
        await asyncio.sleep(BODY_TIMEOUT_S + 0.5)  # the slow line: what is tested
        await client.send(whole[5 << 15 :])
        answer = await client.until_end()

    assert (answer.status, answer.reason) == (200, "stop")


async def drip(client: SocketClient, data: bytes) -> None:
    with contextlib.suppress(OSError):
        for byte in data:
            if not client.closed:
                await client.send(bytes([byte]))
                await asyncio.sleep(0.05)  # the drip itself: what is tested


async def test_a_client_that_leaves_in_the_middle_of_its_body_starts_nothing(chain: Chain) -> None:
    """The model hears nothing, and the connection has its one line."""
    model = scripted()
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.send(request(body_of(model.name), b"X-Request-Id: leaves-in-body")[:-5])
        client.fin()

    assert len(await told(chain.gateway, "leaves-in-body")) == 1
    await soon(lambda: clients_connected(chain.gateway) <= 2, "its socket is closed, the two drips are not")
    assert calls_of(chain, model.name) == []


@pytest.mark.parametrize("side", ["gateway", "proxy"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "x"])
async def test_a_body_in_a_content_encoding_is_refused(chain: Chain, side: str, coding: str) -> None:
    """415: a compressed body is a bomb's wrapper; it is not opened."""
    bomb = gzip.compress(b"0" * (20 << 20))
    server = getattr(chain, side)
    before = server.resident_bytes()

    answer = await exchange(server.port, request(bomb, b"Content-Encoding: " + coding.encode()))

    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert server.resident_bytes() - before < 10 << 20


async def test_identity_is_no_encoding(chain: Chain) -> None:
    """What says that it is not compressed is taken."""
    body = body_of(scripted(tokens=3).name)

    answer = await exchange(chain.gateway.port, request(body, b"Content-Encoding: identity"))

    assert (answer.status, answer.reason) == (200, "stop")


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(chain: Chain) -> None:
    """BODY_BYTES, announced or in chunks: 413 before the model hears anything."""
    model = scripted(tokens=3)
    empty = len(body_of(model.name, message=""))
    fits = body_of(model.name, message="x" * (BODY_BYTES - empty))
    large = body_of(scripted().name, message="x" * (BODY_BYTES - empty + 10))[: BODY_BYTES + 1]
    head = request(b"", b"Connection: close").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")

    passed = await exchange(chain.gateway.port, request(fits))
    chunked_fit = await exchange(chain.gateway.port, head + chunked(fits))
    refused = [
        await exchange(chain.gateway.port, request(large)),
        await exchange(chain.gateway.port, head + chunked(large)),
    ]

    assert (passed.status, passed.reason, chunked_fit.reason) == (200, "stop", "stop")
    assert [(answer.status, answer.error["code"]) for answer in refused] == [(413, "payload_too_large")] * 2


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(chain: Chain) -> None:
    """Expect: 100-continue, as curl sends it with a large body."""
    body = body_of(scripted(tokens=3).name)
    head, _, _ = request(body, b"Expect: 100-continue", b"Connection: close").partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection(HOST, chain.gateway.port)
    writer.write(head + b"\r\n\r\n")
    interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(body)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"event: done\n" in answer


# --- other HTTP


@pytest.mark.parametrize("connection", [b"X-Nothing: x", b"Connection: keep-alive"])
async def test_http_1_0_gets_its_answer_and_a_close(chain: Chain, connection: bytes) -> None:
    """Neither length nor chunks: the close is the end."""
    model = scripted(tokens=20)

    answer = await raw_exchange(HOST, chain.gateway.port, request(body_of(model.name), connection, version=b"HTTP/1.0"))

    head, _, body = answer.partition(b"\r\n\r\n")
    events = list(SseDecoder().feed(body))
    assert head.startswith((b"HTTP/1.0 200 ", b"HTTP/1.1 200 "))
    assert b"chunked" not in head.lower()
    assert body.startswith(b"id: ")
    assert "".join(json.loads(event.data).get("content", "") for event in events) == model.text
    assert events[-1].type == "done"


@pytest.mark.parametrize("side", ["gateway", "proxy"])
@pytest.mark.parametrize(
    "line",
    [
        b"GET /livez\r\n\r\n",
        b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/0.9\r\n\r\n",
    ],
)
async def test_http_0_9_and_an_absolute_target_are_refused(chain: Chain, side: str, line: bytes) -> None:
    """400, and nothing behind it is read as another request."""
    answer = await raw_exchange(HOST, getattr(chain, side).port, line + b"\r\n", within_s=KEEPALIVE_S + 5)

    assert re.match(rb"HTTP/[01]\.[019] 400 ", answer)
    assert len(re.findall(rb"^HTTP/", answer, re.MULTILINE)) == 1


async def test_pipelined_requests_are_answered_in_order(chain: Chain) -> None:
    """A stream, then a probe: the second waits for the first."""
    model = scripted(tokens=30, rate=200)
    probe = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    pipelined = request(body_of(model.name)) + probe % b"" * 20 + probe % b"Connection: close\r\n"

    answer = await raw_exchange(HOST, chain.gateway.port, pipelined)

    first, *rest = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.count(b"event: done\n") == 1
    assert first.endswith(b"\r\n0\r\n\r\n")
    assert [part.endswith(b'"ok"}') for part in rest] == [True] * 21


async def test_what_follows_a_body_is_no_part_of_the_answer_before_it(chain: Chain) -> None:
    """The answer is whole; what came behind the request is read as another, is none, and ends the connection."""
    model = scripted(tokens=50, rate=200)
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.send(request(body_of(model.name)))
        await client.until_tokens(3)
        await client.send(b"\x00garbage\r\n\r\n")
        answer = await client.until_end()

    assert (answer.text, answer.reason) == (model.text, "stop")
    assert len(calls_of(chain, model.name)) == 1


async def test_hundreds_of_connections_that_say_nothing_keep_nobody_from_being_answered(chain: Chain) -> None:
    """They cost a socket each, and are gone when their clients are."""
    async with AsyncExitStack() as stack:
        for _ in range(IDLERS):
            await stack.enter_async_context(SocketClient.connected(chain.gateway.port))
        async with Client(chain.gateway.url) as client:
            answer = await client.chat(scripted(tokens=3).name)
        held = clients_connected(chain.gateway)

    assert answer.reason == "stop"
    assert held >= IDLERS
    await soon(lambda: clients_connected(chain.gateway) <= 2, "their sockets are closed, the two drips are not")


# --- the drips that began with the first test


@pytest.mark.parametrize("what", ["header", "nothing"])
async def test_a_header_that_does_not_come_whole_is_not_waited_for(drips: dict[str, Drip], what: str) -> None:
    """C6: closed after the keep-alive and a second at most, however slowly it drips."""
    await asyncio.to_thread(drips[what].join, KEEPALIVE_S + 5.0)

    took_s = drips[what].closed_after_s
    assert took_s is not None
    assert took_s <= KEEPALIVE_S + 1.0 + SLACK_S


def chunked(body: bytes) -> bytes:
    pieces = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def exchange(port: int, data: bytes) -> Answer:
    """Send bytes and read one answer; the server may close before it has taken them all."""
    async with SocketClient.connected(port) as client:
        sending = asyncio.gather(client.send(data), client.until_end(), return_exceptions=True)
        assert not isinstance((await sending)[1], BaseException)
        return client.answer
