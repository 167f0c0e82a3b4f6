"""Embeddings, for what retrieves documents: one whole answer, with a permit of its model as every other has."""

import time
from dataclasses import replace
from functools import partial
from typing import Final

from aiohttp import web

from proxy.providers import ollama_refusal
from proxy.providers.adapter import AttemptFailed
from proxy.providers.ollama_request import EMBED_PATHS, embed_request
from proxy.routes.headers import caller_of
from proxy.routes.responder import Parse, StreamResponder, refused
from proxy.settings import ProxySettings
from proxy.streams.registry import Streams
from proxy.upstream.deadlines import FIRST_TOKEN_TIMEOUT
from proxy.upstream.retry import Attempt
from proxy.upstream.server import ModelServer
from proxy.upstream.servers import Servers
from proxy.upstream.transport import UNAVAILABLE
from proxy.upstream.walk import let_in
from services.dialects import ollama_request
from services.http.client import HttpResponse, TransportError
from services.wire.events import Code, Failed
from services.wire.request import Asked, EmbedRequest
from services.wire.trace import Trace, trace_of

_TOO_LONG: Final = Failed(Code.UPSTREAM_ERROR, "The answer is too long. Ask for fewer texts at once.", retryable=False)


_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


class EmbeddingRoutes:
    """Ollama's two routes that embed, bounded in time as an answer before its first token is."""

    def __init__(
        self,
        settings: ProxySettings,
        servers: Servers,
        *,
        responder: StreamResponder,
        streams: Streams,
    ) -> None:
        self._settings = settings
        self._allowed = settings.allow_fields
        self._servers = servers
        self._responder = responder
        self._streams = streams

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
        self._streams.refuse_if_draining()
        walk, answered_s = let_in(self._servers.walk(asked.request, caller_of(request).line)), None
        try:
            while isinstance(walk.step, Attempt):
                if not await walk.permitted():
                    continue
                permitted = time.monotonic()
                answer = await self._asked(walk.step.server, asked, trace_of(request.headers))
                answered_s = time.monotonic() - permitted
                if isinstance(answer, HttpResponse):
                    return web.Response(body=answer.body, headers=_JSON)
                walk.failed(replace(answer, again=False))  # whoever asked repeats it: nothing waits here
                answered_s = None
            raise refused(walk.step.failed, walk.step.wait_s)
        finally:
            walk.leave(answered_s)

    async def _asked(
        self, server: ModelServer, asked: Asked[EmbedRequest], trace: Trace | None
    ) -> HttpResponse | AttemptFailed:
        """Ask one server; return its vectors, or how it failed."""
        model = asked.request.model
        theirs = server.calls(model)
        posted = embed_request(replace(asked.request, model=theirs), asked.wishes.let_through)
        server.taken(model)
        try:
            timeout_s = self._settings.first_token_timeout_s
            answer = await server.transport.ask(posted, trace=trace, timeout_s=timeout_s)
        except TransportError as exc:
            failed = {"too_large": _TOO_LONG, "timeout": FIRST_TOKEN_TIMEOUT}.get(exc.how, UNAVAILABLE)
            return AttemptFailed(failed, "first_token" if exc.how == "timeout" else exc.how)
        finally:
            server.freed(model)
        refusal = ollama_refusal.of_passed(answer.status, answer.headers, answer.body, theirs)
        return answer if refusal is None else refusal
