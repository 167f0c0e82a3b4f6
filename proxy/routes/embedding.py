"""Embeddings, for what retrieves documents: one whole answer, with a permit of its model as every other has."""

import asyncio
import time
from typing import Final

from aiohttp import web

from proxy.providers import ollama_refusal
from proxy.routes.responder import Reception, refused
from proxy.settings import ProxySettings
from proxy.streams.permits import Admission, Place
from proxy.streams.registry import Streams
from proxy.upstream.producer import FIRST_TOKEN_TIMEOUT, QUEUE_TIMEOUT
from proxy.upstream.transport import EMBED_PATHS, UNAVAILABLE, Transport
from services.http.client import HttpResponse, TransportError
from services.wire import chat
from services.wire.chat import EmbedRequest
from services.wire.events import Code, Failed, Refused

_TOO_LONG: Final = Failed(Code.UPSTREAM_ERROR, "The answer is too long. Ask for fewer texts at once.", retryable=False)


class EmbedHandlers:
    """Ollama's two routes that embed, bounded in time as an answer before its first token is."""

    def __init__(
        self,
        settings: ProxySettings,
        transport: Transport,
        *,
        reception: Reception,
        streams: Streams,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._reception = reception
        self._streams = streams
        self._admission = admission

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve both."""
        router.add_post(EMBED_PATHS["embed"], self.embed)
        router.add_post(EMBED_PATHS["embeddings"], self.embeddings)

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """POST /api/embed: one text or many."""
        return await self._answer("embed", await self._reception.asked(request, chat.proxy_embed))

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        """POST /api/embeddings: the older route, of one text."""
        return await self._answer("embeddings", await self._reception.asked(request, chat.proxy_embeddings))

    async def _answer(self, name: str, asked: EmbedRequest) -> web.Response:
        place, answered_s = self._streams.enter(asked.model), None
        try:
            await self._permitted(place)
            permitted = time.monotonic()
            answer = await self._asked(name, asked)
            answered_s = time.monotonic() - permitted
        finally:
            place.leave()
            self._admission.left(asked.model, answered_s)
        refusal = ollama_refusal.of_passed(answer.status, answer.headers, answer.body, asked.model)
        if refusal is not None:
            raise refused(refusal.failed, refusal.wait_s)
        return web.Response(body=answer.body, headers={"Content-Type": "application/json; charset=utf-8"})

    async def _permitted(self, place: Place) -> None:
        try:
            async with asyncio.timeout(self._settings.queue_timeout_s):
                await place.granted
        except TimeoutError as exc:
            raise Refused(QUEUE_TIMEOUT) from exc

    async def _asked(self, name: str, asked: EmbedRequest) -> HttpResponse:
        try:
            return await self._transport.embed(name, asked.body, timeout_s=self._settings.first_token_timeout_s)
        except TransportError as exc:
            failed = {"too_large": _TOO_LONG, "timeout": FIRST_TOKEN_TIMEOUT}.get(exc.how, UNAVAILABLE)
            raise Refused(failed) from exc
