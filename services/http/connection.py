"""One client connection of HTTP/1.1, whose bytes are pushed to their reader in the callback that brought them.

Why not aiohttp's client: when FIN or RST arrives in the loop turn of the last data its reader raises and what it had
buffered is out of reach, so the last tokens, even the ``done`` line, are lost; a malformed chunk header hangs it for
ever; it wakes a task per read; and it holds 21 KB a waiting stream. The grammar itself is llhttp's, by httptools.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol, cast

import httptools

from services.http import chunk

OVERHEAD_BYTES: Final = 65_536
"""Most bytes in a row that are no body: a head, trailers, chunk sizes. Node, nginx and Apache take 8-64 KiB of head."""

REMEMBERED_NAMES: Final = 64
"""Names of headers: answers have the same few."""


class ResponseEnd(StrEnum):
    """How an answer ended."""

    COMPLETE = "complete"  # by its last chunk, its Content-Length, or a close where neither was given
    DISCONNECTED = "disconnected"  # the connection broke before that
    MALFORMED = "malformed"  # what came is not HTTP
    STALE = "stale"  # a pooled connection died before any byte came: asking again at once is safe


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; its body is sent with a Content-Length, since Ollama does not see a client leave without one."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encode(self, host: str) -> bytes:
        """Return its bytes on the wire.

        Raises:
            ValueError: a header holds a line end.
        """
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a line end in a request line or header")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class ResponseReader(Protocol):
    """Who hears of an answer, synchronously: one head, bytes once per read, one end. Nothing comes after abort()."""

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers came; header names are in lower case."""
        ...

    def on_bytes(self, data: bytes, framed: bytes = b"") -> None:
        """Body bytes came, all that one read brought.

        Args:
            framed: the same as one HTTP chunk, where that is how they came: whoever passes them on need not frame them.
        """
        ...

    def on_end(self, end: ResponseEnd) -> None:
        """The answer is over; called exactly once."""
        ...


class _Nobody:
    """Who hears of an answer that is over."""

    def on_head(self, _status: int, _headers: Mapping[str, str]) -> None:
        """Nothing comes any more."""

    def on_bytes(self, _data: bytes, _framed: bytes = b"") -> None:
        """Nothing comes any more."""

    def on_end(self, _end: ResponseEnd) -> None:
        """Nothing comes any more."""


_NOBODY: Final = _Nobody()


class Pool(Protocol):
    """Who takes a connection back when its answer is whole."""

    def take_back(self, connection: "HttpConnection") -> None:
        """The connection may carry another request."""
        ...

    def lost(self, connection: "HttpConnection") -> None:
        """The connection is closed."""
        ...


class Carrier(Protocol):
    """What a call needs of the connection that carries it."""

    def abort(self) -> None:
        """Close without waiting for anything."""
        ...

    def pause(self) -> None:
        """Stop reading from the socket."""
        ...

    def resume(self) -> None:
        """Read from the socket again."""
        ...


class HttpCall:
    """One request on its way."""

    def __init__(self, connection: Carrier, reader: ResponseReader) -> None:
        self._connection = connection
        self.reader = reader
        self.ended = False
        self._is_released = False
        self._released: asyncio.Future[None] | None = None  # made for who waits: at the end, if at all

    @property
    def released(self) -> asyncio.Future[None]:
        """Resolves when its connection is closed or back in the pool."""
        if self._released is None:
            self._released = asyncio.get_running_loop().create_future()
            if self._is_released:
                self._released.set_result(None)
        return self._released

    def abort(self) -> None:
        """Close the connection at once; the reader hears nothing more. Harmless when the answer is over."""
        if not self.ended:
            self.ended = True
            self._connection.abort()

    def pause(self) -> None:
        """Take no more bytes from the socket until :meth:`resume`."""
        if not self.ended:
            self._connection.pause()

    def resume(self) -> None:
        """Take bytes again."""
        if not self.ended:
            self._connection.resume()

    def release(self) -> None:
        """Tell whoever waits that the connection no longer serves this call."""
        self.ended = self._is_released = True
        if self._released is not None and not self._released.done():
            self._released.set_result(None)


@lru_cache(maxsize=REMEMBERED_NAMES)
def _header_name(name: bytes) -> str:
    """Return a header's name as readers know it; the same few come with every answer, and are held as often."""
    return name.decode("latin-1").lower()


class HttpConnection:
    """A connection that serves one call at a time.

    It is an ``asyncio.Protocol`` in all but its base class: of one that is not compiled, a compiled class has its
    attributes in a dict.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._call: HttpCall | None = None
        self._served = 0  # calls before this one
        self._reset()
        self.idle_since = 0.0

    def _reset(self) -> None:
        self._parser: httptools.HttpResponseParser | None = None  # of an answer that has begun: it holds a kilobyte
        self._headers: dict[str, str] = {}
        self._status = 0
        self._head_came = False
        self._head_due = False
        self._complete = False
        self._keeps_alive = False
        self._close_delimited = False
        self._body: list[bytes] = []
        self._between_chunks = False  # the next byte begins a chunk
        self._overhead = 0
        self._any_byte = False
        self._verdict: ResponseEnd | None = None

    # --- what its owner does

    def send(self, data: bytes, reader: ResponseReader) -> HttpCall:
        """Send a request and return its call."""
        assert self._transport is not None
        self._reset()
        call = self._call = HttpCall(self, reader)
        self._transport.write(data)
        return call

    def abort(self) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading from the socket."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the socket again."""
        if self._transport is not None and not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def usable(self) -> bool:
        """Whether it is open and idle."""
        return self._transport is not None and not self._transport.is_closing() and self._call is None

    # --- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        """Parse what one read brought, then hand it on: never from inside the parser."""
        call = self._call
        if call is None:  # nobody asked: what follows could be taken for the next answer
            self.abort()
            return
        # llhttp is the same between two chunks whether or not it has seen one more, so it need not see it
        if self._between_chunks and (body := chunk.body_of(data)) is not None:
            self._overhead = 0
            if not call.ended:
                call.reader.on_bytes(body, data)
            return
        self._any_byte = True
        self._between_chunks = error = False
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            error = True
            self._keeps_alive = False
        # part of a size line is told by no callback: such a read does not end as a chunk does
        self._between_chunks = self._between_chunks and not error and data.endswith(chunk.LINE_END)
        self._count_overhead(len(data))
        self._hand_on()
        if self._complete:  # what is wrong behind a whole answer ends the connection, not the answer
            self._answer_is_whole()
        elif error or self._overhead > OVERHEAD_BYTES:
            self._verdict = ResponseEnd.MALFORMED
            self.abort()

    def eof_received(self) -> None:
        """Let the transport close, which tells it to :meth:`connection_lost`."""

    def pause_writing(self) -> None:
        """A request goes to the transport whole."""

    def resume_writing(self) -> None:
        """A request goes to the transport whole."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the reader how its answer ended, and the pool."""
        self._transport = self._parser = None
        call, self._call = self._call, None
        self._end(call, self._verdict or self._end_by_close(exc))
        self._pool.lost(self)

    # --- the parser's callbacks: they only note what came

    def on_message_begin(self) -> None:
        """Refuse a second answer behind the one that was asked for: its parts must not pass for this one's."""
        if self._complete:
            raise ValueError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; a trailer is not one."""
        if not self._head_came:
            self._headers[_header_name(name)] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the head of the answer; an interim one (1xx) is passed over."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status >= 200:
            self._status, self._head_came, self._head_due = status, True, True
            framed = "content-length" in self._headers or "chunked" in self._headers.get("transfer-encoding", "")
            self._close_delimited = not framed and status not in {204, 304}
        else:
            self._headers.clear()

    def on_body(self, body: bytes) -> None:
        """Note a piece of the body."""
        self._body.append(body)

    def on_chunk_header(self) -> None:
        """Note that a chunk has begun."""
        self._between_chunks = False

    def on_chunk_complete(self) -> None:
        """Note that a chunk is over."""
        self._between_chunks = True

    def on_message_complete(self) -> None:
        """Note the proper end of the answer, and what only llhttp knows and forgets behind it."""
        assert self._parser is not None
        self._complete = self._head_came
        self._keeps_alive = self._parser.should_keep_alive()

    # --- handing on

    def _count_overhead(self, read_bytes: int) -> None:
        self._overhead = 0 if self._body else self._overhead + read_bytes

    def _hand_on(self) -> None:
        body, self._body = self._body, []
        call = self._call
        if call is None or call.ended:
            return
        if self._head_due:
            self._head_due = False
            headers, self._headers = self._headers, {}  # the reader's from now on
            call.reader.on_head(self._status, headers)
        if body and not call.ended:
            call.reader.on_bytes(body[0] if len(body) == 1 else b"".join(body))

    def _answer_is_whole(self) -> None:
        self._served += 1
        self._parser = None
        self.resume()
        reusable = self._keeps_alive and not self._close_delimited
        call, self._call = self._call, None
        if reusable:
            self._pool.take_back(self)
        else:
            self.abort()
        self._end(call, ResponseEnd.COMPLETE)

    def _end_by_close(self, exc: Exception | None) -> ResponseEnd:
        if self._close_delimited and self._head_came and exc is None:
            return ResponseEnd.COMPLETE
        return ResponseEnd.DISCONNECTED if self._any_byte or self._served == 0 else ResponseEnd.STALE

    @staticmethod
    def _end(call: HttpCall | None, end: ResponseEnd) -> None:
        if call is None:
            return
        reader, heard = call.reader, call.ended
        call.reader = _NOBODY  # who reads holds the call, too
        call.release()
        if not heard:
            reader.on_end(end)
