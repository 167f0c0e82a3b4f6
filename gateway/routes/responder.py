"""How a request becomes a connection with a stream, and is served: the same for every route."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiohttp import web

from gateway.conversations.kept_answer import Kept
from gateway.errors import named
from gateway.guard.guard import PRINCIPAL
from gateway.limits.limiter import Limiter
from gateway.limits.place import Place, note_rate
from gateway.relay.connection import ClientConnection, ClientConnections, spent_by
from gateway.relay.content_meter import ContentMeter
from gateway.relay.gathering import GatheringSink, late_after
from gateway.relay.hop import Hop
from gateway.relay.hops import Hops
from gateway.relay.passage import Passage, PassThrough, Translated
from gateway.relay.relay import Relay, RelaySink
from gateway.relay.upstream import RepeatKey
from gateway.routes.catalog import Catalog
from gateway.routes.offered_tools import OfferedTools
from gateway.settings import GatewaySettings
from services.dialects.dialect import Answer, Dialect, DialectName, WholeDialect, heartbeat_period_s
from services.dialects.gathering import Gathering
from services.http import edge
from services.http.sink import ChunkedSink, SinkWatch, open_sink
from services.wire.event_data import plain
from services.wire.events import ApiError, Code, ConnectionEnd, Failed, Stage, Terminal, shutting_down
from services.wire.native import NativeFrames
from services.wire.request import Asked, BadBody, ModelRequest, idempotency_key
from services.wire.trace import trace_of

Work = Callable[[ClientConnection], Awaitable[web.StreamResponse]]
Parse = Callable[[bytes], Asked[ModelRequest]]
TOO_LATE: Final = Failed(
    Code.UPSTREAM_TIMEOUT, "The whole answer took too long. Ask for it as a stream.", Stage.TOTAL, retryable=False
)


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


class RelayResponder:
    """Lets connections in, carries streams to them, and tells of each once."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        hops: Hops,
        connections: ClientConnections,
        limiter: Limiter,
        catalog: Catalog,
        tools: OfferedTools,
        metrics: ConnectionMetrics,
        report: ConnectionReport,
    ) -> None:
        self._settings = settings
        self._hops = hops
        self._connections = connections
        self._limiter = limiter
        self._catalog = catalog
        self._tools = tools
        self._metrics = metrics
        self._report = report

    async def connected(
        self, request: web.Request, kind: str, work: Work, dialect: DialectName = DialectName.NATIVE
    ) -> web.StreamResponse:
        """Do ``work`` for one connection; whatever comes of it is counted and told once, from ``finally``."""
        route = request.match_info.route.resource
        path, trace = route.canonical if route else "", trace_of(request.headers)
        connection = ClientConnection.begin(request[edge.REQUEST_ID], path, kind, trace, request[PRINCIPAL])
        connection.dialect = dialect
        try:
            return await work(connection)
        except asyncio.CancelledError:
            left = ConnectionEnd.HANDED_OVER if connection.comes_back else ConnectionEnd.CLIENT_GONE
            connection.reason = (connection.relay and connection.relay.end_reason) or left
            raise
        except (ApiError, BadBody, web.HTTPException) as exc:
            refused = named(exc)
            connection.reason = refused.failed.code if refused else Code.INTERNAL
            raise
        finally:
            self._connections.gone(connection)
            if (place := connection.place) is not None:
                self._limiter.left(place, spent_by(connection.relay), may_go_on=connection.may_go_on)
            connection.timeline.ended = time.monotonic()
            if connection.reason is not None:
                self._report.ended(connection)

    async def read_request(
        self, request: web.Request, connection: ClientConnection, parse: Parse
    ) -> Asked[ModelRequest]:
        """Read what a request for a new answer asks.

        Raises:
            BadBody, web.HTTPException: it is none.
        """
        connection.asks = True
        asked = parse(await self.body_of(request))
        connection.timeline.parsed = time.monotonic()
        connection.conversation_id = asked.wishes.conversation_id
        edge.note_dropped(request, asked.wishes.dropped)
        return asked

    async def body_of(
        self,
        request: web.Request,
        *,
        limit_bytes: int | None = None,
        came: Callable[[int], None] = lambda _size: None,
    ) -> bytes:
        """Read the JSON body of a request.

        Args:
            limit_bytes: another limit than a native body's.
            came: is told the size of each piece before it is kept.

        Raises:
            web.HTTPException: it is not said to be JSON, is too long, or did not come in time.
        """
        settings = self._settings
        limit_bytes = limit_bytes or settings.body_bytes
        return await edge.read_json(request, limit_bytes=limit_bytes, patience_s=settings.body_timeout_s, came=came)

    async def started(
        self,
        request: web.Request,
        connection: ClientConnection,
        asked: Asked[ModelRequest],
        *,
        lenient: bool = False,
        asked_as: str | None = None,
    ) -> Hop:
        """Let the connection in, as far as the limits of its key go, and start its stream.

        Args:
            lenient: an Idempotency-Key that has not our form is none.
            asked_as: what tells a repeated request from another, where it is not all that the proxy is asked.

        Raises:
            ApiError, BadBody: there is no stream.
        """
        idempotency = idempotency_key(request.headers.get("Idempotency-Key"), lenient=lenient)
        self._connections.admit(connection, new_stream=True)
        rights = connection.principal.key
        model = asked.request.model or await self._catalog.default(rights.allows)
        rights.demand(model)
        connection.model, connection.leave = model, asked.wishes.on_disconnect
        most = min(self._settings.max_output_tokens, rights.max_output_tokens or self._settings.max_output_tokens)
        completed = await self._tools.allowed(asked.request.completed(model, most), connection.principal)
        limited, place = await self._limited(request, connection, completed, idempotency)
        connection.timeline.admitted = time.monotonic()
        key = RepeatKey(idempotency, asked_as) if idempotency else None
        hop = await self._hops.start(connection, limited, connection.leave, key=key)
        connection.began = connection.asks = "sluice-joined" not in hop.headers
        self._limiter.began(place, hop.headers.get("x-stream-id", ""), model, joined=not connection.began)
        return hop

    async def followed(self, connection: ClientConnection, position: int) -> Hop | None:
        """Let the connection in, and follow its stream after ``position``; None if nothing follows.

        Raises:
            ApiError: there is no stream.
        """
        connection.timeline.parsed = time.monotonic()
        self._connections.admit(connection, new_stream=False)
        connection.timeline.admitted = time.monotonic()
        hop = await self._hops.follow(connection, position)
        if hop is not None:
            model = hop.headers.get("sluice-model", "")
            connection.place = self._limiter.follows(connection.principal, connection.stream_id, model)
        return hop

    async def _limited(
        self, request: web.Request, connection: ClientConnection, asked: ModelRequest, key: str | None
    ) -> tuple[ModelRequest, Place]:
        """Return what may be asked: with fewer tokens where the day has no more; and its place."""
        assert asked.model is not None
        assert asked.max_output_tokens is not None
        place = connection.place = await self._limiter.admit(connection.principal, asked.max_output_tokens, key)
        note_rate(request, place)
        return asked.completed(asked.model, place.demand()), place

    async def carry(
        self, request: web.Request, connection: ClientConnection, hop: Hop, *, position: int, kept: Kept | None = None
    ) -> web.StreamResponse:
        """Send the headers, then let native frames pass until the stream's end or the connection's.

        Args:
            kept: what is told of an answer that is kept.
        """
        meter = self._meter(connection, hop)
        own: dict[str, Any] = {"request_id": connection.request_id, "heartbeat_s": plain(self._settings.heartbeat_s)}
        if connection.conversation_id is not None:
            own["conversation_id"] = connection.conversation_id
        passage = PassThrough(
            position,
            meter,
            request_id=connection.request_id,
            began=connection.began,
            start_fields={**own, **(kept.told if kept else {})},
            keeper=kept.keeper if kept else None,
        )
        relay = self._relay(connection, passage, meter)
        try:
            dialect = NativeFrames("", request_id=connection.request_id, heartbeat_s=self._settings.heartbeat_s)
            sink = await self._opened(request, connection, hop, relay, dialect=dialect, first=relay.attach(hop))
            await self._run_watched(relay, connection, hop, sink, dialect)
        finally:
            relay.close()  # a failure before it ran must not leave the model talking to nobody
        return sink.response if connection.reason in set(ConnectionEnd) else await sink.end()

    async def translate(
        self,
        request: web.Request,
        connection: ClientConnection,
        hop: Hop,
        dialect: Dialect,
        *,
        unbegun: Callable[[Terminal], Answer | None] = lambda _end: None,
    ) -> web.StreamResponse:
        """Answer in a dialect whose headers wait for the first frame, and whose client cannot come back for the rest.

        Args:
            unbegun: what is answered to who got no frame before an end that did not fail; None for the end's own frame.

        Raises:
            ApiError: the stream failed before, or this gateway is shutting down.
        """
        meter = self._meter(connection, hop)
        passage = Translated(0, meter, dialect)
        relay = connection.relay = self._relay(connection, passage, meter)
        try:
            first = await self._begun(connection, hop, relay, passage)
            if passage.passed.chunks == 0 and passage.end is not None and (instead := unbegun(passage.end)) is not None:
                connection.reason = relay.end_reason
                return edge.response_of(instead)
            sink = await self._opened(request, connection, hop, relay, dialect=dialect, first=first)
            await self._run_watched(relay, connection, hop, sink, dialect)
        finally:
            relay.close()
        if connection.reason in set(ConnectionEnd) and not dialect.can_resume:
            self._hops.client_left(connection, hop, unseen=False)
        if connection.reason == ConnectionEnd.HANDED_OVER and not dialect.can_resume:
            connection.reason = Code.SHUTTING_DOWN  # the client was told so: it is its end, too
        return sink.response if connection.reason in set(ConnectionEnd) else await sink.end()

    async def gather(
        self,
        connection: ClientConnection,
        hop: Hop,
        dialect: WholeDialect,
        *,
        within_s: float | None = None,
        through: Callable[[Dialect], Dialect] = lambda gathering: gathering,
    ) -> web.Response:
        """Return the whole answer at once, from the same machinery.

        Args:
            within_s: how long it may take since its request came; then it is stopped.
            through: what its events pass before they are kept.

        Raises:
            ApiError: the stream failed, the answer is too long, or this gateway is shutting down.
        """
        gathering = Gathering()
        meter = self._meter(connection, hop)
        relay = self._relay(connection, Translated(0, meter, through(gathering)), meter)
        relay.attach(hop)
        sink = GatheringSink(gathering, lambda: relay.cut(ConnectionEnd.SLOW_CLIENT))
        with late_after(connection.timeline.accepted, within_s, lambda: relay.fail(TOO_LATE)):
            await self._run(relay, connection, hop, sink)
        if connection.reason in set(ConnectionEnd) or gathering.end is TOO_LATE:  # nobody can come back to it
            self._hops.client_left(connection, hop, unseen=True)
        if connection.reason == ConnectionEnd.HANDED_OVER:
            raise shutting_down(random.random())  # noqa: S311 a jitter
        response = edge.response_of(dialect.whole(gathering.events, gathering.finished()))
        response.headers["X-Stream-Id"] = connection.stream_id
        return response

    async def _begun(self, connection: ClientConnection, hop: Hop, relay: Relay, passage: Translated) -> bytes:
        """Return the first frames; a failure before them is a status.

        Raises:
            ApiError: it failed before, or this gateway is shutting down.
        """
        try:
            first = await relay.first_frames(hop)
        except asyncio.CancelledError:
            self._hops.client_left(connection, hop, unseen=True)
            raise
        if relay.end_reason == ConnectionEnd.HANDED_OVER:
            self._hops.client_left(connection, hop, unseen=True)
            raise shutting_down(random.random())  # noqa: S311 a jitter
        if passage.passed.chunks == 0 and isinstance(passage.end, Failed):
            raise ApiError(passage.end)
        return first

    async def _opened(
        self,
        request: web.Request,
        connection: ClientConnection,
        hop: Hop,
        relay: Relay,
        *,
        dialect: Dialect,
        first: bytes,
    ) -> ChunkedSink:
        """Send the headers with the first frames; who carries the others for minutes holds neither."""
        ids = {"X-Request-Id": connection.request_id, "X-Stream-Id": connection.stream_id}
        try:
            return await open_sink(request, {**dialect.headers, **ids}, first, whole=relay.end is not None)
        except asyncio.CancelledError:
            self._hops.client_left(connection, hop, unseen=True)
            raise

    async def _run_watched(
        self, relay: Relay, connection: ClientConnection, hop: Hop, sink: ChunkedSink, dialect: Dialect
    ) -> None:
        """Let frames pass to a client's socket."""
        watch = connection.watch = self._watch(sink, relay, dialect)
        try:
            await self._run(relay, connection, hop, sink)
        finally:
            watch.stop()

    async def _run(self, relay: Relay, connection: ClientConnection, hop: Hop, sink: RelaySink) -> None:
        connection.relay = relay
        self._report.started(connection)
        try:
            await relay.run(sink)
        except asyncio.CancelledError:
            if relay.end_reason is None or not relay.can_resume:  # else our cut, and it comes back
                self._hops.client_left(connection, hop, unseen=False)
            raise
        connection.reason = relay.end_reason

    def _watch(self, sink: ChunkedSink, relay: Relay, dialect: Dialect) -> SinkWatch:
        return SinkWatch(
            sink,
            heartbeat=dialect.heartbeat,
            heartbeat_s=heartbeat_period_s(dialect, self._settings.heartbeat_s),
            write_timeout_s=self._settings.write_timeout_s,
            owes=relay.owes,
            on_stuck=lambda: relay.cut(ConnectionEnd.SLOW_CLIENT),
        )

    def _meter(self, connection: ClientConnection, hop: Hop) -> ContentMeter:
        """Note whose stream it is, and return who measures it."""
        connection.stream_id = hop.headers.get("x-stream-id", "")
        connection.model = connection.model or hop.headers.get("sluice-model", "")
        connection.label = self._metrics.stream_began(connection.model, connection.kind)
        return ContentMeter(
            connection.timeline,
            gap_seen=self._metrics.gap_observer(connection.label, connection.kind),
            chunk_passed=self._metrics.chunk_passed,
        )

    def _relay(self, connection: ClientConnection, passage: Passage, meter: ContentMeter) -> Relay:
        relay = Relay(passage, meter, again=lambda number: self._hops.follow_again(connection, number))
        if (place := connection.place) is not None:  # given back before its end leaves: who reads that may ask at once
            passage.passed.ended = lambda: self._limiter.ended(place, spent_by(relay))
        return relay
