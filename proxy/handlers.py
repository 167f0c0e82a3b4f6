"""The proxy's routes: each reads its request, asks ``streams``, and waits while the tokens pass through callbacks."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.dialects.dialect import Dialect
from proxy.dialects.seed import SeedFrames
from proxy.follower import Follower
from proxy.metrics import ProxyMetrics
from proxy.settings import ProxySettings
from proxy.stream import Caller, Leave, Stream
from proxy.stream_log import BadPosition, LeftTheLog
from proxy.streams import Streams
from proxy.transport import READ_ONLY, UNAVAILABLE, Transport
from services.runtime import edge
from services.runtime.http_client import Answer, CallFailed
from services.runtime.sink import SinkWatch, open_sink
from services.wire import chat, sse
from services.wire.events import Code, ConnectionEnd, Failed, FinishReason, Refused
from services.wire.native import NativeFrames

BODY_BYTES: Final = 32 << 20
BODY_S: Final = 10.0
HOP_WRITE_TIMEOUT_S: Final = 300.0
"""A gateway may be paused for a client that still takes some: the log's size bounds it before this does."""
NATIVE: Final = "text/event-stream;dialect=native"
Entered = TypeVar("Entered")
_FOLLOWER: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
_OWNER: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]{1,256}")
_ANONYMOUS: Final = "anonymous"


class Handlers:
    """What the proxy answers."""

    def __init__(self, settings: ProxySettings, streams: Streams, transport: Transport, metrics: ProxyMetrics) -> None:
        self._settings = settings
        self._streams = streams
        self._transport = transport
        self._metrics = metrics

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the table of PROTOCOL.md."""
        router.add_post("/api/generate/stream", self.start_generate)
        router.add_post("/api/chat/stream", self.start_chat)
        router.add_get("/api/streams/{id}", self.follow, allow_head=False)
        router.add_delete("/api/streams/{id}", self.stop)
        router.add_delete("/api/followers/{follower}", self.depart)
        for name, path in READ_ONLY.items():
            router.add_get(path, self._reader_of(name), allow_head=False)
        router.add_post("/api/show", self.show)

    async def start_generate(self, request: web.Request) -> web.StreamResponse:
        """POST /api/generate/stream."""
        return await self._start(request, chat.proxy_generate)

    async def start_chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat/stream."""
        return await self._start(request, chat.proxy_chat)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """GET /api/streams/{id}: replay after a number, then live."""
        caller = _caller(request)
        if self._streams.has_departed(caller.follower):
            raise Refused(Failed(Code.STREAM_GONE, "This follower has left."))
        stream = self._streams.find(request.match_info["id"], caller.owner)
        position = _position(request, stream)
        if stream.log.end is not None and position == stream.log.last:
            return web.Response(status=204, headers={"X-Stream-Id": stream.id})
        dialect = _dialect(request, stream, self._settings)
        follower = self._counted(lambda: self._streams.join(stream, dialect, caller.follower, position=position))
        try:
            return await self._serve(request, stream, follower)
        finally:
            stream.leave(follower)

    async def stop(self, request: web.Request) -> web.StreamResponse:
        """DELETE /api/streams/{id}: stop it; answered when the model server's socket is closed."""
        stream = self._streams.find(request.match_info["id"], _caller(request).owner)
        was_over = stream.log.end is not None
        stream.stop(FinishReason.CANCELLED)
        await asyncio.shield(stream.released)
        return web.Response(status=200 if was_over else 202)

    async def depart(self, request: web.Request) -> web.StreamResponse:
        """DELETE /api/followers/{follower}: a gateway's client left on purpose."""
        name = request.match_info["follower"]
        if not _FOLLOWER.fullmatch(name):
            raise Refused(Failed(Code.INVALID_REQUEST, "A follower's name is 22 to 64 characters of [A-Za-z0-9_-]."))
        unseen = request.headers.get("Sluice-Unseen") == "1"
        if self._streams.depart(name, _caller(request).owner, unseen=unseen):
            return web.Response(status=202)
        raise Refused(Failed(Code.STREAM_GONE, "This follower is not known."))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """POST /api/show: its body is rebuilt, not forwarded."""
        raw = await edge.read_body(request, limit_bytes=BODY_BYTES, timeout_s=BODY_S)
        try:
            asked = orjson.loads(raw)
        except orjson.JSONDecodeError:
            asked = None
        model = asked.get("model") if isinstance(asked, dict) else None
        if not isinstance(model, str) or not 0 < len(model) <= 256:
            raise Refused(Failed(Code.INVALID_REQUEST, "model is required"))
        return await self._passed(self._transport.show(model))

    def _reader_of(self, name: str) -> Handler:
        async def read(_request: web.Request) -> web.StreamResponse:
            return await self._passed(self._transport.read(name))

        return read

    @staticmethod
    async def _passed(asking: Awaitable[Answer]) -> web.Response:
        try:
            answer = await asking
        except CallFailed as exc:
            raise Refused(UNAVAILABLE) from exc
        content_type = answer.headers.get("content-type", "application/json")
        return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": content_type})

    async def _start(self, request: web.Request, parse: Callable[[bytes], chat.ModelRequest]) -> web.StreamResponse:
        accepted = time.monotonic()
        asked = parse(await edge.read_body(request, limit_bytes=BODY_BYTES, timeout_s=BODY_S))
        caller = _caller(request)
        stream = self._counted(lambda: self._streams.start(asked, caller, accepted))
        self._metrics.stream_began(stream.model)
        dialect = _dialect(request, stream, self._settings)
        follower = self._streams.join(stream, dialect, caller.follower, position=0, began=True)
        try:
            if not await asyncio.shield(stream.committed):
                assert isinstance(stream.log.end, Failed)
                wait_s = stream.retry_after_s
                raise Refused(stream.log.end, retry_after_s=None if wait_s is None else math.ceil(wait_s))
            return await self._serve(request, stream, follower)
        finally:
            stream.leave(follower)

    def _counted(self, entering: Callable[[], Entered]) -> Entered:
        """Let somebody in by ``entering``, and count it if they are refused at the door."""
        try:
            return entering()
        except Refused as refused:
            self._metrics.rejected.labels(refused.failed.code).inc()
            raise

    async def _serve(self, request: web.Request, stream: Stream, follower: Follower) -> web.StreamResponse:
        """Send the headers, then let frames pass until the end or the client's."""
        settings = self._settings
        headers = {
            **sse.HEADERS,
            "X-Stream-Id": stream.id,
            "X-Request-Id": request[edge.REQUEST_ID],
            "Sluice-Heartbeat": f"{settings.heartbeat_s:g}",
        }
        if _HEADER_VALUE.fullmatch(stream.model):  # for a gateway's labels: on a resume it never saw the request
            headers["Sluice-Model"] = stream.model
        sink = await open_sink(request, headers)
        watch = SinkWatch(
            sink,
            heartbeat=sse.HEARTBEAT,
            heartbeat_s=settings.heartbeat_s,
            write_timeout_s=HOP_WRITE_TIMEOUT_S if follower.name else settings.write_timeout_s,
            owes=lambda: follower.is_behind,
            on_stuck=lambda: follower.cut(ConnectionEnd.SLOW_CLIENT),
        )
        try:
            await follower.follow(sink, stream.status)
        finally:
            watch.stop()
            if follower.cut_as is ConnectionEnd.SLOW_CLIENT:
                self._metrics.follower_was_slow()
        return sink.response if follower.cut_as else await sink.end()


def _caller(request: web.Request) -> Caller:
    """Return who asks, by the headers of the hop; a gateway is trusted, but not with the form of its words.

    Raises:
        Refused: a header has not the form that it must have.
    """
    headers = request.headers
    follower, owner = headers.get("Sluice-Follower", ""), headers.get("Sluice-Owner", _ANONYMOUS)
    leave = headers.get("Sluice-Leave")
    well_formed = (not follower or _FOLLOWER.fullmatch(follower)) and _OWNER.fullmatch(owner)
    if not well_formed or leave not in {None, Leave.CANCEL, Leave.CONTINUE}:
        raise Refused(Failed(Code.INVALID_REQUEST, "A Sluice header has not the form that it must have."))
    return Caller(request[edge.REQUEST_ID], owner, Leave(leave or Leave.DIRECT), follower)


def _dialect(request: web.Request, stream: Stream, settings: ProxySettings) -> Dialect:
    request_id = request[edge.REQUEST_ID]
    if request.headers.get("Accept", "").replace(" ", "") == NATIVE:
        return NativeFrames(stream.id, request_id=request_id, heartbeat_s=settings.heartbeat_s)
    return SeedFrames(stream.id, request_id=request_id, model=stream.model)


def _position(request: web.Request, stream: Stream) -> int:
    """Return the number after which to replay; the header wins over the query.

    Raises:
        Refused: 400 for what is no position of this stream, 410 for one that has left the log.
    """
    last_event_id = request.headers.get("Last-Event-ID")
    text = request.query.get("after", "0")
    if last_event_id is not None:
        stream_id, _, text = last_event_id.rpartition("-")
        if stream_id != stream.id:
            raise Refused(Failed(Code.INVALID_REQUEST, "This Last-Event-ID is not of this stream."))
    try:
        return stream.log.position_asked(text)
    except BadPosition as exc:
        raise Refused(Failed(Code.INVALID_REQUEST, str(exc))) from exc
    except LeftTheLog as exc:
        raise Refused(Failed(Code.STREAM_GONE, "This part of the answer is not held any more.")) from exc
