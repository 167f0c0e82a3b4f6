"""The one place of the proxy that touches the model server's network."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from proxy.providers.adapter import AttemptFailed, UpstreamRequest
from services.http.client import Connections, HttpClient, HttpResponse, TransportError
from services.http.connection import HttpCall, HttpRequest, ResponseReader
from services.http.dialling import Dialler
from services.runtime.settings import Origin
from services.wire.events import Code, Failed, Stage
from services.wire.trace import Trace

READ_ONLY: Final[Mapping[str, str]] = {"tags": "/api/tags", "ps": "/api/ps", "version": "/api/version"}
"""All that may be read of the model server: its paths come from here, never from a request."""
PASSED_BYTES: Final = 8 << 20
PASSED_S: Final = 10.0
LOAD_S: Final = 300.0
"""How long a load in the background may take: as long as somebody would wait for its first token."""
_JSON: Final = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_NONE: Final[Mapping[str, str]] = {}
HTTPS_PORT: Final = 443
_IN_VAIN: Final = frozenset({"untrusted"})
"""A certificate is no better for being looked at again."""

UNAVAILABLE: Final = Failed(
    Code.UPSTREAM_UNAVAILABLE, "AI unavailable. The model server cannot be reached; ask the operator whether it runs."
)
_CONNECT_TIMEOUT: Final = Failed(
    Code.UPSTREAM_TIMEOUT, "The model server did not take the connection in time.", stage=Stage.CONNECT
)


class Unreachable(Exception):
    """No connection came up; ``failed`` says what that means for the attempt."""

    def __init__(self, failed: AttemptFailed) -> None:
        super().__init__(failed.why)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model server's API is, and what every request to it carries.

    Args:
        base_path: in front of every path, without a slash at its end.
        headers: a key may be among them, so they are never shown.
        tls: what is trusted, where TLS is spoken; None: it is not.
        dialler: brings connections up, with TLS or without; None: the loop does.
    """

    origin: Origin
    base_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None
    dialler: Dialler | None = None

    @property
    def host_header(self) -> str:
        """What ``Host`` says; of https its usual port is left out: some who stand in front know no name with one."""
        return self.origin.host if self.origin.scheme == "https" and self.origin.port == HTTPS_PORT else ""


class Transport:
    """Calls of one model server.

    Args:
        connect_timeout_s: for a connection, name look-up and TLS included.
    """

    def __init__(self, endpoint: Endpoint, *, connect_timeout_s: float) -> None:
        origin = endpoint.origin
        self._endpoint = endpoint
        self._client = HttpClient(
            origin.host,
            origin.port,
            connect_timeout_s=connect_timeout_s,
            tls=endpoint.tls,
            dialler=endpoint.dialler,
            host_header=endpoint.host_header,
        )

    async def open(
        self, asked: UpstreamRequest, reader: ResponseReader, *, trace: Trace | None = None, fresh: bool
    ) -> HttpCall:
        """Ask the model; ``reader`` hears the answer in the callback that brings it.

        Args:
            trace: passed on; Ollama takes no notice, what stands before it may.
            fresh: on a new connection, since a pooled one may have died unseen.

        Raises:
            Unreachable: nothing was sent.
        """
        try:
            return await self._client.open(self._asking(asked, trace), reader, fresh=fresh)
        except TransportError as exc:
            failed = _CONNECT_TIMEOUT if exc.how == "connect_timeout" else UNAVAILABLE
            raise Unreachable(AttemptFailed(failed, exc.how, again=exc.how not in _IN_VAIN)) from exc

    async def ask(self, asked: UpstreamRequest, *, trace: Trace | None = None, timeout_s: float) -> HttpResponse:
        """Return the whole answer to a request that is no answer's: a key's check, or vectors.

        Raises:
            TransportError: no whole answer came.
        """
        return await self._client.fetch(self._asking(asked, trace), max_bytes=PASSED_BYTES, timeout_s=timeout_s)

    async def read(self, name: str, *, timeout_s: float = PASSED_S) -> HttpResponse:
        """Return what the model server says under one of :data:`READ_ONLY`.

        Raises:
            TransportError: no whole answer came.
        """
        return await self._client.fetch(
            self._request("GET", READ_ONLY[name]), max_bytes=PASSED_BYTES, timeout_s=timeout_s
        )

    async def show(self, model: str) -> HttpResponse:
        """Return what the model server says of one model.

        Raises:
            TransportError: no whole answer came.
        """
        request = self._posting("/api/show", orjson.dumps({"model": model}))
        return await self._client.fetch(request, max_bytes=PASSED_BYTES, timeout_s=PASSED_S)

    async def load(self, model: str) -> None:
        """Let the model server take ``model`` into memory, however long that takes.

        Raises:
            TransportError: no whole answer came.
        """
        request = self._posting("/api/generate", orjson.dumps({"model": model, "stream": False}))
        await self._client.fetch(request, max_bytes=PASSED_BYTES, timeout_s=LOAD_S)

    async def unload(self, model: str) -> None:
        """Let the model server take ``model`` out of memory, as soon as nobody uses it.

        Raises:
            TransportError: no whole answer came.
        """
        body = orjson.dumps({"model": model, "keep_alive": 0, "stream": False})
        request = self._posting("/api/generate", body)
        await self._client.fetch(request, max_bytes=PASSED_BYTES, timeout_s=PASSED_S)

    def connections(self) -> Connections:
        """Count the connections to the model server."""
        return self._client.connections

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    def _asking(self, asked: UpstreamRequest, trace: Trace | None) -> HttpRequest:
        headers = {**_JSON, **asked.headers, **(_NONE if trace is None else trace.headers)}
        return self._request(asked.method, asked.path, headers, asked.body)

    def _posting(self, path: str, body: bytes) -> HttpRequest:
        return self._request("POST", path, _JSON, body)

    def _request(self, method: str, path: str, headers: Mapping[str, str] = _NONE, body: bytes = b"") -> HttpRequest:
        endpoint = self._endpoint
        return HttpRequest(method, endpoint.base_path + path, {**headers, **endpoint.headers}, body)
