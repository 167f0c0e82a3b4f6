"""A transport whose connections are lists: of bytes, of ends, or of nothing for ever. The one seam that is replaced."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from proxy.providers.adapter import AttemptFailed, UpstreamRequest
from proxy.upstream.transport import UNAVAILABLE, Endpoint, Transport, Unreachable
from services.http.client import HttpResponse, TransportError
from services.http.connection import HttpCall, HttpConnection, ResponseEnd, ResponseReader
from services.runtime.settings import Origin
from services.wire.trace import Trace
from tests.proxy.stage import turns


@dataclass(frozen=True)
class Connects:
    """A connection that comes up and brings its chunks and its end, one a turn of the loop; no end: it hangs."""

    chunks: Sequence[bytes] = ()
    end: ResponseEnd | None = None
    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refuses:
    """No connection comes up."""

    how: str = "refused"


@dataclass(frozen=True)
class HangsConnecting:
    """SYN, and then nothing."""


Attempt = Connects | Refuses | HangsConnecting


class ListConnection:
    """A connection that a test reads: closed or not, and what it still has to bring."""

    def __init__(
        self, attempt: Connects, reader: ResponseReader, closing: Callable[[], None], closing_s: float
    ) -> None:
        self._attempt = attempt
        self._closing_s = closing_s
        self._reader = reader
        self._closing = closing
        self._loop = asyncio.get_running_loop()
        self.call = HttpCall(cast("HttpConnection", self), reader)
        self.closed = False
        self._loop.call_soon(self._bring, list(attempt.chunks))

    def abort(self) -> None:
        """As a socket does: closed now, released in the loop's next turn at the earliest."""
        if not self.closed:
            self.closed = True
            self._closing()
            self._loop.call_later(self._closing_s, self.call.release)

    def _bring(self, chunks: list[bytes], *, head_came: bool = False) -> None:
        if self.closed:
            return
        if not head_came and self._attempt.status is not None:
            self._reader.on_head(self._attempt.status, self._attempt.headers)
        if chunks:
            self._reader.on_bytes(chunks.pop(0))
            self._loop.call_soon(lambda: self._bring(chunks, head_came=True))
        elif self._attempt.end is not None:
            self.closed = True
            self.call.release()
            self._reader.on_end(self._attempt.end)


class ScriptedTransport(Transport):
    """One attempt after the other; the last one again when they are used up."""

    def __init__(self, *attempts: Attempt) -> None:
        super().__init__(Endpoint(Origin("http", "127.0.0.1", 9)), connect_timeout_s=1.0)
        self._attempts = list(attempts)
        self.opened: list[ListConnection] = []
        self.fresh: list[bool] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.open_when_asked: list[int] = []
        self.connecting_given_up = 0
        self.loaded: list[str] | None = None
        self.unload_fails = False
        self.unloaded: list[tuple[str, int]] = []  # and how many connections were open then
        self.closing_s = 0.0
        self.on_close: Callable[[], None] = lambda: None

    @property
    def open_connections(self) -> int:
        return sum(not connection.closed for connection in self.opened)

    async def open(
        self,
        asked: UpstreamRequest,
        reader: ResponseReader,
        *,
        trace: Trace | None = None,  # noqa: ARG002 its headers are the transport's own to write
        fresh: bool,
    ) -> HttpCall:
        self.bodies.append(orjson.loads(asked.body))
        assert self.bodies[-1]["stream"] is True
        self.fresh.append(fresh)
        self.open_when_asked.append(self.open_connections)
        attempt = self._attempts.pop(0) if len(self._attempts) > 1 else self._attempts[0]
        if isinstance(attempt, Refuses):
            raise Unreachable(AttemptFailed(UNAVAILABLE, attempt.how))
        if isinstance(attempt, HangsConnecting):
            await self._hang()
        assert isinstance(attempt, Connects)
        self.opened.append(ListConnection(attempt, reader, self._closing, self.closing_s))
        return self.opened[-1].call

    async def read(self, name: str, *, timeout_s: float = 1.0) -> HttpResponse:
        assert (name, timeout_s) == ("ps", 0.5)
        if self.loaded is None:
            raise TransportError("timeout")
        return HttpResponse(200, {}, orjson.dumps({"models": [{"name": model} for model in self.loaded]}))

    async def unload(self, model: str) -> None:
        await turns()  # as a request does: meanwhile the connections of who waits are closed
        self.unloaded.append((model, self.open_connections))
        if self.unload_fails:
            raise TransportError("timeout")
        self.loaded = []

    def _closing(self) -> None:
        self.on_close()  # whoever listens when it closes, not when it opened

    async def _hang(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.connecting_given_up += 1
