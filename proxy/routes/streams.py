"""The proxy's own routes: each reads its request and asks for its stream; the tokens pass through callbacks."""

import time
from functools import partial
from typing import Final

from aiohttp import web

from proxy.routes.headers import caller_of, dialect_of, is_follower, is_hop, position_asked, wants_snapshot
from proxy.routes.pages import row_of, snapshot_of
from proxy.routes.responder import BODY_S, Parse, StreamResponder
from proxy.settings import ProxySettings
from proxy.streams.approvals import Heard
from proxy.streams.registry import Streams
from services.dialects import ollama_request
from services.http import edge
from services.wire import bodies
from services.wire.events import ApiError, Code, Failed, FinishReason
from services.wire.request import ModelRequest
from services.wire.server_tools import APPROVAL_BYTES, CALL_NOT_AWAITED, approval_of

_DECIDED: Final = Failed(Code.CONFLICT, "This call was decided the other way before.")


class StreamRoutes:
    """Streams: start, follow, stop, and a gateway's word that its client left."""

    def __init__(self, settings: ProxySettings, streams: Streams, responder: StreamResponder) -> None:
        self._heartbeat_s = settings.heartbeat_s
        self._chat = partial(ollama_request.chat, allowed=(*settings.allow_fields, ollama_request.SERVER_TOOLS))
        self._generate = partial(ollama_request.generate, allowed=settings.allow_fields)
        self._streams = streams
        self._responder = responder

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the table of PROTOCOL.md, but for Ollama's own routes."""
        router.add_post("/api/generate/stream", self.start_generate)
        router.add_post("/api/chat/stream", self.start_chat)
        router.add_get("/api/streams", self.running)
        router.add_get("/api/streams/{id}", self.follow, allow_head=False)  # it would begin to follow
        router.add_delete("/api/streams/{id}", self.stop)
        router.add_post("/api/streams/{id}/tools/{call_id}", self.approve)
        router.add_get("/api/chats/{chat}", self.find_chat)
        router.add_delete("/api/followers/{follower}", self.depart)

    async def start_generate(self, request: web.Request) -> web.StreamResponse:
        """POST /api/generate/stream: a gateway sends our JSON, everybody else Ollama's."""
        return await self.start(request, bodies.hop_generate if is_hop(request) else self._generate)

    async def start_chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat/stream: likewise."""
        return await self.start(request, bodies.hop_chat if is_hop(request) else self._chat)

    async def start(self, request: web.Request, parse: Parse[ModelRequest]) -> web.StreamResponse:
        """Start a stream and answer with its frames."""
        accepted = time.monotonic()
        asked = await self._responder.read_request(request, parse)
        return await self._responder.answer_sse(request, asked, accepted)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """GET /api/streams/{id}: replay after a number, then live; as JSON, a snapshot."""
        caller = caller_of(request)
        if self._streams.has_departed(caller.follower):
            raise ApiError(Failed(Code.STREAM_GONE, "This follower has left."))
        stream = self._streams.find(request.match_info["id"], caller.owner)
        if wants_snapshot(request):
            return edge.json_response(snapshot_of(stream))
        position = position_asked(request, stream)
        if stream.log.end is not None and position == stream.log.last:
            return web.Response(status=204, headers={"X-Stream-Id": stream.id})
        dialect = dialect_of(request, stream, heartbeat_s=self._heartbeat_s)
        with self._responder.join_stream(request, stream, dialect, position) as (_, follower):
            return await self._responder.serve_sse(request, stream, follower)

    async def running(self, request: web.Request) -> web.StreamResponse:
        """GET /api/streams: the owner's live streams."""
        owner = caller_of(request).owner
        return edge.json_response({"streams": [row_of(one) for one in self._streams if one.caller.owner == owner]})

    async def stop(self, request: web.Request) -> web.StreamResponse:
        """DELETE /api/streams/{id}: stop it; answered when the model server's socket is closed."""
        stream = self._streams.find(request.match_info["id"], caller_of(request).owner)
        was_over = stream.log.end is not None
        stream.stop(FinishReason.CANCELLED)
        await stream.upstream_closed.reached()
        return web.Response(status=200 if was_over else 202)

    async def approve(self, request: web.Request) -> web.StreamResponse:
        """POST /api/streams/{id}/tools/{call_id}: a person's word about a call that waits for one."""
        stream = self._streams.find(request.match_info["id"], caller_of(request).owner)
        call_id = request.match_info["call_id"]
        approve = approval_of(await edge.read_body(request, limit_bytes=APPROVAL_BYTES, patience_s=BODY_S))
        heard = Heard.NOT_AWAITED if stream.approvals is None else stream.approvals.say(call_id, approve=approve)
        if heard is Heard.NOT_AWAITED:
            raise ApiError(CALL_NOT_AWAITED)
        if heard is Heard.CONTRADICTS:
            raise ApiError(_DECIDED)
        return edge.json_response({"call_id": call_id, "approve": approve}, status=202 if heard is Heard.TAKEN else 200)

    async def find_chat(self, request: web.Request) -> web.StreamResponse:
        """GET /api/chats/{chat}: the stream that runs for a page's chat, by the page's own name for it."""
        stream = self._streams.of_chat(request.match_info["chat"], caller_of(request).owner)
        if stream is None or stream.caller.chat is None:
            return web.Response(status=204)
        # A gateway asks all of several proxies, and goes on with the youngest.
        age_s = round(time.monotonic() - stream.timeline.accepted, 3)
        return edge.json_response({"stream_id": stream.id, "message_id": stream.caller.chat.message, "age_s": age_s})

    async def depart(self, request: web.Request) -> web.StreamResponse:
        """DELETE /api/followers/{follower}: a gateway's client left on purpose."""
        name = request.match_info["follower"]
        if not is_follower(name):
            raise ApiError(Failed(Code.INVALID_REQUEST, "A follower's name is 22 to 64 characters of [A-Za-z0-9_-]."))
        unseen = request.headers.get("Sluice-Unseen") == "1"
        if self._streams.depart(name, caller_of(request).owner, unseen=unseen):
            return web.Response(status=202)
        raise ApiError(Failed(Code.STREAM_GONE, "This follower is not known."))
