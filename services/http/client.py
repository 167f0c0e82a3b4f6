"""Calls to one HTTP server, and the idle connections kept for the next one."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from services.http.connection import HttpCall, HttpConnection, HttpRequest, ResponseEnd, ResponseReader
from services.http.dialling import Dialler, UnknownHost

IDLE_S: Final = 30.0
"""Below every server's keep-alive (our proxy's is 75 s), so that an idle connection is never raced."""
MAX_IDLE: Final = 100
"""Idle connections kept, at most: a pool, not a leak."""
RECEIVE_BUFFER_BYTES: Final = 65_536
"""The kernel's receive buffer a call: what a reader that pauses leaves unread stays small."""


NOT_SENT: Final = frozenset({"refused", "connect_timeout", "untrusted"})
"""How a call failed that never reached a server."""


class TransportError(Exception):
    """A call came to nothing.

    ``how`` is "refused", "dns", "connect_timeout", "untrusted", "timeout", "too_large" or an ``ResponseEnd``.
    """

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections carry a call, are kept for one, or are coming up while a call waits for them."""

    active: int
    idle: int
    waiting: int


class HttpClient:
    """The calls to one ``host:port``.

    Args:
        connect_timeout_s: how long a connection may take to come up, name look-up and TLS included.
        tls: what is trusted, where TLS is spoken; None: it is not.
        dialler: brings connections up, with TLS or without; None: the loop does.
        host_header: what ``Host`` says, where that is not ``host:port``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_timeout_s: float,
        tls: ssl.SSLContext | None = None,
        dialler: Dialler | None = None,
        host_header: str = "",
    ) -> None:
        self._host, self._port, self._tls, self._dialler = host, port, tls, dialler
        self._host_header = host_header or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[HttpConnection] = []
        self._open: set[HttpConnection] = set()
        self._connecting = 0

    async def open(self, request: HttpRequest, reader: ResponseReader, *, fresh: bool = False) -> HttpCall:
        """Send ``request``; ``reader`` hears the answer.

        Args:
            fresh: refuse a pooled connection, which may have died unseen.

        Raises:
            TransportError: no connection came up ("refused", "connect_timeout", with TLS "untrusted").
        """
        connection = (None if fresh else self._pooled()) or await self._connect()
        return connection.send(request.encode(self._host_header), reader)

    async def fetch(self, request: HttpRequest, *, max_bytes: int, timeout_s: float) -> HttpResponse:
        """Send ``request`` and return the whole answer, gathered as it comes.

        Raises:
            TransportError: no whole answer of at most ``max_bytes`` came within ``timeout_s``.
        """
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._gather(request, max_bytes, fresh=False)
                except TransportError as failed:
                    if failed.how != ResponseEnd.STALE:
                        raise
                    return await self._gather(request, max_bytes, fresh=True)
        except TimeoutError as exc:
            raise TransportError("timeout") from exc

    async def close(self) -> None:
        """Close every connection, the busy ones too."""
        for connection in tuple(self._open):
            connection.abort()
        await asyncio.sleep(0)  # the loop closes them in its next turn

    @property
    def connections(self) -> Connections:
        """How many there are now; read by the scrape's thread, too."""
        idle = len(self._idle)
        return Connections(max(0, len(self._open) - idle), idle, self._connecting)

    # --- the connections' side (http_connection.Pool)

    def take_back(self, connection: HttpConnection) -> None:
        """Keep ``connection`` for the next call, or close it when enough are kept."""
        connection.idle_since = asyncio.get_running_loop().time()
        self._drop_expired()
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.abort()

    def lost(self, connection: HttpConnection) -> None:
        """Forget a closed connection."""
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def _pooled(self) -> HttpConnection | None:
        self._drop_expired()
        while self._idle:
            connection = self._idle.pop()  # the newest: the others may grow old and be closed
            if connection.usable:
                return connection
        return None

    def _drop_expired(self) -> None:
        horizon = asyncio.get_running_loop().time() - IDLE_S
        while self._idle and self._idle[0].idle_since < horizon:
            self._idle.pop(0).abort()

    async def _connect(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                transport, connection = await self._dialled(loop)
        except TimeoutError as exc:  # a TimeoutError is an OSError, and so is a certificate's: first
            raise TransportError("connect_timeout") from exc
        except UnknownHost as exc:
            raise TransportError("dns") from exc
        except ssl.SSLCertVerificationError as exc:
            raise TransportError("untrusted") from exc
        except OSError as exc:
            raise TransportError("refused") from exc
        finally:
            self._connecting -= 1
        self._open.add(connection)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        return connection

    async def _dialled(self, loop: asyncio.AbstractEventLoop) -> tuple[asyncio.BaseTransport, HttpConnection]:
        connection = cast("Callable[[], asyncio.Protocol]", lambda: HttpConnection(self))  # one but for its base class
        if self._dialler is None:
            made: tuple[asyncio.BaseTransport, asyncio.BaseProtocol] = await loop.create_connection(
                connection, self._host, self._port, ssl=self._tls
            )
        else:
            made = await self._dialler.dial(connection, self._host, self._port)
        return made[0], cast("HttpConnection", made[1])

    async def _gather(self, request: HttpRequest, max_bytes: int, *, fresh: bool) -> HttpResponse:
        gatherer = _Gatherer(max_bytes)
        call = await self.open(request, gatherer, fresh=fresh)
        try:
            return await gatherer.answer
        finally:
            call.abort()


class _Gatherer:
    """A reader that keeps the whole answer."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()
        self.answer: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        self._status, self._headers = status, headers

    def on_bytes(self, data: bytes, _framed: bytes = b"") -> None:
        self._body += data
        if len(self._body) > self._max_bytes and not self.answer.done():
            self.answer.set_exception(TransportError("too_large"))

    def on_end(self, end: ResponseEnd) -> None:
        if self.answer.done():
            return
        if end is ResponseEnd.COMPLETE:
            self.answer.set_result(HttpResponse(self._status, self._headers, bytes(self._body)))
        else:
            self.answer.set_exception(TransportError(end))
