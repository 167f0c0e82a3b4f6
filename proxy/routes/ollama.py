"""The proxy as an Ollama: its routes in its shape, for clients made for it."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.providers import ollama_refusal
from proxy.routes.headers import NDJSON, wants_frames
from proxy.routes.responder import BODY_BYTES, BODY_S, Parse, Reception, refused, refused_by
from proxy.streams.stream import Stream
from proxy.upstream.transport import READ_ONLY, UNAVAILABLE, Transport
from services.dialects.ollama import STOPPED, OllamaLines, OllamaObject, empty_object, was_stopped
from services.http import edge
from services.http.client import HttpResponse, TransportError
from services.wire import chat, sse
from services.wire.chat import ModelRequest
from services.wire.events import Code, Failed, Finished, Refused, skipped

LINES: Final = {"Content-Type": NDJSON, **sse.UNBUFFERED}
OBJECT_BYTES: Final = 8 << 20
"""Most text of an answer in one object; a longer one has to be read line by line."""
_TOO_LONG: Final = Failed(Code.UPSTREAM_ERROR, "The answer is too long for one object. Ask for it as a stream.")


class OllamaHandlers:
    """Answers in Ollama's two shapes, and what may be read of the model server, passed through."""

    def __init__(self, transport: Transport, reception: Reception) -> None:
        self._transport = transport
        self._reception = reception

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
        return await self._answer(request, chat.proxy_generate)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat: likewise."""
        return await self._answer(request, chat.proxy_chat)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """POST /api/show: its body is rebuilt, not forwarded."""
        raw = await edge.read_body(request, limit_bytes=BODY_BYTES, patience_s=BODY_S)
        model = chat.shown_model(raw)
        return await self._passed(self._transport.show(model), model)

    async def _answer(self, request: web.Request, parse: Parse[ModelRequest]) -> web.StreamResponse:
        accepted = time.monotonic()
        asked = await self._reception.asked(request, parse)
        if wants_frames(request):
            return await self._reception.answer_sse(request, asked, accepted)
        if asked.order is not None:
            return await self._obeyed(asked, asked.order)
        if asked.stream is False:
            return await self._whole(request, asked, accepted)
        return await self._lines(request, asked, accepted)

    async def _lines(self, request: web.Request, asked: ModelRequest, accepted: float) -> web.StreamResponse:
        """Answer line by line; the headers leave with the first one, so that a failure before it keeps its status."""
        reception = self._reception

        def lines(stream: Stream) -> OllamaLines:
            return OllamaLines(asked.kind, stream.model, _ollamas_time)

        async with reception.started(request, asked, lines, accepted) as (stream, follower):
            await reception.answered(stream, stream.speaking)
            if stopped := _stopped(stream):
                return stopped
            return await reception.serve(request, stream, follower, LINES)

    async def _whole(self, request: web.Request, asked: ModelRequest, accepted: float) -> web.StreamResponse:
        """Answer by one object at the end: gathered as it comes, with a bound."""
        gathered = OllamaObject(asked.kind, asked.model or "", _ollamas_time)
        async with self._reception.started(request, asked, lambda _: gathered, accepted) as (stream, follower):
            await follower.follow(_Gathering(stream, gathered), None)
            if isinstance(stream.log.end, Failed):
                raise refused_by(stream)
            assert isinstance(stream.log.end, Finished)
            headers = {"Content-Type": "application/json; charset=utf-8", "X-Stream-Id": stream.id}
            return _stopped(stream) or web.Response(body=gathered.whole(stream.log.end), headers=headers)

    async def _obeyed(self, asked: ModelRequest, order: str) -> web.StreamResponse:
        """Answer an order to load or unload a model that there is, and leave the model server as it is.

        The ``ollama`` command line asks so before a chat; what is in memory is not one client's to decide.
        """
        assert asked.model is not None
        await self._fetched(self._transport.show(asked.model), asked.model)
        return edge.json_response(empty_object(asked.kind, asked.model, _ollamas_time(), done_reason=order))

    def _reader_of(self, name: str) -> Handler:
        async def read(_request: web.Request) -> web.StreamResponse:
            return await self._passed(self._transport.read(name))

        return read

    async def _passed(self, asking: Awaitable[HttpResponse], model: str | None = None) -> web.Response:
        answer = await self._fetched(asking, model)
        return web.Response(body=answer.body, headers={"Content-Type": "application/json; charset=utf-8"})

    @staticmethod
    async def _fetched(asking: Awaitable[HttpResponse], model: str | None) -> HttpResponse:
        try:
            answer = await asking
        except TransportError as exc:
            raise Refused(UNAVAILABLE) from exc
        if (refusal := ollama_refusal.of_passed(answer.status, answer.headers, answer.body, model)) is not None:
            raise refused(refusal.failed, refusal.wait_s)
        return answer


class _Gathering:
    """The sink of an answer that is written at its end: it takes everything, up to a bound."""

    paused = False

    def __init__(self, stream: Stream, gathered: OllamaObject) -> None:
        self._stream = stream
        self._gathered = gathered

    def write(self, _frames: bytes) -> bool:
        """Fail the stream when it is too long: in the next turn, since this one is about to hand it on."""
        if self._gathered.bytes > OBJECT_BYTES:
            asyncio.get_running_loop().call_soon(self._stream.fail, _TOO_LONG)
        return True

    async def drain(self) -> None:
        """Never paused."""

    def abort(self) -> None:
        """Nothing was written."""


def _stopped(stream: Stream) -> web.Response | None:
    """Return the answer to who asked for a stream that somebody stopped before its first word, or for it as a whole."""
    end = stream.log.end
    if not isinstance(end, Finished) or not was_stopped(end):
        return None
    said = {"error": STOPPED, **skipped(end.skipped_lines)}
    return edge.json_response(said, status=409, headers={"Sluice-Error-Code": end.reason})


def _ollamas_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
