import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest

from gateway.relay.upstream import PATHS, HopFollower, Upstream
from services.http.client import HttpResponse, TransportError
from services.runtime.settings import Origin
from services.runtime.tasks import Tasks
from services.wire.request import ChatRequest, GenerateRequest, ModelRequest
from tests.gateway.stage import STREAM_ID
from tests.http.raw_server import Heard, RawServer, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def an_upstream() -> AsyncIterator[tuple[Upstream, RawServer]]:
    with raw_server() as server:
        upstream = Upstream(Origin("http", "127.0.0.1", server.port))
        try:
            yield upstream, server
        finally:
            await upstream.close()


async def answered(
    server: RawServer, asking: Awaitable[HttpResponse | None], answer: bytes = OK
) -> tuple[bytes, object]:
    """Answer the one request that ``asking`` makes; return it, and what came of it."""
    tasks = Tasks()

    async def asked() -> HttpResponse | None:
        return await asking

    task: asyncio.Task[HttpResponse | None] = tasks.spawn(asked(), "asks")
    peer = await server.asked()
    peer.send(answer)
    return peer.request, await task


@pytest.mark.parametrize(
    ("asked", "path"),
    [(ChatRequest(model="m"), b"/api/chat/stream"), (GenerateRequest(model="m"), b"/api/generate/stream")],
    ids=str,
)
async def test_each_kind_of_stream_has_a_constant_path(asked: ModelRequest, path: bytes) -> None:
    async with an_upstream() as (upstream, server):
        await upstream.start(asked, "cancel", HopFollower.new("request-1"), Heard())
        peer = await server.asked()

        assert peer.request.startswith(b"POST " + path + b" HTTP/1.1\r\n")
        assert b"\r\nSluice-Leave: cancel\r\n" in peer.request
        assert b"Idempotency-Key" not in peer.request


def test_no_other_kind_has_a_path() -> None:
    assert set(PATHS) == {"chat", "generate"}


async def test_a_stop_names_the_stream_and_the_request() -> None:
    async with an_upstream() as (upstream, server):
        request, answer = await answered(server, upstream.stop(STREAM_ID, "request-1"))

        assert request.startswith(b"DELETE /api/streams/%b HTTP/1.1\r\n" % STREAM_ID.encode())
        assert b"\r\nX-Request-Id: request-1\r\n" in request
        assert isinstance(answer, HttpResponse)
        assert answer.status == 200


async def test_a_snapshot_asks_for_json() -> None:
    async with an_upstream() as (upstream, server):
        request, _ = await answered(server, upstream.snapshot(STREAM_ID))

        assert request.startswith(b"GET /api/streams/%b HTTP/1.1\r\n" % STREAM_ID.encode())
        assert b"\r\nAccept: application/json\r\n" in request


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", b"garbage\r\n\r\n"])
async def test_a_departure_is_said_and_whatever_comes_of_it_is_no_failure(answer: bytes) -> None:
    follower = HopFollower.new("request-1")
    async with an_upstream() as (upstream, server):
        request, came = await answered(server, upstream.depart(follower, unseen=False), answer)

        assert request.startswith(b"DELETE /api/followers/%b HTTP/1.1\r\n" % follower.name.encode())
        assert b"Sluice-Unseen" not in request
        assert came is None


async def test_what_is_read_and_broken_off_is_a_failure() -> None:
    async with an_upstream() as (upstream, server):
        with pytest.raises(TransportError):
            await answered(server, upstream.read("/api/tags"), b"garbage\r\n\r\n")
