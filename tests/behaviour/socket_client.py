"""A client with its hands on the socket: it leaves in any way it likes, and reads only when it is told to."""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Self

import httptools

from services.wire.sse import SseDecoder
from tests.reader import Answer

TINY_BUFFER_BYTES: Final = 4096
"""Of a client that stops reading: the servers notice after a few frames."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_WIDE_BYTES: Final = 1 << 20
_CONTENT: Final = frozenset({"token", "thinking", "tool_call"})


class SocketClient:
    """One connection and one request.

    ``answer`` holds what has been read; ``answer.body`` all bytes of the body, cut frames included.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.answer = Answer(0, {})
        self.closed = False  # whether the server's FIN or RST was read
        self.raw = bytearray()
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._decoder = SseDecoder()

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls,
        port: int,
        *,
        host: str = "127.0.0.1",
        receive_buffer_bytes: int | None = None,
        sock: socket.socket | None = None,
    ) -> AsyncIterator[Self]:
        """Connect, by a new socket or by ``sock``; at the end it is closed."""
        sock = sock or socket.socket()
        sock.setblocking(False)
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            yield cls(sock)
        finally:
            sock.close()

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self._loop.sock_sendall(self.sock, data)

    async def ask(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> None:
        """Send one request."""
        payload = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(payload)}"]
        lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        await self.send("\r\n".join([*lines, "", ""]).encode() + payload)

    async def chat(self, model: str, request_id: str = "", **fields: Any) -> None:
        """Ask the native chat route for a stream."""
        headers = {"X-Request-Id": request_id} if request_id else {}
        await self.ask("/api/chat/stream", {"model": model, "message": "hi", **fields}, headers)

    # --- reading

    async def read(self, max_bytes: int = 1 << 16) -> bool:
        """Read once; False when there is nothing more to come."""
        try:
            data = await self._loop.sock_recv(self.sock, max_bytes)
        except ConnectionResetError:
            data = b""
        self.closed = self.closed or not data
        self.raw += data
        self._parser.feed_data(data)
        return not self.closed and not self.answer.ended_cleanly

    async def until(self, condition: Callable[[Answer], Any], within_s: float = 10.0) -> Answer:
        """Read until ``condition`` holds.

        Raises:
            AssertionError: the connection ended before.
        """
        async with asyncio.timeout(within_s):
            while not condition(self.answer):
                assert await self.read() or condition(self.answer), f"ended before: {self.answer}"
        return self.answer

    async def until_tokens(self, count: int) -> Answer:
        """Read until so many content events have come."""
        return await self.until(lambda answer: sum(event.type in _CONTENT for event in answer.events) >= count)

    async def until_phase(self, phase: str) -> Answer:
        """Read until a `status` event names ``phase``."""
        return await self.until(lambda answer: any(data.get("phase") == phase for data in answer.data))

    async def until_end(self, within_s: float = 20.0) -> Answer:
        """Read to the end of the body, or of the connection."""
        async with asyncio.timeout(within_s):
            while await self.read():
                pass
        return self.answer

    async def until_closed(self, within_s: float = 15.0) -> float:
        """Read until the server closes, and return the seconds that took."""
        began = time.monotonic()
        self.widen()
        async with asyncio.timeout(within_s):
            while not self.closed:
                await self.read()
        return time.monotonic() - began

    def widen(self) -> None:
        """Let what is still under way come through a wide window.

        A tiny one that was shut opens when the sender's probe timer says so, which backs off for as long as nobody
        reads, to seconds.
        """
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WIDE_BYTES)

    # --- leaving

    def fin(self) -> None:
        """Leave as a closed tab does."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # before close(), which says RST while something is unread
        self.sock.close()

    def reset(self) -> None:
        """Leave as a crashed machine's router says it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.sock.close()

    def half_close(self) -> None:
        """Say that no more will be sent, and go on listening."""
        self.sock.shutdown(socket.SHUT_WR)

    # --- the parser's callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Keep the head."""
        self.answer.status = self._parser.get_status_code()
        self.answer.headers = dict(self._headers)

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body, and the events that it completes."""
        self.answer.body += data
        if "event-stream" in self._headers.get("Content-Type", ""):
            self.answer.events.extend(self._decoder.feed(data))

    def on_message_complete(self) -> None:
        """Note that the body came to its proper end."""
        self.answer.ended_cleanly = True
