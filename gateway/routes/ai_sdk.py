"""The AI SDK's chat at the gateway, under /api/ui/: for pages made with ``useChat``.

A page names its chat, and comes back by that name to the answer that runs: after a reload, or in another tab. One that
wants to says ``on_disconnect: continue``, and stops an answer by name, since its leaving stops nothing.
"""

import math
from collections.abc import Iterable
from typing import Final

import orjson
from aiohttp import web

from gateway.errors import UNAVAILABLE
from gateway.guard.guard import PRINCIPAL
from gateway.relay.connection import ClientConnection
from gateway.relay.proxies import Proxies
from gateway.relay.unread import UnreadAnswers
from gateway.routes.foreign import ForeignResponder
from gateway.routes.responder import RelayResponder
from services.dialects import ai_sdk_request
from services.dialects.ai_sdk import ResumableAiSdkChunks, ai_sdk_chunks
from services.dialects.dialect import DialectName
from services.dialects.foreign import Language
from services.http import edge
from services.http.client import TransportError
from services.wire.events import ApiError
from services.wire.hop import Chat

AI_SDK: Final = Language(DialectName.AI_SDK, ai_sdk_request.asked, ai_sdk_chunks, None)


class AiSdkRoutes:
    """What the gateway answers to the AI SDK's pages."""

    def __init__(
        self, foreign: ForeignResponder, responder: RelayResponder, proxies: Proxies, unread: UnreadAnswers
    ) -> None:
        self._foreign = foreign
        self._responder = responder
        self._proxies = proxies
        self._unread = unread

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve PROTOCOL.md's rows under /api/ui/."""
        router.add_post("/api/ui/chat", self._foreign.answering(AI_SDK))
        router.add_get("/api/ui/chat/{id}/stream", self.resume, allow_head=False)
        router.add_post("/api/ui/chat/{id}/stop", self.stop)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """GET /api/ui/chat/{id}/stream: the answer that runs for the chat, from its beginning; 204 if none does."""

        async def work(connection: ClientConnection) -> web.StreamResponse:
            running = await self._running(request)
            if running is not None:
                connection.stream_id, message_id = running
                hop = await self._responder.followed(connection, 0)
                if hop is not None:
                    chunks = ResumableAiSdkChunks(message_id)
                    return await self._responder.translate(request, connection, hop, chunks)
            connection.reason = None
            return web.Response(status=204)

        return await self._responder.connected(request, "chat", work, DialectName.AI_SDK)

    async def stop(self, request: web.Request) -> web.StreamResponse:
        """POST /api/ui/chat/{id}/stop: stop what runs for the chat; 204 if nothing does."""
        running = await self._running(request)
        if running is None:
            return web.Response(status=204)
        try:
            holder = self._proxies.of(running[0])
            stopped = await holder.stop(running[0], request[edge.REQUEST_ID], request[PRINCIPAL].owner)
        except TransportError as exc:
            raise ApiError(UNAVAILABLE) from exc
        await self._unread.stopped(request[PRINCIPAL], running[0])
        return web.Response(status=202 if stopped.status == 202 else 204)

    async def _running(self, request: web.Request) -> tuple[str, str] | None:
        """Return the ids of the stream that runs for the chat of the path, and of its message; None if none does.

        Raises:
            ApiError: no proxy can be reached.
        """
        try:
            chat = Chat(request.match_info["id"])
        except ValueError:
            return None
        try:
            answers = await self._proxies.read_all(f"/api/chats/{chat.name}", request[PRINCIPAL].owner)
        except TransportError as exc:
            raise ApiError(UNAVAILABLE) from exc
        return newest(answer.body for answer in answers if answer.status == 200)


def newest(found: Iterable[bytes]) -> tuple[str, str] | None:
    """Return the ids of the youngest of the streams that proxies hold of one chat, and of its message; None for none.

    A proxy chosen by the chat's name would hold them all, but not once another had to take its place for a while.
    """
    streams = [orjson.loads(one) for one in found]
    if not streams:
        return None
    youngest = min(streams, key=lambda one: one.get("age_s", math.inf))  # older proxies do not tell
    return youngest["stream_id"], youngest["message_id"]
