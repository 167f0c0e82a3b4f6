"""A real aiohttp server in the test's own loop, set up as ours are, and clients of raw bytes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Middleware

from services.http import edge
from services.http.server import HttpPort
from services.runtime.listening import Listener
from services.runtime.settings import Address

WITHIN_S = 5.0


def refusal(status: int, words: str, request_id: str) -> edge.Answer:
    """What is said here where no handler is asked."""
    return status, {"X-Shape": "ours"}, json.dumps({"id": request_id, "words": words}).encode()


@asynccontextmanager
async def served(
    routes: Callable[[web.UrlDispatcher], object],
    *middlewares: Middleware,
    on_prepare: Callable[[web.Request, web.StreamResponse], Awaitable[object]] | None = None,
    keepalive_s: float = 5.0,
) -> AsyncIterator[Address]:
    """Serve ``routes`` on a free port."""
    app = web.Application(middlewares=list(middlewares))
    if on_prepare is not None:
        app.on_response_prepare.append(on_prepare)
    routes(app.router)
    port = HttpPort("address", app, Listener(Address("127.0.0.1", 0), keepalive_s), refusal)
    port.bind()
    try:
        yield await port.open()
    finally:
        await port.close()


class Client:
    """One connection, of raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def until(self, marker: bytes) -> bytes:
        """Return what came up to ``marker``, which is part of it."""
        async with asyncio.timeout(WITHIN_S):
            return await self._reader.readuntil(marker)

    async def rest(self) -> bytes:
        """Return what comes until the server closes."""
        data = b""
        async with asyncio.timeout(WITHIN_S):
            with contextlib.suppress(ConnectionResetError):
                while piece := await self._reader.read(65_536):
                    data += piece
        return data

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (lower case) and body of one answer with a length."""
        head = (await self.until(b"\r\n\r\n")).decode()
        status_line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        async with asyncio.timeout(WITHIN_S):
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(status_line.split()[1]), headers, body


@asynccontextmanager
async def connected(address: Address, *, receive_buffer_bytes: int | None = None) -> AsyncIterator[Client]:
    """Open one connection; with a small buffer of ours, and asyncio's as small, who stops reading soon blocks it."""
    sock = socket.socket()
    if receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer_bytes or 65_536)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def asked(address: Address, request: str) -> tuple[int, dict[str, str], bytes]:
    """Send ``request`` with CRLF line ends, and return its answer."""
    async with connected(address) as client:
        client.send(request.replace("\n", "\r\n").encode())
        return await client.answer()
