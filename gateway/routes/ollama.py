"""Ollama's own API at the gateway, under /ollama/: for clients made for it, in its shapes, as the proxy has it.

A client's base URL is that of the gateway with /ollama behind it. What is not offered is dropped and named in
`Sluice-Dropped`, a leaving client's answer is cancelled, and who cannot come back is told of a drain by a last line.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import UNAVAILABLE
from gateway.guard.guard import PRINCIPAL
from gateway.languages import OLLAMA
from gateway.limits.limiter import Limiter
from gateway.limits.place import note_rate
from gateway.limits.usage import Spent
from gateway.relay.connection import ClientConnection
from gateway.relay.proxies import Proxies
from gateway.routes.responder import Parse, RelayResponder
from services.dialects import ollama_request
from services.dialects.dialect import DialectName
from services.dialects.ollama import OllamaLines, OllamaObject, empty_object, stopped_answer
from services.http import edge
from services.http.client import HttpResponse, TransportError
from services.wire import body_writer
from services.wire.events import ApiError, Code, Failed
from services.wire.native import JSON_HEADERS
from services.wire.request import Asked, EmbedRequest, GenerateRequest, ModelRequest
from services.wire.trace import trace_of

_PASSED_HEADERS: Final = ("Retry-After", "Sluice-Error-Code")
_NO_OBJECT: Final = Failed(Code.UPSTREAM_ERROR, "The model server's answer cannot be read.", retryable=False)
_now: Final = partial(datetime.now, UTC)


def generate(raw: bytes) -> Asked[ModelRequest]:
    """Read the body of a text to continue, which may not leave the model's template out here.

    Raises:
        BadBody: with the first fault found.
    """
    request, wishes = ollama_request.generate(raw)
    assert isinstance(request, GenerateRequest)
    if request.raw:
        wishes = replace(wishes, dropped=tuple(sorted((*wishes.dropped, "raw"))))
    return Asked(replace(request, raw=None), wishes)


class OllamaMount:
    """What the gateway answers in Ollama's shapes."""

    def __init__(self, responder: RelayResponder, proxies: Proxies, limiter: Limiter) -> None:
        self._responder = responder
        self._proxies = proxies
        self._limiter = limiter

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve PROTOCOL.md's rows under /ollama/."""
        router.add_get(OLLAMA, self.greet)
        router.add_post("/ollama/api/generate", self._answering("generate", generate))
        router.add_post("/ollama/api/chat", self._answering("chat", ollama_request.chat))
        router.add_post("/ollama/api/embed", self._embedding("embed", ollama_request.embed))
        router.add_post("/ollama/api/embeddings", self._embedding("embeddings", ollama_request.embeddings))
        router.add_get("/ollama/api/tags", self._listing("tags"))
        router.add_get("/ollama/api/ps", self._listing("ps", _without_digests))
        router.add_get("/ollama/api/version", self.version)
        router.add_post("/ollama/api/show", self.show)

    async def greet(self, _request: web.Request) -> web.StreamResponse:
        """GET /ollama/, HEAD /ollama/: clients probe an Ollama so."""
        return web.Response(text="Sluice is running")

    async def show(self, request: web.Request) -> web.StreamResponse:
        """POST /ollama/api/show: less the model's file, which names places on the model server."""
        model = ollama_request.shown_model(await self._responder.body_of(request))
        request[PRINCIPAL].key.demand(model)
        return await self._passed(request, "show", orjson.dumps({"model": model}), model=model, less=_without_modelfile)

    def _answering(self, kind: str, parse: Parse) -> Handler:
        """Return the handler of a route that answers: lines, or one object if the body asks for no stream."""

        async def answer(request: web.Request) -> web.StreamResponse:
            async def work(connection: ClientConnection) -> web.StreamResponse:
                asked = await self._responder.read_request(request, connection, parse)
                if asked.wishes.order is not None:
                    connection.principal.key.demand(asked.request.model or "")
                    counted = await self._limiter.count(connection.principal)
                    note_rate(request, counted)
                    counted.demand()
                    connection.reason = None  # it needs no stream
                    return await self._obeyed(request, asked, asked.wishes.order)
                hop = await self._responder.started(request, connection, asked)
                model, streams = asked.request.model or "", asked.wishes.stream is not False
                del asked  # megabytes perhaps, which the proxy has by now, and an answer may take minutes
                if not streams:
                    return await self._responder.gather(connection, hop, OllamaObject(kind, model, _now))
                lines = OllamaLines(kind, model, _now)
                return await self._responder.translate(request, connection, hop, lines, unbegun=stopped_answer)

            return await self._responder.connected(request, kind, work, DialectName.OLLAMA)

        return answer

    async def _obeyed(self, request: web.Request, asked: Asked[ModelRequest], order: str) -> web.StreamResponse:
        """Answer an order to load or unload a model that there is, and leave the model server as it is."""
        kind, model = asked.request.kind, asked.request.model or ""
        shown = await self._passed(request, "show", orjson.dumps({"model": model}), model=model)
        if shown.status != 200:
            return shown
        return edge.json_response(empty_object(kind, model, _now(), done_reason=order))

    def _embedding(self, name: str, parse: Callable[[bytes], Asked[EmbedRequest]]) -> Handler:
        async def embed(request: web.Request) -> web.StreamResponse:
            asked = parse(await self._responder.body_of(request))
            request[PRINCIPAL].key.demand(asked.request.model)
            edge.note_dropped(request, asked.wishes.dropped)
            place = await self._limiter.admit(request[PRINCIPAL], 0)
            note_rate(request, place)
            place.demand()
            spent = Spent()
            try:
                body, model = body_writer.written_embedding(asked.request), asked.request.model
                response = await self._passed(request, name, body, model=model)
                spent = _embedded(response)
            finally:
                self._limiter.book(place, spent, asked.request.model)
            return response

        return embed

    def _listing(self, name: str, less: Callable[[dict[str, Any]], None] = lambda _page: None) -> Handler:
        """Return the handler of a list of models, of which a key sees those that it may ask."""

        async def list_models(request: web.Request) -> web.StreamResponse:
            allows = request[PRINCIPAL].key.allows

            def lessened(page: dict[str, Any]) -> None:
                less(page)
                models = page.get("models")
                if isinstance(models, list):
                    page["models"] = [one for one in models if isinstance(one, dict) and allows(str(one.get("name")))]

            return await self._passed(request, name, less=lessened)

        return list_models

    async def version(self, request: web.Request) -> web.StreamResponse:
        """GET /ollama/api/version: the model server's."""
        return await self._passed(request, "version")

    async def _passed(
        self,
        request: web.Request,
        name: str,
        body: bytes | None = None,
        *,
        model: str = "",
        less: Callable[[dict[str, Any]], None] | None = None,
    ) -> web.Response:
        """Pass on what the proxy answers in Ollama's shape, refusals too; ``less`` takes out what is not for people."""
        request_id, trace = request[edge.REQUEST_ID], trace_of(request.headers)
        try:
            answer = await self._proxies.ollama(
                name, body, request_id, trace, model=model, principal=request[PRINCIPAL]
            )
        except TransportError as exc:
            raise ApiError(UNAVAILABLE) from exc
        headers = {shown: answer.headers[shown.lower()] for shown in _PASSED_HEADERS if shown.lower() in answer.headers}
        told = answer.body if less is None or answer.status != 200 else _lessened(answer, less)
        return web.Response(status=answer.status, headers={**JSON_HEADERS, **headers}, body=told)


def _lessened(answer: HttpResponse, less: Callable[[dict[str, Any]], None]) -> bytes:
    try:
        page = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        page = None
    if not isinstance(page, dict):
        raise ApiError(_NO_OBJECT)
    less(page)
    return orjson.dumps(page)


def _embedded(response: web.Response) -> Spent:
    """Return the tokens of an answer of embeddings; nothing where it says none, or is a refusal."""
    assert isinstance(response.body, bytes)
    page = orjson.loads(response.body) if response.status == 200 else {}
    tokens = page.get("prompt_eval_count") if isinstance(page, dict) else None
    return Spent(input_tokens=tokens) if isinstance(tokens, int) and tokens > 0 else Spent()


def _without_modelfile(shown: dict[str, Any]) -> None:
    shown.pop("modelfile", None)


def _without_digests(page: dict[str, Any]) -> None:
    models = page.get("models")
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict):
            model.pop("digest", None)
