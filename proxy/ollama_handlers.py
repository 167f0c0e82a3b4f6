"""The proxy as an Ollama: its routes in its shape, for clients made for it."""

from collections.abc import Awaitable

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.reception import BODY_BYTES, BODY_S
from proxy.transport import READ_ONLY, UNAVAILABLE, Transport
from services.runtime import edge
from services.runtime.http_client import Answer, CallFailed
from services.wire.events import Code, Failed, Refused


class OllamaHandlers:
    """What may be read of the model server, passed through with a bound on size and time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve Ollama's routes of PROTOCOL.md's table."""
        for name, path in READ_ONLY.items():
            router.add_get(path, self._reader_of(name), allow_head=False)
        router.add_post("/api/show", self.show)

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
