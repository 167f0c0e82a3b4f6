"""How a request becomes a connection with a stream, and is served: the same for every route."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from gateway.errors import named
from gateway.relay.connection import ClientConnection, ClientConnections
from gateway.relay.gathering import GatheringSink
from gateway.relay.hop import Hop
from gateway.relay.hops import Hops
from gateway.relay.relay import Relay, Sink
from gateway.routes.catalog import Catalog
from gateway.settings import GatewaySettings
from services.http import edge
from services.http.sink import ChunkedSink, SinkWatch, open_sink
from services.wire import chat, sse
from services.wire.events import Code, ConnectionEnd, Refused, shutting_down
from services.wire.native import plain

Work = Callable[[ClientConnection], Awaitable[web.StreamResponse]]
Parse = Callable[[bytes], chat.GatewayRequest]


class ConnectionMetrics(Protocol):
    """Who counts a connection while it lasts."""

    @property
    def chunk_passed(self) -> Callable[[float], None]:
        """Who is told the seconds from a read to the return of its write, of one read in sixteen."""

    def stream_began(self, model: str, kind: str) -> str:
        """Count it as active, and return its model's label."""

    def gap_observer(self, label: str, kind: str) -> Callable[[float], None]:
        """Return who is told the seconds between two reads with content."""


class ConnectionReport(Protocol):
    """Who writes the lines of a connection, and counts it at its end."""

    def started(self, connection: ClientConnection) -> None:
        """It has a stream."""

    def ended(self, connection: ClientConnection) -> None:
        """It is over; called exactly once."""


class Reception:
    """Lets connections in, carries streams to them, and tells of each once."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        hops: Hops,
        connections: ClientConnections,
        catalog: Catalog,
        metrics: ConnectionMetrics,
        report: ConnectionReport,
    ) -> None:
        self._settings = settings
        self._hops = hops
        self._connections = connections
        self._catalog = catalog
        self._metrics = metrics
        self._report = report

    async def connected(self, request: web.Request, kind: str, work: Work) -> web.StreamResponse:
        """Do ``work`` for one connection; whatever comes of it is counted and told once, from ``finally``."""
        route = request.match_info.route.resource
        connection = ClientConnection.begin(request[edge.REQUEST_ID], route.canonical if route else "", kind)
        connection.reason = Code.INTERNAL
        try:
            return await work(connection)
        except asyncio.CancelledError:
            connection.reason = (connection.relay and connection.relay.end_reason) or ConnectionEnd.CLIENT_GONE
            raise
        except (Refused, chat.BadBody, web.HTTPException) as exc:
            refused = named(exc)
            connection.reason = refused.failed.code if refused else Code.INTERNAL
            raise
        finally:
            self._connections.gone(connection)
            connection.timeline.ended = time.monotonic()
            if connection.reason is not None:
                self._report.ended(connection)

    async def started(self, request: web.Request, connection: ClientConnection, parse: Parse) -> Hop:
        """Read the body, let the connection in, and start its stream.

        Raises:
            Refused, chat.BadBody, web.HTTPException: there is no stream.
        """
        connection.asks = True
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Send the body with Content-Type: application/json.")
        settings, key = self._settings, chat.idempotency_key(request.headers.get("Idempotency-Key"))
        raw = await edge.read_body(request, limit_bytes=settings.body_bytes, patience_s=settings.body_timeout_s)
        asked = parse(raw)
        connection.timeline.parsed = time.monotonic()
        self._connections.admit(connection, new_stream=True)
        model = asked.model or await self._catalog.default()
        connection.model, connection.conversation_id = model, asked.conversation_id
        connection.timeline.admitted = time.monotonic()
        body = chat.with_defaults(asked, model, settings.max_output_tokens)
        hop = await self._hops.start(connection, asked, body, key=key)
        connection.began = connection.asks = "sluice-joined" not in hop.head.result().headers
        return hop

    async def followed(self, connection: ClientConnection, position: int) -> Hop | None:
        """Let the connection in, and follow its stream after ``position``; None if nothing follows.

        Raises:
            Refused: there is no stream.
        """
        connection.timeline.parsed = time.monotonic()
        self._connections.admit(connection, new_stream=False)
        connection.timeline.admitted = time.monotonic()
        return await self._hops.follow(connection, position)

    async def carry(
        self, request: web.Request, connection: ClientConnection, hop: Hop, *, position: int
    ) -> web.StreamResponse:
        """Send the headers, then let frames pass until the stream's end or the connection's."""
        relay = self._relay(connection, hop, position)
        headers = {**sse.HEADERS, "X-Request-Id": connection.request_id, "X-Stream-Id": connection.stream_id}
        try:
            sink = await open_sink(request, headers, relay.take_up(hop))
            watch = connection.watch = self._watch(sink, relay)
            try:
                await self._run(relay, connection, hop, sink)
            finally:
                watch.stop()
        except asyncio.CancelledError:
            if connection.relay is None:  # before its headers were out
                self._hops.client_left(connection, hop, unseen=True)
            raise
        finally:
            relay.close()  # a failure before it ran must not leave the model talking to nobody
        return sink.response if connection.reason in set(ConnectionEnd) else await sink.end()

    async def gather(self, connection: ClientConnection, hop: Hop) -> dict[str, Any]:
        """Return the whole answer at once, from the same machinery.

        Raises:
            Refused: the stream failed, the answer is too long, or this gateway is shutting down.
        """
        relay = self._relay(connection, hop, 0)
        sink = GatheringSink(lambda: relay.cut(ConnectionEnd.SLOW_CLIENT))
        sink.write(relay.take_up(hop))
        await self._run(relay, connection, hop, sink)
        if connection.reason in set(ConnectionEnd):  # nobody can come back to what was not answered
            self._hops.client_left(connection, hop, unseen=True)
        if connection.reason == ConnectionEnd.HANDED_OVER:
            raise shutting_down(random.random())  # noqa: S311 a jitter
        return sink.whole()

    async def _run(self, relay: Relay, connection: ClientConnection, hop: Hop, sink: Sink) -> None:
        connection.relay = relay
        self._report.started(connection)
        try:
            await relay.run(sink)
        except asyncio.CancelledError:
            if relay.end_reason is None:  # else it was our own cut that closed the connection
                self._hops.client_left(connection, hop, unseen=False)
            raise
        connection.reason = relay.end_reason

    def _watch(self, sink: ChunkedSink, relay: Relay) -> SinkWatch:
        return SinkWatch(
            sink,
            heartbeat=sse.HEARTBEAT,
            heartbeat_s=self._settings.heartbeat_s,
            write_timeout_s=self._settings.write_timeout_s,
            owes=relay.owes,
            on_stuck=lambda: relay.cut(ConnectionEnd.SLOW_CLIENT),
        )

    def _relay(self, connection: ClientConnection, hop: Hop, position: int) -> Relay:
        headers = hop.head.result().headers
        connection.stream_id = headers.get("x-stream-id", "")
        connection.model = connection.model or headers.get("sluice-model", "")
        connection.label = self._metrics.stream_began(connection.model, connection.kind)
        start_fields: Mapping[str, Any] = {
            "request_id": connection.request_id,
            "heartbeat_s": plain(self._settings.heartbeat_s),
            **({"conversation_id": connection.conversation_id} if connection.conversation_id is not None else {}),
        }
        return Relay(
            connection.timeline,
            request_id=connection.request_id,
            position=position,
            began=connection.began,
            start_fields=start_fields,
            again=lambda number: self._hops.follow_again(connection, number),
            gap_seen=self._metrics.gap_observer(connection.label, connection.kind),
            chunk_passed=self._metrics.chunk_passed,
        )
