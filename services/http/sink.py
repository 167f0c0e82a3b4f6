"""The chunked SSE sink that both servers write through: bytes go out in the callback that made them.

``response.write()`` of aiohttp would need a task per follower to await it, and looks at flow control only after
64 KiB; here a write is one call on the transport, and the transport itself says when it wants a pause.
"""

import asyncio
import contextlib
import fcntl
import struct
import sys
import termios
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from aiohttp import web

from services.http import chunk, edge
from services.runtime.watchdog import Watchdog

WRITE_BUFFER_BYTES: Final = 65_536
"""asyncio's buffer of a connection: past it the transport asks for a pause."""
LOOKS_PER_DEADLINE: Final = 5
"""How often a client's progress is looked at within its write deadline: a cut is late by a fifth of it at most."""


async def open_sink(
    request: web.Request, headers: Mapping[str, str], first: bytes = b"", *, whole: bool = False
) -> "ChunkedSink":
    """Send status 200 and ``headers`` now, and return the sink for the body.

    Args:
        first: frames that are there already: they leave in the same packet, and wake the reader once.
        whole: they are the whole body, whose end leaves with them where they are not many.

    Raises:
        asyncio.CancelledError: the client has gone, and aiohttp is about to cancel the handler for it.
    """
    response = StreamedResponse(request, headers)
    if request.version >= (1, 1):
        response.enable_chunked_encoding()
    else:
        response.force_close()  # neither length nor chunks: the close is the end
    transport = request.transport
    if transport is None:
        raise asyncio.CancelledError
    # what could fail comes before the headers, which leave with the first frames
    transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES, low=WRITE_BUFFER_BYTES // 4)
    sink = ChunkedSink(request, response, transport)
    try:
        await response.prepare(request)
        if 0 < len(first) < WRITE_BUFFER_BYTES:  # past it aiohttp waits for the client, and nobody would watch it
            if whole:
                sink.is_ended = response.is_whole = True
                await response.write_eof(first)
            else:
                await response.write(first)
            sink.written = len(first)
        else:
            request.writer.send_headers()
            if first:
                sink.write(first)
    except ConnectionError as exc:
        raise asyncio.CancelledError from exc
    response.headers.clear()  # they have left, and an answer takes minutes
    return sink


class StreamedResponse(web.StreamResponse):
    """A response whose body ends properly only when that was said: most clients take a clean end for success.

    aiohttp ends whatever a handler returns, and a handler may return, or fail, anywhere.
    """

    _send_headers_immediately = False  # aiohttp's switch: they wait for the first frames, and leave by one write

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self.is_whole = False
        self.is_sent = False  # its end, too
        self._request = request

    async def write_eof(self, data: bytes = b"") -> None:
        """End the body properly if it is whole; else break it off."""
        transport = self._request.transport
        if self.is_sent:
            return
        if self.is_whole:
            await super().write_eof(data)
            self.is_sent = True
        elif transport is not None and not transport.is_closing():  # else it was cut, or closed behind what it holds
            edge.break_off(self._request)


class ChunkedSink:
    """One client's body: whole frames in, HTTP chunks out."""

    def __init__(self, request: web.Request, response: StreamedResponse, transport: asyncio.Transport) -> None:
        self.response = response
        self._request = request
        self._protocol = request.protocol
        self._transport = transport
        self._writer = request.writer
        self._chunked = request.version >= (1, 1)
        self._loop = asyncio.get_running_loop()
        self.written = 0
        self.is_ended = False  # the end of the body has left
        self.last_write_at = self._loop.time()

    def write(self, frames: bytes, framed: bytes = b"", last: bool = False) -> bool:
        """Write whole frames by one write, and return whether the transport takes more.

        A closing transport takes nothing and asks for nothing: who waits for its client is cancelled anyway.

        Args:
            framed: the same as one HTTP chunk, where they came as one.
            last: the body's end leaves with them: the next hop is woken once for both, not twice.
        """
        if not frames or self.is_ended or self._transport.is_closing():  # an empty chunk would be the last one
            return True
        data = (framed or chunk.chunk_of(frames)) if self._chunked else frames
        if last:
            self.is_ended = self.response.is_whole = self.response.is_sent = True
            data = data + chunk.LAST if self._chunked else data
        self._transport.write(data)
        self.written += len(data)
        self.last_write_at = self._loop.time()
        return not self._protocol.writing_paused

    @property
    def paused(self) -> bool:
        """Whether the transport asks for a pause."""
        return self._protocol.writing_paused

    async def drain(self) -> None:
        """Wait until the transport takes bytes again."""
        await self._writer.drain()

    async def end(self) -> web.StreamResponse:
        """End the body properly: the answer is over, and the connection may carry another request."""
        self.is_ended = self.response.is_whole = True
        with contextlib.suppress(ConnectionError):  # a client that left with the last byte
            await self.response.write_eof()
        return self.response

    def close(self) -> None:
        """Send what is buffered, then close without the last chunk: the answer is not over."""
        edge.never_end_properly(self._request)
        self._transport.close()

    def abort(self) -> None:
        """Close now; what is buffered is lost. Only this frees a client that does not read."""
        edge.never_end_properly(self._request)
        self._transport.abort()

    def break_off(self) -> None:
        """Abort because of a failure of ours, which is being handled: it is logged."""
        edge.break_off(self._request)

    @property
    def unsent(self) -> int:
        """Bytes that were written and that the client has not taken: asyncio's buffer and the kernel's queue."""
        return self._transport.get_write_buffer_size() + self._kernel_queue()

    def _kernel_queue(self) -> int:
        sock = self._transport.get_extra_info("socket")
        if sock is None or sys.platform != "linux":  # SIOCOUTQ is Linux's
            return 0
        try:
            packed = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        except (OSError, ValueError):  # closed meanwhile: the descriptor is bad, or the socket's is -1 by now
            return 0
        return int(struct.unpack("i", packed)[0])


class WatchedSink(Protocol):
    """What a watch looks at, and does."""

    written: int
    last_write_at: float
    is_ended: bool

    @property
    def unsent(self) -> int:
        """Bytes that the client has still to take."""
        ...

    def write(self, frames: bytes) -> bool:
        """Write a heartbeat."""
        ...

    def break_off(self) -> None:
        """Abort because of a failure of ours."""
        ...


class SinkWatch:
    """One client's two deadlines: the heartbeat it is due, and the patience we have when it takes nothing.

    The slow-client rule of both servers: a client that has taken no byte for ``write_timeout_s`` while something was
    owed to it is given up. What it has taken is what was written less what is unsent.

    Args:
        heartbeat: gives what to write after ``heartbeat_s`` in which nothing was written and nothing is owed.
        owes: whether more is owed than the transport holds (the follower is behind).
        on_stuck: told once, when the deadline has passed; it decides and aborts.

    Attributes:
        unsent: what the client had still to take when it was last looked at, in bytes.
    """

    def __init__(
        self,
        sink: WatchedSink,
        *,
        heartbeat: Callable[[], bytes],
        heartbeat_s: float,
        write_timeout_s: float,
        owes: Callable[[], bool],
        on_stuck: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._heartbeat, self._heartbeat_s = heartbeat, heartbeat_s
        self._write_timeout_s = write_timeout_s
        self._owes, self._on_stuck = owes, on_stuck
        self.unsent = 0
        self._taken = -1
        self._taken_at = 0.0
        self._watchdog = Watchdog(self._look)
        if not sink.is_ended:
            self._watchdog.start(self._next_look(sink.last_write_at, owed=False))

    def stop(self) -> None:
        """Look no more."""
        self._watchdog.stop()

    def _look(self, now: float) -> float | None:
        try:
            return self._looked(now)
        except Exception:  # noqa: BLE001 logged there; unwatched, a client that reads nothing would be held for ever
            self._sink.break_off()
            return None

    def _looked(self, now: float) -> float | None:
        behind = self._owes()
        # all was taken and nothing written since: nobody need ask the kernel
        unsent = self.unsent = self._sink.unsent if behind or self._sink.written != self._taken else 0
        owed = behind or unsent > 0
        taken = self._sink.written - unsent
        if not owed or taken != self._taken:
            self._taken, self._taken_at = taken, now
        elif now - self._taken_at >= self._write_timeout_s:
            self._on_stuck()
            return None
        if not owed and now >= self._sink.last_write_at + self._heartbeat_s:
            self._sink.write(self._heartbeat())
        return self._next_look(now, owed=owed)

    def _next_look(self, now: float, *, owed: bool) -> float:
        # within a heartbeat, too: one that is owed something now may be owed nothing, and be silent, a moment later
        look_again = now + min(self._write_timeout_s / LOOKS_PER_DEADLINE, self._heartbeat_s)
        return look_again if owed else min(look_again, self._sink.last_write_at + self._heartbeat_s)
