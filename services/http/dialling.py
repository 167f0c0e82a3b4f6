"""How a connection to another's server comes up: a look-up of its name, perhaps a proxy's tunnel, TLS.

Our own servers are reached by the loop's own means (http/client.py); this is the long way, for servers on the internet.
"""

import asyncio
import base64
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol, cast
from urllib.parse import unquote, urlsplit

LOOKUP_S: Final = 30.0
"""How long an address is believed: a name that moves is followed, and a slow resolver is not asked for each call."""
LOOKUP_THREADS: Final = 4
REMEMBERED: Final = 64
HEAD_BYTES: Final = 16_384
"""Longest answer of a proxy to CONNECT."""
_END: Final = b"\r\n\r\n"

Connected = tuple[asyncio.BaseTransport, asyncio.BaseProtocol]


class UnknownHost(OSError):
    """No address is known of a name."""


class TunnelRefused(OSError):
    """A proxy did not let us through."""


class Dialler(Protocol):
    """Who brings connections up."""

    async def dial(self, made: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Connected:
        """Return a connection to ``host:port`` whose bytes go to what ``made`` returns.

        Raises:
            OSError: none came up; ``ssl.SSLCertVerificationError`` for a certificate that is not trusted.
        """


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and what proves to it who asks."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Read "http://[user:password@]host[:port]".

        Raises:
            ValueError: it is not one.
        """
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("expected http://host:port")
        authorization = ""
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
        return cls(parts.hostname, parts.port or 80, authorization)


class Resolver:
    """Looks names up in threads of its own: one that hangs holds up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        self._known: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a name.

        Raises:
            UnknownHost: it has none.
        """
        known_at, known = self._known.get((host, port), (-LOOKUP_S, ()))
        if time.monotonic() - known_at < LOOKUP_S:
            return known
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port)
        except socket.gaierror as exc:
            raise UnknownHost(*exc.args) from exc
        if len(self._known) >= REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[host, port] = time.monotonic(), found
        return found

    def close(self) -> None:
        """Look nothing up any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class InternetDialler:
    """Brings connections with TLS up, by a name's addresses in turn, through a proxy where there is one.

    Args:
        tls: what is trusted.
        proxy: None: they go straight.
    """

    def __init__(self, resolver: Resolver, *, tls: ssl.SSLContext, proxy: Proxy | None = None) -> None:
        self._resolver = resolver
        self._tls = tls
        self._proxy = proxy

    async def dial(self, made: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Connected:
        """Return a connection to ``host:port``: see :class:`Dialler`."""
        if self._proxy is not None:
            return await self._through(self._proxy, made, host, port)
        return await self._straight(made, host, port, tls=self._tls)

    async def _straight(
        self, made: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, tls: ssl.SSLContext | None
    ) -> Connected:
        loop, failed = asyncio.get_running_loop(), OSError("no address")
        name = None if tls is None else host
        for address in await self._resolver.addresses(host, port):
            try:
                return await loop.create_connection(made, address, port, ssl=tls, server_hostname=name)
            except ssl.SSLError:
                raise  # it was reached: another address shows the same certificate
            except OSError as exc:
                failed = exc
        raise failed

    async def _through(self, proxy: Proxy, made: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> Connected:
        transport, tunnel = await self._straight(lambda: _Tunnel(host, port, proxy), proxy.host, proxy.port, tls=None)
        plain = cast("asyncio.Transport", transport)
        try:
            await cast("_Tunnel", tunnel).open
            protocol = made()
            loop = asyncio.get_running_loop()
            secure = await loop.start_tls(plain, protocol, self._tls, server_hostname=host)
            assert secure is not None  # only where the transport was closing, which raises above
            protocol.connection_made(secure)
        except BaseException:  # left at any of these, nothing may stay open
            plain.abort()
            raise
        return secure, protocol


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a way through; ``open`` resolves when there is one."""

    def __init__(self, host: str, port: int, proxy: Proxy) -> None:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        proof = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        self._request = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{proof}\r\n".encode("latin-1")
        self._head = b""
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.open.done():
            return
        if self._head.endswith(_END):  # the server behind it says nothing before we do
            status = self._head.split(b" ", 2)[1:2]
            if status and status[0][:1] == b"2":
                self.open.set_result(None)
            else:
                self.open.set_exception(TunnelRefused("the proxy refused"))
        elif len(self._head) > HEAD_BYTES:
            self.open.set_exception(TunnelRefused("the proxy does not answer"))

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(TunnelRefused("the proxy broke off"))
            self.open.exception()  # who waited may have left


def _look_up(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
