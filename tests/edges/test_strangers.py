"""What an edge lets through of a stranger: no address that is his word, no request that can be read in two ways."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httptools
import pytest

from services.runtime.tasks import Tasks
from tests.behaviour.smuggling import FRAMES
from tests.edges.configuration import EDGES
from tests.edges.running import RunningEdge, running_edge
from tests.reader import Client

pytestmark = [pytest.mark.edge, pytest.mark.timeout(120)]

HEAD_S: Final = 30.0  # Traefik's one timer; the others close after 10 s
SLACK_S: Final = 3.0
REFUSED_BEHIND: Final = {("haproxy", "a null in a header")}
"""What an edge hands on as it came, and the next server refuses, as ours does."""
SECOND: Final = b"GET /api/second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


# --- a server behind the edge that writes down what it is sent


@dataclass
class Heard:
    """One request as it came: its target and fields, names in lower case, and the bytes it came in."""

    target: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.headers if given == name]


@dataclass
class Book:
    """What scribes wrote: the requests, and what was none; and their connections."""

    heard: list[Heard] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: list[asyncio.Transport] = field(default_factory=list)


class Scribe(asyncio.Protocol):
    """Reads requests as strictly as llhttp does, writes down all but the edge's own probes, and says yes."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._parser = httptools.HttpRequestParser(self)
        self._request = Heard()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._book.connections.append(transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            # a method that llhttp does not know is no fault: that request begins where it should
            if not isinstance(exc, httptools.HttpParserInvalidMethodError):
                self._book.faults.append(f"{exc}: {data!r}")
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()

    # --- httptools' calls

    def on_message_begin(self) -> None:
        self._request = Heard()

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name.decode().lower(), value.decode()))

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        if self._request.target != "/readyz":
            self._book.heard.append(self._request)
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@dataclass
class Watched:
    """An edge with scribes behind it, and what they wrote."""

    edge: RunningEdge
    book: Book

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes over TLS; return what comes until the edge closes, or is silent for a second."""
        port, tls = self.edge.place.port, self.edge.tls
        reader, writer = await asyncio.open_connection("localhost", port, ssl=tls)
        came = bytearray()
        try:
            writer.write(data)
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := await asyncio.wait_for(reader.read(1 << 16), 1):
                    came += piece
        finally:
            writer.transport.abort()
        return bytes(came)


@pytest.fixture
async def watched(edge: RunningEdge, programs: dict[str, str], tmp_path: Path) -> AsyncIterator[Watched]:
    book = Book()
    server = await asyncio.get_running_loop().create_server(lambda: Scribe(book), "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    name = edge.edge.name
    # in a thread: it waits for its edge, which waits for us
    running = running_edge(EDGES[name], programs[name], tmp_path, gateways=[address], page=address)
    another = await asyncio.to_thread(running.__enter__)
    try:
        yield Watched(another, book)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
        server.close()
        for connection in book.connections:
            connection.abort()
        await server.wait_closed()


async def test_an_address_that_a_client_claims_is_not_believed(watched: Watched) -> None:
    """T21: the next server hears one address, that of the socket, by whichever header the client lies."""
    lies = {"X-Forwarded-For": "10.1.2.3, 10.4.5.6", "Forwarded": "for=10.1.2.3", "X-Forwarded-Proto": "ftp"}
    async with Client(watched.edge.url, watched.edge.tls) as client:
        await client.get("/api/models", lies)
    (heard,) = watched.book.heard

    assert heard.all("x-forwarded-for") == ["127.0.0.1"]
    assert "".join(heard.all("forwarded")) == ""
    assert "".join(heard.all("x-forwarded-proto")) != "ftp"
    assert heard.all("host")[0].partition(":")[0] == "localhost"


async def test_a_request_that_can_be_read_in_two_ways_goes_on_in_one_way_or_not_at_all(watched: Watched) -> None:
    """S4: what reaches the next server is well-formed, framed once, and one request for one that was sent."""
    passed: dict[str, int] = {}
    for what, frame in FRAMES.items():
        watched.book.heard.clear()
        watched.book.faults.clear()
        answers = await watched.exchange(frame + SECOND)
        requests = list(watched.book.heard)
        passed[what] = len(requests)

        assert watched.book.faults == [] or (watched.edge.edge.name, what) in REFUSED_BEHIND, what
        assert len(requests) <= 2, what
        assert len(re.findall(rb"^HTTP/", answers, re.MULTILINE)) <= 2, what
        assert [one.target for one in requests[1:]] in ([], ["/api/second"]), what
        for request in requests:
            assert well_framed(request), (what, request)
    print(f"{watched.edge.edge.name:8} of {len(FRAMES)} frames passed on, made plain:", end=" ")
    print(", ".join(what for what, count in passed.items() if count) or "none")


def well_framed(request: Heard) -> bool:
    lengths, codings = request.all("content-length"), request.all("transfer-encoding")
    return (
        (len(lengths), codings) in [(0, []), (1, []), (0, ["chunked"])]
        and len(request.all("host")) == 1
        and not any(control in value for _, value in request.headers for control in "\0\r\n")
    )


# --- and before the chain


async def test_metrics_and_what_else_is_the_operators_is_not_published(edge: RunningEdge) -> None:
    """T20: not by the edge's own ports either."""
    statuses = {path: edge.status(path) for path in ("/metrics", "/api/metrics", "/health", "/admin", "/stats")}

    assert set(statuses.values()) == {404}, statuses


async def test_a_head_that_drips_is_cut(edges: dict[str, RunningEdge]) -> None:
    """T15: all at once, for what costs time here is waiting."""

    async def drip(edge: RunningEdge) -> float:
        reader, writer = await asyncio.open_connection("localhost", edge.place.port, ssl=edge.tls)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n")
        began = time.monotonic()
        drops = Tasks()
        drops.spawn(dripping(writer), "drip")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        lasted = time.monotonic() - began
        await drops.close()
        writer.transport.abort()
        return lasted

    lasted = dict(zip(edges, await asyncio.gather(*map(drip, edges.values())), strict=True))
    print("\na dripping head was cut after", ", ".join(f"{seconds:.1f} s ({name})" for name, seconds in lasted.items()))

    assert {name for name, seconds in lasted.items() if seconds > HEAD_S + SLACK_S} == set()
    assert {name for name, seconds in lasted.items() if seconds > HEAD_S / 3 + SLACK_S} <= {"traefik"}


async def dripping(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for number in range(100):
            writer.write(b"X-%d: a\r\n" % number)
            await writer.drain()
            await asyncio.sleep(0.5)
