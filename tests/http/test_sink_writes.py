"""By how many writes a response leaves: each wakes the next hop, which shares its core with this one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web

from services.http.sink import ChunkedSink, open_sink
from services.wire import sse
from tests.http.served import Client, connected, served

FRAME = b"data: x\n\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
WHOLE = {GET: b"\r\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n", OLD: b"\r\n\r\ndata: x\n\n"}
Respond = Callable[[web.Request], Awaitable[ChunkedSink]]


class NotedWrites:
    """A transport that notes what it is given, and writes it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@asynccontextmanager
async def asked(request: bytes, respond: Respond) -> AsyncIterator[tuple[Client, list[bytes]]]:
    """One client of a handler that responds so and ends the body; and what was written to it by then."""
    noted: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()

    async def handle(asks: web.Request) -> web.StreamResponse:
        transport = NotedWrites(asks.transport)
        asks.protocol.transport = cast("asyncio.Transport", transport)
        sink = await respond(asks)
        if not noted.done():
            noted.set_result(list(transport.writes))
        return await sink.end()

    async with served(lambda router: router.add_get("/", handle)) as address, connected(address) as client:
        client.send(request)
        yield client, await asyncio.wait_for(asyncio.shield(noted), 5)


async def test_the_head_leaves_with_the_first_frames() -> None:
    async with asked(GET, lambda request: open_sink(request, sse.HEADERS, FRAME)) as (_, writes):
        pass

    assert len(writes) == 1
    assert writes[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert writes[0].endswith(b"\r\n\r\n9\r\ndata: x\n\n\r\n")


@pytest.mark.parametrize("request_bytes", [GET, OLD])
async def test_an_answer_that_is_there_already_leaves_whole(request_bytes: bytes) -> None:
    async with asked(request_bytes, lambda request: open_sink(request, sse.HEADERS, FRAME, whole=True)) as (_, writes):
        pass

    assert len(writes) == 1
    assert writes[0].endswith(WHOLE[request_bytes])


async def test_headers_that_have_left_are_not_held_while_the_body_lasts() -> None:
    held: list[int] = []

    async def respond(request: web.Request) -> ChunkedSink:
        sink = await open_sink(request, sse.HEADERS, FRAME)
        held.append(len(sink.response.headers))
        return sink

    async with asked(GET, respond) as (client, _):
        head = await client.until(b"\r\n\r\n")

    assert b"\r\nX-Accel-Buffering: no\r\n" in head
    assert held == [0]


@pytest.mark.parametrize("request_bytes", [GET, OLD])
async def test_the_end_leaves_with_the_last_frames_and_nothing_behind_it(request_bytes: bytes) -> None:
    async def respond(request: web.Request) -> ChunkedSink:
        sink = await open_sink(request, sse.HEADERS)
        sink.write(FRAME, last=True)
        sink.write(sse.HEARTBEAT)
        return sink

    async with asked(request_bytes, respond) as (client, writes):
        body = await client.until(WHOLE[request_bytes])

    assert len(writes) == 2
    assert body.count(FRAME) == 1
    assert sse.HEARTBEAT not in body


async def test_a_connection_whose_answer_left_whole_carries_another() -> None:
    async with asked(GET, lambda request: open_sink(request, sse.HEADERS, FRAME, whole=True)) as (client, _):
        first = await client.until(WHOLE[GET])
        client.send(GET)
        second = await client.until(WHOLE[GET])

    assert (first.count(b"HTTP/1.1 200"), second.count(b"HTTP/1.1 200")) == (1, 1)
