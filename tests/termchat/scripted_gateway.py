"""A gateway that says what a test wants: other statuses, other paths, TLS, silence."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

_LENGTH = re.compile(r"content-length: ([0-9]+)", re.IGNORECASE)
STREAM = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
HELLO = (
    SSE_HEAD
    + f'id: {STREAM}-1\nevent: start\ndata: {{"type":"start","stream_id":"{STREAM}","model":"m"}}\n\n'.encode()
    + f'id: {STREAM}-2\nevent: token\ndata: {{"type":"token","content":"Hello"}}\n\n'.encode()
    + f'id: {STREAM}-3\nevent: done\ndata: {{"type":"done","finish_reason":"stop"}}\n\n'.encode()
)


def plain(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return a whole response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class ScriptedGateway:
    """Answers each request with what ``script`` makes of it; remembers them, and what they carried."""

    script: Callable[[str], bytes]
    requests: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.bodies.append(body.decode())
            await self.answer(head, body, writer)
            await writer.drain()
        writer.close()

    async def answer(self, head: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
        """Write the response to one request."""
        writer.write(self.script(head))


G = TypeVar("G", bound=ScriptedGateway)


@contextlib.asynccontextmanager
async def scripted(
    script: Callable[[str], bytes], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedGateway]:
    """Run one while the block lasts."""
    async with serving(ScriptedGateway(script), tls=tls) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def serving(gateway: G, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[G]:
    """Run this one while the block lasts."""
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    gateway.url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield gateway
