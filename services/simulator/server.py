"""HTTP/1.1 by hand: bytes to requests (httptools), responses as whatever bytes somebody wants to send.

No HTTP library makes the responses, because they must be able to be wrong in every way. A reader has left when its
FIN or RST is seen, whether or not anything is being written (Ollama takes a half-close for leaving, too).
"""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

from services.simulator.replies import Reply
from services.simulator.steps import Ending
from services.simulator.witness import Call, CallEnd, Witness

MAX_BODY_BYTES: Final = 64 << 20  # Ollama has no bound; ours is beyond any test's body
MAX_PIPELINED: Final = 100  # reading never pauses, or a reader that leaves would not be seen
MAX_HEADER_BYTES: Final = 1 << 20  # Go's own bound
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_BAD_REQUEST: Final = Reply(400, b"400 Bad Request", "text/plain; charset=utf-8")
_TOO_LARGE: Final = Reply(413, b"413 Request Entity Too Large", "text/plain; charset=utf-8")
_ENDS: Final = {Ending.WHOLE: CallEnd.ANSWERED, Ending.FIN: CallEnd.CLOSED, Ending.RST: CallEnd.RESET}


@dataclass
class Request:
    """One request, arrived whole; header names in lower case."""

    method: str = ""
    target: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    keep_alive: bool = True


class Exchange:
    """One request and the bytes that answer it.

    ``on_left`` is called once, when the reader goes before the end; ``on_writable`` when a reader that had fallen
    behind has caught up. An exchange goes on without its reader until somebody ends it.
    """

    def __init__(self, request: Request, connection: "Connection") -> None:
        self.request = request
        self.call: Call | None = None  # None: nobody counts this one
        self.on_left: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.ended = False
        self._connection = connection

    @property
    def writable(self) -> bool:
        """Whether the reader keeps up; one that has left never blocks."""
        return not self._connection.paused

    def write(self, data: bytes) -> None:
        """Send ``data``; without a reader it is dropped."""
        if self._connection.send(data) and self.call is not None:
            self.call.bytes_sent += len(data)

    def reply(self, reply: Reply) -> None:
        """Send a whole response and end."""
        if self.call is not None:
            self.call.status = reply.status
        request = self.request
        self.write(reply.encode(time.time(), with_body=request.method != "HEAD", keep_alive=request.keep_alive))
        self.end(Ending.WHOLE)

    def end(self, how: Ending) -> None:
        """End the response as ``how`` says, and the call with it."""
        if self.ended:
            return
        self.close_call(_ENDS[how])
        self._connection.end(self, how)

    def close_call(self, end: CallEnd) -> None:
        """End the call without a word to the reader."""
        self.ended = True
        if self.call is not None:
            gone = self.call.left_at is not None
            self._connection.witness.ended(self.call, CallEnd.LEFT if gone else end)


class OpenConnections:
    """The connections of one server, and the moment when there are none."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, connection: "Connection") -> None:
        """Note a new one."""
        self._open.add(connection)
        self._none.clear()

    def discard(self, connection: "Connection") -> None:
        """Note that one is closed."""
        self._open.discard(connection)
        if not self._open:
            self._none.set()

    def cut(self) -> None:
        """Cut all of them."""
        for connection in list(self._open):
            connection.cut()

    async def gone(self) -> None:
        """Return when all are closed."""
        await self._none.wait()


class Connection(asyncio.Protocol):
    """One reader's connection: its requests one after another, pipelined ones in line.

    Args:
        serve: takes each request; it may end the exchange at once or later.
        witness: told of connections and of readers that leave.
        open_connections: holds this connection while it is open.
    """

    def __init__(
        self, serve: Callable[[Exchange], None], witness: Witness, open_connections: "OpenConnections"
    ) -> None:
        self.witness = witness
        self.paused = False
        self._serve = serve
        self._open = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._arriving = Request()
        self._header_bytes = 0
        self._waiting: deque[Request] = deque()
        self._exchange: Exchange | None = None
        self._serving = False
        self._reader_gone = False
        self._refusal: Reply | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of asyncio's
        self._open.add(self)
        self.witness.connections_open += 1
        self.witness.connections_total += 1

    def data_received(self, data: bytes) -> None:
        """Take in bytes of requests."""
        if self._refusal is not None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # Ollama upgrades nothing: the request was taken, and the rest is ignored
        except httptools.HttpParserError:
            self._refusal = _BAD_REQUEST
        self._refuse_if_due()

    def eof_received(self) -> bool:
        """Note that the reader has left, be it by half: return whether the connection is still needed."""
        self._reader_left()
        return self._exchange is not None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the protocol's signature
        """Note that the reader, or the connection, is gone."""
        self._transport = None
        self._open.discard(self)
        self.witness.connections_open -= 1
        self._reader_left()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Note that the reader is behind."""
        self.paused = True

    def resume_writing(self) -> None:
        """Go on: the reader has caught up, or is gone and holds up nobody."""
        self.paused = False
        if self._exchange is not None and self._exchange.on_writable is not None:
            self._exchange.on_writable()

    def send(self, data: bytes) -> bool:
        """Write to the socket; return whether there is one."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True

    def end(self, exchange: Exchange, how: Ending) -> None:
        """Go on to the next request, or end the connection as ``how`` says."""
        self._exchange = None
        if self._transport is None:
            return
        if how is Ending.RST:
            self._reset(self._transport)
        elif how is Ending.FIN or not exchange.request.keep_alive or self._reader_gone:
            self._transport.close()
        elif self._refusal is not None:
            self._refuse_if_due()
        else:
            self._next()

    def cut(self) -> None:
        """Close the socket as a process that ends: what is not sent yet is lost, no last chunk."""
        if self._exchange is not None:
            self._exchange.close_call(CallEnd.STOPPED)
        if self._transport is not None:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._arriving.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field; of several with one name the first counts."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refusal = _BAD_REQUEST
            return
        self._arriving.fields.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Let a body come that waits to be asked for."""
        if self._arriving.fields.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        self._arriving.body += data
        if len(self._arriving.body) > MAX_BODY_BYTES:
            self._refusal = _TOO_LARGE
            self._arriving.body.clear()

    def on_message_complete(self) -> None:
        """Take the request that is now whole."""
        request, self._arriving, self._header_bytes = self._arriving, Request(), 0
        if self._refusal is not None:
            return
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive()
        self._waiting.append(request)
        if len(self._waiting) > MAX_PIPELINED:
            self._refusal = _BAD_REQUEST
        self._next()

    def _next(self) -> None:
        if self._serving:
            return
        self._serving = True
        while self._waiting and self._exchange is None:
            self._exchange = Exchange(self._waiting.popleft(), self)
            self._serve(self._exchange)
        self._serving = False

    def _refuse_if_due(self) -> None:
        """Answer a request that is none, unless the answer to the one before it is still under way."""
        if self._refusal is None or self._exchange is not None or self._transport is None:
            return
        self.send(self._refusal.encode(time.time(), keep_alive=False))
        self._transport.close()

    def _reader_left(self) -> None:
        self._reader_gone = True
        self._waiting.clear()
        exchange = self._exchange
        if exchange is None or exchange.call is None or exchange.call.left_at is not None:
            return
        self.witness.left(exchange.call)
        if exchange.on_left is not None:
            self._exchange = None
            exchange.on_left()

    @staticmethod
    def _reset(transport: asyncio.Transport) -> None:
        """Close with RST: lingering for no time makes the kernel drop what it holds and say so."""
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
