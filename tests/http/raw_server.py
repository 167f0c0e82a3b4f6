"""A server of raw bytes, played by the test itself: what the peer does, it does while the loop stands still.

So it is certain what one turn of the loop finds in the socket: data and RST together, or a header cut in the middle.
"""

import asyncio
import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping

from services.http.connection import HttpCall, ResponseEnd
from tests.eventually import WITHIN_S, soon


class Peer:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(WITHIN_S)
        self.request = b""  # the last one

    def asked(self) -> bytes:
        """Return one request, head and body."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._received()
        head, _, body = data.partition(b"\r\n\r\n")
        wanted = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
        while len(body) < wanted:
            body += self._received()
        self.request = head + b"\r\n\r\n" + body
        return self.request

    @property
    def was_asked(self) -> bool:
        """Whether anything is there to be read."""
        return bool(select.select([self._connection], [], [], 0)[0])

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def send_what_fits(self, data: bytes) -> int:
        """Send until nobody takes more; return how many bytes were taken."""
        self._connection.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < len(data):
                sent += self._connection.send(data[sent : sent + 65_536])
        self._connection.settimeout(WITHIN_S)
        return sent

    def fin(self) -> None:
        """Close as a server does that is done, or dead."""
        self._connection.close()

    def rst(self) -> None:
        """Reset: what it has not read, or says in so many words, is lost."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    async def sees_the_close(self) -> bool:
        """Whether the client closes its side, within the deadline."""
        self._connection.setblocking(False)
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            try:
                if self._connection.recv(65_536) == b"":
                    return True
            except BlockingIOError:
                await asyncio.sleep(0.001)
            except ConnectionResetError:
                return True
        return False

    @property
    def closed(self) -> bool:
        return self._connection.fileno() < 0

    def _received(self) -> bytes:
        piece = self._connection.recv(65_536)
        assert piece, "the client closed before its request was whole"
        return piece


class RawServer:
    """A listening socket; connections come up without anybody's help."""

    def __init__(self, backlog: int = 64) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self._listener.settimeout(WITHIN_S)
        self.peers: list[Peer] = []
        self.port: int = self._listener.getsockname()[1]

    def accept(self) -> Peer:
        connection, _ = self._listener.accept()
        self.peers.append(Peer(connection))
        return self.peers[-1]

    async def asked(self) -> Peer:
        """Wait, while the loop runs, for one more connection and the first bytes of its request."""
        await soon(lambda: select.select([self._listener], [], [], 0)[0], "a connection comes")
        peer = self.accept()
        await soon(lambda: peer.was_asked, "something is asked")
        peer.asked()
        return peer

    @property
    def has_another(self) -> bool:
        """Whether one more connection was opened."""
        self._listener.setblocking(False)
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        finally:
            self._listener.settimeout(WITHIN_S)
        connection.close()
        return True

    def close(self) -> None:
        self._listener.close()
        for peer in self.peers:
            if not peer.closed:
                peer.fin()


@contextlib.contextmanager
def raw_server(backlog: int = 64) -> Iterator[RawServer]:
    server = RawServer(backlog)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose connections do not come up: the kernel drops their SYN, as a black hole does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as held:
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


class Heard:
    """A reader that keeps what it heard, in order."""

    def __init__(self) -> None:
        self.heads: list[int] = []
        self.headers: Mapping[str, str] = {}
        self.chunks: list[bytes] = []
        self.ends: list[ResponseEnd] = []
        self.on_first_bytes: Callable[[], None] = lambda: None
        self._over = asyncio.Event()

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        assert not self.chunks
        self.heads.append(status)
        self.headers = headers

    def on_bytes(self, data: bytes, _framed: bytes = b"") -> None:
        assert data
        assert not self.ends
        self.chunks.append(data)
        if len(self.chunks) == 1:
            self.on_first_bytes()

    def on_end(self, end: ResponseEnd) -> None:
        self.ends.append(end)
        self._over.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    async def end(self) -> ResponseEnd:
        async with asyncio.timeout(WITHIN_S):
            await self._over.wait()
        (end,) = self.ends
        return end


async def released(call: HttpCall) -> None:
    async with asyncio.timeout(WITHIN_S):
        await call.released
