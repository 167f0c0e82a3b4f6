import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from proxy.providers.adapter import UpstreamRequest
from proxy.upstream.transport import READ_ONLY, Endpoint, Transport, Unreachable
from services.http.client import TransportError
from services.http.connection import ResponseEnd
from services.runtime.settings import Origin
from services.runtime.tasks import Tasks
from services.wire.events import Code, Stage
from tests.http.raw_server import Heard, RawServer, full_backlog, raw_server

ASK = UpstreamRequest("/api/chat", b'{"model":"m","stream":true}')
TAGS = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"models":[]}'


@asynccontextmanager
async def a_transport(port: int, connect_timeout_s: float = 5.0, **more: Any) -> AsyncIterator[Transport]:
    transport = Transport(Endpoint(Origin("http", "127.0.0.1", port), **more), connect_timeout_s=connect_timeout_s)
    try:
        yield transport
    finally:
        await transport.close()


async def test_a_question_is_posted_with_its_length_and_nothing_of_the_client() -> None:
    """A chunked body whose end never came would hide our leaving from Ollama."""
    with raw_server() as server:
        async with a_transport(server.port) as transport:
            heard = Heard()
            await transport.open(ASK, heard, fresh=False)
            peer = await server.asked()
            peer.send(TAGS)
            head, _, body = peer.request.partition(b"\r\n\r\n")

            assert await heard.end() is ResponseEnd.COMPLETE
            assert head.split(b"\r\n")[0] == b"POST /api/chat HTTP/1.1"
            assert {line.split(b":")[0] for line in head.split(b"\r\n")[1:]} == {
                b"Host",
                b"Content-Type",
                b"Accept-Encoding",
                b"Content-Length",
            }
            assert body == ASK.body


async def test_a_server_that_is_not_there_is_unavailable_and_may_be_asked_again() -> None:
    """U5."""
    with raw_server() as server:
        pass
    async with a_transport(server.port) as transport:
        with pytest.raises(Unreachable) as unreachable:
            await transport.open(ASK, Heard(), fresh=False)

    refusal = unreachable.value.failed
    assert (refusal.why, refusal.again, refusal.failed.code) == ("refused", True, Code.UPSTREAM_UNAVAILABLE)
    assert refusal.failed.message.startswith("AI unavailable.")


async def test_a_black_hole_is_a_time_out_of_the_connect_stage() -> None:
    """U6."""
    with full_backlog() as port:
        async with a_transport(port, connect_timeout_s=0.05) as transport:
            with pytest.raises(Unreachable) as unreachable:
                await transport.open(ASK, Heard(), fresh=False)

    refusal = unreachable.value.failed
    assert (refusal.why, refusal.again, refusal.failed.code) == ("connect_timeout", True, Code.UPSTREAM_TIMEOUT)
    assert refusal.failed.stage is Stage.CONNECT


async def answered(server: RawServer, tasks: Tasks, answering: "asyncio.Task[object]") -> bytes:
    """Answer the one request that comes; return it."""
    peer = await server.asked()
    peer.send(TAGS)
    await answering
    assert len(tasks) <= 1
    return peer.request


@pytest.mark.parametrize("name", READ_ONLY)
async def test_what_may_be_read_has_constant_paths(name: str) -> None:
    """T2, S2: never from a request."""
    tasks = Tasks()
    with raw_server() as server:
        async with a_transport(server.port) as transport:
            request = await answered(server, tasks, tasks.spawn(transport.read(name), "read"))

    assert request.startswith(b"GET %b HTTP/1.1\r\n" % READ_ONLY[name].encode())


def test_nothing_else_may_be_read() -> None:
    assert set(READ_ONLY.values()) == {"/api/tags", "/api/ps", "/api/version"}


async def test_show_s_body_is_rebuilt_with_the_model_alone() -> None:
    tasks = Tasks()
    with raw_server() as server:
        async with a_transport(server.port) as transport:
            request = await answered(server, tasks, tasks.spawn(transport.show("llama3.2"), "show"))

    assert request.startswith(b"POST /api/show HTTP/1.1\r\n")
    assert orjson.loads(request.partition(b"\r\n\r\n")[2]) == {"model": "llama3.2"}


async def test_a_poll_gives_up_in_its_own_time() -> None:
    """``/api/ps`` can hang for 15 s beside a frozen runner."""
    tasks = Tasks()
    with raw_server() as server:
        async with a_transport(server.port) as transport:
            polling = tasks.spawn(transport.read("ps", timeout_s=0.05), "poll")
            await server.asked()
            with pytest.raises(TransportError) as failed:
                await polling

    assert failed.value.how == "timeout"


KEYED: dict[str, Any] = {"base_path": "/v1", "headers": {"Authorization": "Bearer a-key", "Accept-Encoding": "br"}}
REQUESTS: dict[str, tuple[bytes, Callable[[Transport], Coroutine[Any, Any, object]]]] = {
    "a question": (b"POST /v1/api/chat ", lambda transport: transport.open(ASK, Heard(), fresh=False)),
    "the version": (b"GET /v1/api/version ", lambda transport: transport.read("version")),
    "a model": (b"POST /v1/api/show ", lambda transport: transport.show("m")),
    "vectors": (
        b"POST /v1/api/embed ",
        lambda transport: transport.ask(UpstreamRequest("/api/embed", b"{}"), trace=None, timeout_s=5.0),
    ),
    "an unload": (b"POST /v1/api/generate ", lambda transport: transport.unload("m")),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_every_request_goes_to_the_base_path_with_the_server_s_own_headers_last(what: str) -> None:
    first_line, asking = REQUESTS[what]
    tasks = Tasks()
    with raw_server() as server:
        async with a_transport(server.port, **KEYED) as transport:
            request = await answered(server, tasks, tasks.spawn(asking(transport), "ask"))

    assert request.startswith(first_line)
    assert b"\r\nAuthorization: Bearer a-key\r\n" in request
    assert request.count(b"Accept-Encoding: ") == request.count(b"Accept-Encoding: br\r\n") == 1


def test_a_server_s_headers_are_not_shown() -> None:
    """A key may be among them."""
    assert "a-key" not in repr(Endpoint(Origin("http", "localhost", 80), **KEYED))
