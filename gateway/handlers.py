"""The gateway's routes: each reads its request, asks the proxy, and waits while the tokens pass through callbacks."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from gateway.catalog import Catalog
from gateway.connection import ClientConnection, ClientConnections
from gateway.errors import UNAVAILABLE, named, refused_by_proxy
from gateway.hops import Hops
from gateway.metrics import GatewayMetrics
from gateway.relay import Hop, Relay
from gateway.report import connection_ended, connection_started
from gateway.settings import GatewaySettings
from gateway.upstream import Upstream
from services.runtime import edge
from services.runtime.http_client import CallFailed
from services.runtime.sink import ChunkedSink, SinkWatch, open_sink
from services.wire import chat, sse
from services.wire.events import Code, ConnectionEnd, Failed, Refused
from services.wire.native import plain

_STREAM_ID: Final = re.compile(r"[A-Za-z0-9]{1,16}\.[A-Z2-7]{26}")
_POSITION: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_GONE: Final = Failed(Code.STREAM_GONE, "This answer is not held any more. Ask again.")


class Handlers:
    """What the gateway answers in its native dialect."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        upstream: Upstream,
        hops: Hops,
        connections: ClientConnections,
        catalog: Catalog,
        metrics: GatewayMetrics,
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._hops = hops
        self._connections = connections
        self._catalog = catalog
        self._metrics = metrics

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the table of PROTOCOL.md."""
        router.add_post("/api/chat/stream", self.start_chat)
        router.add_post("/api/generate/stream", self.start_generate)
        router.add_get("/api/chat/stream/{id}", self.follow, allow_head=False)
        router.add_post("/api/chat/stream/{id}/cancel", self.cancel)
        router.add_get("/api/models", self.models, allow_head=False)

    async def start_chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat/stream: start a stream and follow it."""
        return await self._connected(
            request, "chat", lambda connection: self._start(request, connection, chat.gateway_chat)
        )

    async def start_generate(self, request: web.Request) -> web.StreamResponse:
        """POST /api/generate/stream: the same with the generate fields."""
        return await self._connected(
            request, "generate", lambda connection: self._start(request, connection, chat.gateway_generate)
        )

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """GET /api/chat/stream/{id}: replay after a number, then live."""
        return await self._connected(request, "chat", lambda connection: self._follow(request, connection))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat/stream/{id}/cancel: stop generation; answered when the model server's socket is closed."""
        stream_id = _stream_id(request)
        try:
            answer = await self._upstream.stop(stream_id, request[edge.REQUEST_ID])
        except CallFailed as exc:
            raise Refused(UNAVAILABLE) from exc
        if answer.status not in {200, 202}:
            raise refused_by_proxy(answer.headers, answer.body)
        word = "stopped" if answer.status == 202 else "finished"
        return web.json_response({"stream_id": stream_id, "status": word}, status=answer.status)

    async def models(self, _request: web.Request) -> web.StreamResponse:
        """GET /api/models: what may be asked for."""
        return web.json_response(await self._catalog.page())

    async def _connected(
        self, request: web.Request, kind: str, work: Callable[[ClientConnection], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
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
                connection_ended(connection, self._metrics)

    async def _start(
        self, request: web.Request, connection: ClientConnection, parse: Callable[[bytes], chat.GatewayRequest]
    ) -> web.StreamResponse:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="Send the body with Content-Type: application/json.")
        settings = self._settings
        raw = await edge.read_body(request, limit_bytes=settings.body_bytes, timeout_s=settings.body_timeout_s)
        asked = parse(raw)
        connection.timeline.parsed = time.monotonic()
        self._connections.admit(connection, new_stream=True)
        model = asked.model or await self._catalog.default()
        connection.began = True
        connection.model, connection.conversation_id = model, asked.conversation_id
        connection.timeline.admitted = time.monotonic()
        body = chat.with_defaults(asked, model, settings.max_output_tokens)
        hop = await self._hops.start(connection, asked, body)
        return await self._carry(request, connection, hop, position=0)

    async def _follow(self, request: web.Request, connection: ClientConnection) -> web.StreamResponse:
        connection.stream_id = _stream_id(request)
        position = _position(request, connection.stream_id)
        connection.timeline.parsed = time.monotonic()
        self._connections.admit(connection, new_stream=False)
        connection.timeline.admitted = time.monotonic()
        hop = await self._hops.follow(connection, position)
        if hop is None:
            connection.reason = None
            return web.Response(status=204, headers={"X-Stream-Id": connection.stream_id})
        return await self._carry(request, connection, hop, position=int(position))

    async def _carry(
        self, request: web.Request, connection: ClientConnection, hop: Hop, *, position: int
    ) -> web.StreamResponse:
        """Send the headers, then let frames pass until the stream's end or the connection's."""
        hop_headers = hop.head.result().headers
        connection.stream_id = hop_headers.get("x-stream-id", "")
        connection.model = connection.model or hop_headers.get("sluice-model", "")
        self._metrics.stream_began(connection.model)
        relay: Relay | None = None
        try:
            sink = await open_sink(request, self._headers(request, connection))
            relay = connection.relay = self._relay(sink, connection, position)
            connection_started(connection)
            await self._watched(relay, sink, hop)
        except asyncio.CancelledError:
            if relay is None or relay.end_reason is None:  # else it was our own cut that closed the connection
                self._hops.client_left(connection, hop, unseen=relay is None)
            raise
        finally:
            self._metrics.stream_left(connection.model)
        connection.reason = relay.end_reason
        return sink.response if connection.reason in set(ConnectionEnd) else await sink.end()

    async def _watched(self, relay: Relay, sink: ChunkedSink, hop: Hop) -> None:
        watch = SinkWatch(
            sink,
            heartbeat=sse.HEARTBEAT,
            heartbeat_s=self._settings.heartbeat_s,
            write_timeout_s=self._settings.write_timeout_s,
            owes=relay.owes,
            on_stuck=lambda: relay.cut(ConnectionEnd.SLOW_CLIENT),
        )
        try:
            await relay.run(hop)
        finally:
            watch.stop()

    def _relay(self, sink: ChunkedSink, connection: ClientConnection, position: int) -> Relay:
        start_fields: dict[str, Any] = {
            "request_id": connection.request_id,
            "heartbeat_s": plain(self._settings.heartbeat_s),
        }
        if connection.conversation_id is not None:
            start_fields["conversation_id"] = connection.conversation_id
        return Relay(
            sink,
            connection.timeline,
            request_id=connection.request_id,
            position=position,
            start_fields=start_fields,
            again=lambda number: self._hops.follow_again(connection, number),
            gap_seen=self._metrics.gap_observer(connection.model, connection.kind),
        )

    @staticmethod
    def _headers(request: web.Request, connection: ClientConnection) -> dict[str, str]:
        return {**sse.HEADERS, "X-Request-Id": request[edge.REQUEST_ID], "X-Stream-Id": connection.stream_id}


def _stream_id(request: web.Request) -> str:
    """Return the stream id of the path; what is none is answered as one that is not held.

    Raises:
        Refused: 410.
    """
    stream_id = request.match_info["id"]
    if not _STREAM_ID.fullmatch(stream_id):
        raise Refused(_GONE)
    return stream_id


def _position(request: web.Request, stream_id: str) -> str:
    """Return the number after which to replay; the header wins over the query, neither means 0.

    Raises:
        Refused: 400, it is no number or another stream's.
    """
    text = request.query.get("after", "0")
    last_event_id = request.headers.get("Last-Event-ID")
    if last_event_id is not None:
        owner, _, text = last_event_id.rpartition("-")
        if owner != stream_id:
            raise Refused(Failed(Code.INVALID_REQUEST, "This Last-Event-ID is not of this stream."))
    if not _POSITION.fullmatch(text):
        raise Refused(Failed(Code.INVALID_REQUEST, "A position is a number, from 0."))
    return text
