"""A reader at byte level: what comes on the socket, and how it ends."""

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from services.runtime.settings import Address
from services.simulator.simulator import Simulator

ANY_PORT: Final = Address("127.0.0.1", 0)
DEADLINE_S: Final = 5.0  # of one step of a test, on a busy machine
HELLO: Final = [{"role": "user", "content": "hi"}]


@dataclass
class Seen:
    """A response as it stood on the wire; ``end`` is whole, fin, reset or silent."""

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    body: bytes = b""
    raw: bytes = b""
    end: str = ""

    @property
    def lines(self) -> list[Any]:
        """The body's lines as JSON."""
        return [json.loads(line) for line in self.body.split(b"\n") if line.strip()]

    @property
    def text(self) -> str:
        """What was said, in generate's lines and in chat's."""
        return "".join(text_of(line) for line in self.lines)


def text_of(line: Any) -> str:
    """Return the text of one line of either endpoint."""
    return str(line.get("response", "") or line.get("message", {}).get("content", ""))


def post(path: str, body: Any, *extra: str) -> bytes:
    """Return a request; ``body`` as it stands if it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = ["Host: 127.0.0.1", f"Content-Length: {len(data)}", *extra]
    return "\r\n".join([f"POST {path} HTTP/1.1", *fields, "", ""]).encode() + data


def get(path: str, *extra: str, method: str = "GET") -> bytes:
    """Return a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *extra, "", ""]).encode()


def chat(model: str, **fields: Any) -> bytes:
    """Return a chat request with one message."""
    return post("/api/chat", {"model": model, "messages": HELLO} | fields)


def generate(model: str, **fields: Any) -> bytes:
    """Return a generate request with a prompt."""
    return post("/api/generate", {"model": model, "prompt": "hi"} | fields)


class Reader:
    """One connection to a simulator."""

    opened: ClassVar[list["Reader"]] = []  # until the test is over: a forgotten one would leave when collected

    def __init__(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stream = stream
        self.writer = writer
        self.opened.append(self)

    @classmethod
    async def connect(cls, port: int) -> "Reader":
        """Connect to the loopback port."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def some(self) -> bytes:
        """Return the next bytes that come."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.stream.read(1 << 16)

    async def until(self, part: bytes) -> bytes:
        """Return everything up to and with ``part``."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.stream.readuntil(part)

    async def response(self, silence_s: float = DEADLINE_S, method: str = "POST") -> Seen:
        """Return the next response; one that does not end within ``silence_s`` ends silent."""
        seen = Seen()
        self._parts: list[bytes] = []
        try:
            async with asyncio.timeout(silence_s):
                await self._head(seen)
                if method != "HEAD":
                    await self._body(seen)
            seen.end = seen.end or "whole"
        except TimeoutError:
            seen.end = "silent"
        except asyncio.IncompleteReadError as exc:
            self._parts.append(exc.partial)
            seen.end = "fin"
        except ConnectionResetError:
            seen.end = "reset"
        seen.raw = b"".join(self._parts)
        seen.body = seen.body or b"".join(seen.chunks)
        return seen

    @classmethod
    async def leave_all(cls) -> None:
        """Close what tests have opened."""
        for reader in cls.opened:
            reader.leave()
        for reader in cls.opened:
            with contextlib.suppress(OSError):
                await reader.writer.wait_closed()
        cls.opened.clear()

    def leave(self) -> None:
        """Close properly: a FIN."""
        self.writer.close()

    def leave_by_half(self) -> None:
        """Send the FIN and stay to read."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Go with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _head(self, seen: Seen) -> None:
        head = await self.stream.readuntil(b"\r\n\r\n")
        self._parts.append(head)
        status_line, *fields = head.decode("latin-1").split("\r\n")[:-2]
        seen.status = int(status_line.split()[1])
        seen.fields = dict(line.split(": ", 1) for line in fields)

    async def _body(self, seen: Seen) -> None:
        if seen.fields.get("Transfer-Encoding") == "chunked":
            while size := int(await self._line(), 16):
                chunk = await self.stream.readexactly(size + 2)
                self._parts.append(chunk)
                seen.chunks.append(chunk[:-2])
            while await self._line():
                pass
        elif "Content-Length" in seen.fields:
            seen.body = await self.stream.readexactly(int(seen.fields["Content-Length"]))
        else:
            seen.body = await self.stream.read(-1)
            seen.end = "fin"

    async def _line(self) -> bytes:
        line = await self.stream.readuntil(b"\r\n")
        self._parts.append(line)
        return line[:-2]


async def ask(simulator: Simulator, request: bytes, silence_s: float = DEADLINE_S) -> Seen:
    """Return the response to one request on a connection of its own."""
    reader = await Reader.connect(simulator.address.port)
    reader.send(request)
    seen = await reader.response(silence_s, request.split(b" ", 1)[0].decode())
    reader.leave()
    return seen
