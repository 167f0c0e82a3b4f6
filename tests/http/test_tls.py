"""services/http/client.py over TLS: whom it trusts, and by what name it fails."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.http.client import HttpClient, TransportError
from services.http.connection import HttpRequest
from tests.certificate import make_certificate
from tests.machine import needs

pytestmark = needs("openssl")
ASK = HttpRequest("GET", "/api/tags")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK)
    await writer.drain()
    writer.close()


@asynccontextmanager
async def served(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    async with await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def fetched(port: int, trust: ssl.SSLContext) -> bytes:
    client = HttpClient("localhost", port, connect_timeout_s=2.0, tls=trust)
    try:
        return (await client.fetch(ASK, max_bytes=100, timeout_s=5.0)).body
    finally:
        await client.close()


async def test_a_server_whose_certificate_is_trusted_is_asked(certificate: tuple[Path, ssl.SSLContext]) -> None:
    file, tls = certificate
    async with served(tls) as port:
        assert await fetched(port, ssl.create_default_context(cafile=file)) == b"ok"


async def test_one_whose_certificate_is_not_trusted_gets_no_request(certificate: tuple[Path, ssl.SSLContext]) -> None:
    async with served(certificate[1]) as port:
        with pytest.raises(TransportError, match=r"^untrusted$"):
            await fetched(port, ssl.create_default_context())


async def test_one_that_speaks_no_tls_is_not_reached(certificate: tuple[Path, ssl.SSLContext]) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    trust = ssl.create_default_context(cafile=certificate[0])
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        with pytest.raises(TransportError, match=r"^refused$"):
            await fetched(server.sockets[0].getsockname()[1], trust)
