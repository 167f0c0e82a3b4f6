"""services/http/dialling.py: the long way to a server on the internet, on real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.http.client import HttpClient, TransportError
from services.http.connection import HttpRequest
from services.http.dialling import HEAD_BYTES, InternetDialler, Proxy, Resolver, UnknownHost
from services.runtime.tasks import Tasks
from tests.certificate import make_certificate
from tests.eventually import soon
from tests.machine import needs

pytestmark = needs("openssl")
ASK = HttpRequest("GET", "/v1/models")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


class Through:
    """A proxy that lets through, or does not, and what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.left = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            if b" 200 " not in self.answer:
                await reader.read()
                return
            port = int(self.heads[-1].split(b" ")[1].rpartition(b":")[2])
            there_reader, there = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_copied(reader, there), _copied(there_reader, writer))
            finally:
                there.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.left += 1
            writer.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None, serve: object = _answer) -> AsyncIterator[int]:
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:  # type: ignore[arg-type] # either
        yield server.sockets[0].getsockname()[1]


async def fetched(port: int, dialler: InternetDialler, host: str = "localhost") -> bytes:
    client = HttpClient(host, port, connect_timeout_s=2.0, dialler=dialler)
    try:
        return (await client.fetch(ASK, max_bytes=100, timeout_s=5.0)).body
    finally:
        await client.close()


async def test_a_server_is_reached_by_its_name_and_known_by_its_certificate(
    certificate: tuple[Path, ssl.SSLContext], resolver: Resolver
) -> None:
    file, tls = certificate
    async with serving(tls) as port:
        trusted = InternetDialler(resolver, tls=ssl.create_default_context(cafile=file))
        strange = InternetDialler(resolver, tls=ssl.create_default_context())

        assert await fetched(port, trusted) == b"ok"
        with pytest.raises(TransportError, match=r"^untrusted$"):
            await fetched(port, strange)


async def test_through_a_proxy_it_is_the_server_s_certificate_that_counts(
    certificate: tuple[Path, ssl.SSLContext], resolver: Resolver
) -> None:
    file, tls = certificate
    proxy = Through()
    async with serving(tls) as port, serving(None, proxy.serve) as proxy_port:
        via = Proxy.parse(f"http://ada:se%40cret@127.0.0.1:{proxy_port}")
        dialler = InternetDialler(resolver, tls=ssl.create_default_context(cafile=file), proxy=via)

        assert await fetched(port, dialler) == b"ok"
        [head] = proxy.heads
        assert head.startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())
        assert b"Proxy-Authorization: Basic YWRhOnNlQGNyZXQ=" in head
        assert "cret" not in repr(via)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"what\r\n\r\n", b"x" * (HEAD_BYTES + 1)],
)
async def test_a_proxy_that_does_not_let_through_is_refused(answer: bytes, resolver: Resolver) -> None:
    proxy = Through(answer)
    async with serving(None, proxy.serve) as port:
        dialler = InternetDialler(resolver, tls=ssl.create_default_context(), proxy=Proxy("127.0.0.1", port))
        with pytest.raises(TransportError, match=r"^refused$"):
            await fetched(443, dialler)
        await soon(lambda: proxy.left == 1, "the connection is closed")


async def test_a_proxy_that_breaks_off_is_refused(resolver: Resolver) -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving(None, close) as port:
        dialler = InternetDialler(resolver, tls=ssl.create_default_context(), proxy=Proxy("127.0.0.1", port))
        with pytest.raises(TransportError, match=r"^refused$"):
            await fetched(443, dialler)


async def test_who_leaves_while_a_proxy_is_silent_closes_the_connection(resolver: Resolver) -> None:
    proxy, tasks = Through(b"100 "), Tasks()
    async with serving(None, proxy.serve) as port:
        dialler = InternetDialler(resolver, tls=ssl.create_default_context(), proxy=Proxy("127.0.0.1", port))
        asking = tasks.spawn(fetched(443, dialler), "asking")
        await soon(lambda: proxy.heads, "the proxy was asked")
        asking.cancel()
        await soon(lambda: proxy.left == 1, "the connection is closed")
        await tasks.close()


async def test_a_name_that_nobody_knows_is_told_as_that(resolver: Resolver) -> None:
    with pytest.raises(UnknownHost):
        await resolver.addresses("no-such-host.invalid", 443)
    with pytest.raises(TransportError, match=r"^dns$"):
        await fetched(443, InternetDialler(resolver, tls=ssl.create_default_context()), "no-such-host.invalid")


async def test_an_address_is_looked_up_once_in_thirty_seconds(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await resolver.addresses("localhost", 443)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("services.http.dialling._look_up", never)

    assert await resolver.addresses("localhost", 443) == first


async def test_every_address_of_a_name_is_tried_in_turn(
    certificate: tuple[Path, ssl.SSLContext], resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, tls = certificate
    monkeypatch.setattr("services.http.dialling._look_up", lambda *_: ["127.0.0.2", "127.0.0.1"])
    async with serving(tls) as port:
        assert await fetched(port, InternetDialler(resolver, tls=ssl.create_default_context(cafile=file))) == b"ok"


@pytest.mark.parametrize("url", ["https://p:1", "socks5://p:1", "http://"])
def test_what_is_no_http_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected http"):
        Proxy.parse(url)
