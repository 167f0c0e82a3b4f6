"""The proxy as an Ollama: its routes in its shape, for clients made for it."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.providers import ollama_refusal
from proxy.routes.headers import wants_frames
from proxy.routes.responder import BODY_BYTES, BODY_S, Parse, StreamResponder, refused, refused_by
from proxy.settings import ProxySettings
from proxy.streams.stream import Stream
from proxy.upstream.transport import READ_ONLY, UNAVAILABLE
from services.dialects import ollama_request
from services.dialects.gathering import TOO_LONG, Gathering
from services.dialects.ollama import OllamaLines, OllamaObject, empty_object, stopped_answer
from services.http import edge
from services.http.client import HttpResponse, TransportError
from services.wire.events import ApiError, Failed, Finished
from services.wire.request import Asked, ModelRequest


class ModelPages(Protocol):
    """What may be read of models: one model server's own pages, or those of several together."""

    async def read(self, name: str) -> HttpResponse:
        """Return one of :data:`READ_ONLY`; raises TransportError."""

    async def show(self, model: str) -> HttpResponse:
        """Return what is known of one model; raises TransportError."""


_NOW: Final = partial(datetime.now, UTC)


class OllamaRoutes:
    """Answers in Ollama's two shapes, and what may be read of the model server, passed through."""

    def __init__(self, settings: ProxySettings, models: ModelPages, responder: StreamResponder) -> None:
        self._allowed = settings.allow_fields
        self._models = models
        self._responder = responder

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve Ollama's routes of PROTOCOL.md's table."""
        router.add_get("/", self.greet)
        router.add_post("/api/generate", self.generate)
        router.add_post("/api/chat", self.chat)
        for name, path in READ_ONLY.items():
            router.add_get(path, self._reader_of(name))
        router.add_post("/api/show", self.show)

    async def greet(self, _request: web.Request) -> web.StreamResponse:
        """GET /, HEAD /: clients probe an Ollama so."""
        return web.Response(text="Sluice is running")

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """POST /api/generate: lines, one object, or frames if ``Accept`` prefers them."""
        return await self._answer(request, partial(ollama_request.generate, allowed=self._allowed))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat: likewise."""
        return await self._answer(request, partial(ollama_request.chat, allowed=self._allowed))

    async def show(self, request: web.Request) -> web.StreamResponse:
        """POST /api/show: its body is rebuilt, not forwarded."""
        raw = await edge.read_body(request, limit_bytes=BODY_BYTES, patience_s=BODY_S)
        model = ollama_request.shown_model(raw)
        return await self._passed(self._models.show(model), model)

    async def _answer(self, request: web.Request, parse: Parse[ModelRequest]) -> web.StreamResponse:
        accepted = time.monotonic()
        asked = await self._responder.read_request(request, parse)
        if wants_frames(request):
            return await self._responder.answer_sse(request, asked, accepted)
        if (order := asked.wishes.order) is not None:
            return await self._obeyed(asked.request, order)
        if asked.wishes.stream is False:
            return await self._whole(request, asked, accepted)
        return await self._lines(request, asked, accepted)

    async def _lines(self, request: web.Request, asked: Asked[ModelRequest], accepted: float) -> web.StreamResponse:
        """Answer line by line; the headers leave with the first one, so that a failure before it keeps its status."""
        responder = self._responder

        def lines(stream: Stream) -> OllamaLines:
            return OllamaLines(asked.request.kind, stream.model, _NOW)

        with responder.open_stream(request, asked, lines, accepted) as (stream, follower):
            await responder.answered(stream, follower.dialect)
            if (stopped := stopped_answer(stream.log.end)) is not None:
                return edge.response_of(stopped)
            return await responder.serve(request, stream, follower)

    async def _whole(self, request: web.Request, asked: Asked[ModelRequest], accepted: float) -> web.StreamResponse:
        """Answer by one object at the end: gathered as it comes, with a bound."""
        gathering = Gathering()
        with self._responder.open_stream(request, asked, lambda _: gathering, accepted) as (stream, follower):
            await follower.follow(_GatheringSink(stream, gathering), None)
            if isinstance(stream.log.end, Failed):
                raise refused_by(stream)
            assert isinstance(stream.log.end, Finished)
            whole = OllamaObject(asked.request.kind, stream.model, _NOW).whole(gathering.events, stream.log.end)
            response = edge.response_of(whole)
            response.headers["X-Stream-Id"] = stream.id
            return response

    async def _obeyed(self, request: ModelRequest, order: str) -> web.StreamResponse:
        """Answer an order to load or unload a model that there is, and leave the model server as it is.

        The ``ollama`` command line asks so before a chat; what is in memory is not one client's to decide.
        """
        assert request.model is not None
        await self._fetched(self._models.show(request.model), request.model)
        return edge.json_response(empty_object(request.kind, request.model, _NOW(), done_reason=order))

    def _reader_of(self, name: str) -> Handler:
        async def read(_request: web.Request) -> web.StreamResponse:
            return await self._passed(self._models.read(name))

        return read

    async def _passed(self, asking: Awaitable[HttpResponse], model: str | None = None) -> web.Response:
        answer = await self._fetched(asking, model)
        return web.Response(body=answer.body, headers={"Content-Type": "application/json; charset=utf-8"})

    @staticmethod
    async def _fetched(asking: Awaitable[HttpResponse], model: str | None) -> HttpResponse:
        try:
            answer = await asking
        except TransportError as exc:
            raise ApiError(UNAVAILABLE) from exc
        if (refusal := ollama_refusal.of_passed(answer.status, answer.headers, answer.body, model)) is not None:
            raise refused(refusal.failed, refusal.wait_s)
        return answer


class _GatheringSink:
    """Where the frames of a whole answer go: nowhere, since a dialect keeps its events on the way, up to a bound."""

    paused = False

    def __init__(self, stream: Stream, gathering: Gathering) -> None:
        self._stream = stream
        self._gathering = gathering

    def write(self, _frames: bytes, _framed: bytes = b"", _last: bool = False) -> bool:
        """Fail the stream when it is too long: in the next turn, since this one is about to hand it on."""
        if self._gathering.is_too_long:
            asyncio.get_running_loop().call_soon(self._stream.fail, TOO_LONG)
        return True

    async def drain(self) -> None:
        """Never paused."""

    def abort(self) -> None:
        """Nothing was written."""
