"""Embeddings, for what retrieves documents: one whole answer, with a permit of its model as every other has."""

import asyncio
import time
from functools import partial
from typing import Final

from aiohttp import web

from proxy.providers import ollama_refusal
from proxy.providers.ollama_request import EMBED_PATHS, embed_request
from proxy.routes.headers import caller_of
from proxy.routes.responder import Parse, StreamResponder, refused
from proxy.settings import ProxySettings
from proxy.streams.permits import Admission, Place
from proxy.streams.registry import LINE_FULL, Streams
from proxy.upstream.producer import FIRST_TOKEN_TIMEOUT, QUEUE_TIMEOUT
from proxy.upstream.transport import UNAVAILABLE, Transport
from services.dialects import ollama_request
from services.http.client import HttpResponse, TransportError
from services.wire.events import ApiError, Code, Failed
from services.wire.request import Asked, EmbedRequest
from services.wire.trace import Trace, trace_of

_TOO_LONG: Final = Failed(Code.UPSTREAM_ERROR, "The answer is too long. Ask for fewer texts at once.", retryable=False)


class EmbeddingRoutes:
    """Ollama's two routes that embed, bounded in time as an answer before its first token is."""

    def __init__(
        self,
        settings: ProxySettings,
        transport: Transport,
        *,
        responder: StreamResponder,
        streams: Streams,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._allowed = settings.allow_fields
        self._transport = transport
        self._responder = responder
        self._streams = streams
        self._admission = admission

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve both."""
        router.add_post(EMBED_PATHS["embed"], self.embed)
        router.add_post(EMBED_PATHS["embeddings"], self.embeddings)

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """POST /api/embed: one text or many."""
        return await self._answer(request, partial(ollama_request.embed, allowed=self._allowed))

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        """POST /api/embeddings: the older route, of one text."""
        return await self._answer(request, partial(ollama_request.embeddings, allowed=self._allowed))

    async def _answer(self, request: web.Request, parse: Parse[EmbedRequest]) -> web.Response:
        asked = await self._responder.read_request(request, parse)
        model = asked.request.model
        place, answered_s = self._streams.enter(model, caller_of(request)), None
        place.displaced = partial(_displace, place)
        try:
            await self._permitted(place)
            permitted = time.monotonic()
            answer = await self._asked(asked, trace_of(request.headers))
            answered_s = time.monotonic() - permitted
        finally:
            place.leave()
            self._admission.left(model, answered_s)
        refusal = ollama_refusal.of_passed(answer.status, answer.headers, answer.body, model)
        if refusal is not None:
            raise refused(refusal.failed, refusal.wait_s)
        return web.Response(body=answer.body, headers={"Content-Type": "application/json; charset=utf-8"})

    async def _permitted(self, place: Place) -> None:
        try:
            async with asyncio.timeout(self._settings.queue_timeout_s):
                await place.granted
        except TimeoutError as exc:
            raise ApiError(QUEUE_TIMEOUT) from exc

    async def _asked(self, asked: Asked[EmbedRequest], trace: Trace | None) -> HttpResponse:
        try:
            posted = embed_request(asked.request, asked.wishes.let_through)
            return await self._transport.embed(posted, trace=trace, timeout_s=self._settings.first_token_timeout_s)
        except TransportError as exc:
            failed = {"too_large": _TOO_LONG, "timeout": FIRST_TOKEN_TIMEOUT}.get(exc.how, UNAVAILABLE)
            raise ApiError(failed) from exc


def _displace(place: Place, retry_after_s: int) -> None:
    """Let who waits for ``place`` hear that it is lost."""
    if not place.granted.done():  # else whoever waited has left
        place.granted.set_exception(ApiError(LINE_FULL, retry_after_s=retry_after_s))
