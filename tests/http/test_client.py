import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from services.http import client as http_client
from services.http.client import MAX_IDLE, RECEIVE_BUFFER_BYTES, HttpClient, HttpResponse, TransportError
from services.http.connection import HttpRequest, ResponseEnd
from services.runtime.tasks import Tasks
from tests.eventually import soon
from tests.http.raw_server import Heard, Peer, RawServer, full_backlog, raw_server, released

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ASK = HttpRequest("GET", "/api/tags")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def a_client(port: int, *, connect_timeout_s: float = 5.0) -> AsyncIterator[HttpClient]:
    client = HttpClient("127.0.0.1", port, connect_timeout_s=connect_timeout_s)
    try:
        yield client
    finally:
        await client.close()


async def answered(client: HttpClient, server: RawServer) -> Peer:
    """Ask once on a new connection, and let it be answered whole."""
    heard = Heard()
    await client.open(ASK, heard, fresh=True)
    peer = server.accept()
    peer.asked()
    peer.send(OK)
    assert await heard.end() is ResponseEnd.COMPLETE
    return peer


# --- connections


async def test_a_kept_connection_carries_the_next_call() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            peer = await answered(client, server)
            heard = Heard()
            await client.open(ASK, heard)
            asked = peer.asked()
            peer.send(OK)

            assert await heard.end() is ResponseEnd.COMPLETE
            assert asked.startswith(b"GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1:")
            assert not server.has_another
            assert client.connections.idle == 1


async def test_a_fresh_call_passes_a_kept_connection_by() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            await answered(client, server)
            await answered(client, server)

            assert client.connections.idle == 2


async def test_two_calls_at_once_have_a_connection_each() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            await answered(client, server)
            first, second = Heard(), Heard()
            await client.open(ASK, first)
            await client.open(ASK, second)
            server.accept().send(OK)

            assert await second.end() is ResponseEnd.COMPLETE
            assert first.ends == []


async def test_the_newest_kept_connection_is_used_first() -> None:
    """The others may grow old and be closed."""
    with raw_server() as server:
        async with a_client(server.port) as client:
            _old, new = await answered(client, server), await answered(client, server)
            heard = Heard()
            await client.open(ASK, heard)
            new.asked()
            new.send(OK)

            assert await heard.end() is ResponseEnd.COMPLETE


@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_a_kept_connection_that_dies_is_forgotten(how: str) -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            peer = await answered(client, server)
            peer.fin() if how == "FIN" else peer.rst()
            await soon(lambda: client.connections.idle == 0, "it is forgotten")
            await answered(client, server)

            assert client.connections.idle == 1


@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_a_kept_connection_that_dies_under_a_call_before_any_byte_is_stale(how: str) -> None:
    """The server closed it while the request was on its way: nothing was taken, asking again at once is safe."""
    with raw_server() as server:
        async with a_client(server.port) as client:
            peer = await answered(client, server)
            heard = Heard()
            call = await client.open(ASK, heard)
            peer.fin() if how == "FIN" else peer.rst()

            assert await heard.end() is ResponseEnd.STALE
            assert call.released.done()


async def test_a_new_connection_that_dies_before_any_byte_is_not_stale() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            heard = Heard()
            await client.open(ASK, heard)
            server.accept().fin()

            assert await heard.end() is ResponseEnd.DISCONNECTED


async def test_a_kept_connection_that_dies_after_a_byte_is_not_stale() -> None:
    """Its server may have begun to generate."""
    with raw_server() as server:
        async with a_client(server.port) as client:
            peer = await answered(client, server)
            heard = Heard()
            await client.open(ASK, heard)
            peer.asked()
            peer.send(b"HTTP/1.1 2")
            peer.fin()

            assert await heard.end() is ResponseEnd.DISCONNECTED


async def test_a_connection_idle_for_too_long_is_not_used_and_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            peer = await answered(client, server)
            monkeypatch.setattr(http_client, "IDLE_S", 0.0)
            await asyncio.sleep(0.002)  # uvloop's clock goes by whole milliseconds
            await client.open(ASK, Heard())

            assert await peer.sees_the_close()
            assert server.has_another


async def test_the_pool_is_bounded() -> None:
    with raw_server(backlog=2 * MAX_IDLE) as server:
        async with a_client(server.port) as client:
            heard = [Heard() for _ in range(MAX_IDLE + 5)]
            for one in heard:
                await client.open(ASK, one, fresh=True)
            for _ in heard:
                server.accept().send(OK)
            for one in heard:
                await one.end()

            assert client.connections.idle == MAX_IDLE


async def test_close_closes_the_busy_ones_too() -> None:
    with raw_server() as server:
        client = HttpClient("127.0.0.1", server.port, connect_timeout_s=5)
        idle = await answered(client, server)
        heard = Heard()
        call = await client.open(ASK, heard, fresh=True)
        busy = server.accept()
        await client.close()
        await released(call)

        assert await idle.sees_the_close()
        assert await busy.sees_the_close()
        assert client.connections.idle == 0


async def test_what_a_reader_that_pauses_leaves_unread_is_small() -> None:
    """The kernel's buffer on our side is set, not left to grow by itself."""
    with raw_server() as server:
        async with a_client(server.port) as client:
            heard = Heard()
            call = await client.open(ASK, heard)
            peer = server.accept()
            call.pause()
            taken = peer.send_what_fits(b"x" * (64 << 20))

            assert taken < (8 << 20) + 4 * RECEIVE_BUFFER_BYTES


# --- connecting


async def test_a_port_that_nobody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with a_client(port) as client:
        with pytest.raises(TransportError) as failed:
            await client.open(ASK, Heard())

        assert failed.value.how == "refused"


async def test_a_name_that_does_not_exist_is_refused() -> None:
    client = HttpClient("no-such-host.invalid", 80, connect_timeout_s=5)

    with pytest.raises(TransportError) as failed:
        await client.open(ASK, Heard())

    assert failed.value.how in {"refused", "connect_timeout"}


async def test_a_black_hole_is_given_up_after_the_connect_time_out_and_not_before() -> None:
    """U6."""
    loop = asyncio.get_running_loop()
    with full_backlog() as port:
        async with a_client(port, connect_timeout_s=0.1) as client:
            began = loop.time()
            with pytest.raises(TransportError) as failed:
                await client.open(ASK, Heard())

            assert failed.value.how == "connect_timeout"
            assert loop.time() - began >= 0.095


async def test_connecting_can_be_cancelled() -> None:
    tasks = Tasks()
    with full_backlog() as port:
        async with a_client(port) as client:
            connecting = tasks.spawn(client.open(ASK, Heard()), "connecting")
            await asyncio.sleep(0)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting

            assert client.connections.idle == 0


@pytest.mark.parametrize(("host", "header"), [("::1", b"[::1]:80"), ("localhost", b"localhost:80")])
def test_the_host_header_names_the_host_as_http_wants_it(host: str, header: bytes) -> None:
    client = HttpClient(host, 80, connect_timeout_s=1)

    assert b"\r\nHost: " + header + b"\r\n" in ASK.encode(client._host_header)  # noqa: SLF001 no server on port 80


# --- whole answers


async def fetched(
    client: HttpClient, server: RawServer, *answers: bytes, max_bytes: int = 100, timeout_s: float = 5.0
) -> HttpResponse:
    """Fetch from a server that gives ``answers``, a connection each, and closes behind the empty ones."""
    tasks = Tasks()
    fetching = tasks.spawn(client.fetch(ASK, max_bytes=max_bytes, timeout_s=timeout_s), "fetching")
    try:
        for answer in answers:
            peer = await server.asked()
            peer.send(answer)
            if not answer.endswith(b"!"):
                peer.fin()
        whole: HttpResponse = await fetching
        return whole
    finally:
        with contextlib.suppress(TransportError):
            await tasks.close()


async def test_a_whole_wholeis_returned() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            answer = await fetched(client, server, b"HTTP/1.1 404 No\r\nX-A: b\r\nContent-Length: 3\r\n\r\nno!")

            assert (answer.status, answer.headers["x-a"], answer.body) == (404, "b", b"no!")
            assert client.connections.idle == 1


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + b"x" * 100 + b"!", "too_large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ResponseEnd.DISCONNECTED),
        (b"", ResponseEnd.DISCONNECTED),
        (b"garbage!", ResponseEnd.MALFORMED),
    ],
    ids=["too large", "broken off", "no byte", "no HTTP"],
)
async def test_an_wholethat_is_not_whole_is_a_failure_by_its_name(answer: bytes, how: str) -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            with pytest.raises(TransportError) as failed:
                await fetched(client, server, answer)

            assert failed.value.how == how
            assert client.connections.idle == 0


async def test_an_wholethat_takes_too_long_is_given_up_and_its_connection_closed() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(TransportError) as failed:
                await fetched(client, server, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf!", timeout_s=0.1)

            assert failed.value.how == "timeout"
            assert loop.time() - began >= 0.095
            assert await server.peers[0].sees_the_close()


async def test_a_fetch_on_a_connection_that_had_died_is_made_again_at_once() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            peer = await answered(client, server)
            tasks = Tasks()
            fetching = tasks.spawn(client.fetch(ASK, max_bytes=100, timeout_s=5), "fetching")
            await asyncio.sleep(0)  # it is sent now, on the kept connection
            peer.fin()
            await soon(lambda: client.connections.idle == 0, "the kept connection is used up")
            fresh = await server.asked()
            fresh.send(OK)

            assert (await fetching).body == b"ok"


async def test_a_cancelled_fetch_closes_its_connection() -> None:
    with raw_server() as server:
        async with a_client(server.port) as client:
            tasks = Tasks()
            tasks.spawn(client.fetch(ASK, max_bytes=100, timeout_s=5), "fetching")
            peer = await server.asked()
            await tasks.close()

            assert await peer.sees_the_close()
