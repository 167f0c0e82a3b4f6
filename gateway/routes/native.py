"""The gateway's native routes: each reads its request, asks the proxy, and lets the tokens pass through callbacks."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from gateway.conversations.keeping import Keeping
from gateway.conversations.kept_answer import Kept
from gateway.errors import GONE, UNAVAILABLE, refused_by_proxy
from gateway.guard.guard import PRINCIPAL
from gateway.relay.connection import ClientConnection
from gateway.relay.hop import Hop
from gateway.relay.proxies import Proxies
from gateway.relay.unread import UnreadAnswers
from gateway.routes.catalog import Catalog
from gateway.routes.offered_tools import OfferedTools
from gateway.routes.responder import Parse, RelayResponder
from services.dialects.native import NativeObject
from services.http import edge
from services.http.client import TransportError
from services.wire import bodies
from services.wire.events import ApiError
from services.wire.ids import is_stream_id, position_of
from services.wire.request import Asked, ModelRequest, idempotency_key
from services.wire.server_tools import APPROVAL_BYTES, CALL_NOT_AWAITED, approval_of

T = TypeVar("T")

_CALL_ID: Final = re.compile(r"call_[0-9]{1,6}")
JSON: Final = "application/json"
SSE: Final = "text/event-stream"
_SHOWN: Final = ("model", "status", "age_s", "chunks", "bytes")
"""What a list tells of a stream where every caller is anonymous: not its id, which would be the key to it."""


class NativeRoutes:
    """What the gateway answers in its native dialect."""

    def __init__(
        self,
        responder: RelayResponder,
        proxies: Proxies,
        catalog: Catalog,
        unread: UnreadAnswers,
        tools: OfferedTools,
        *,
        keeping: Keeping | None = None,
    ) -> None:
        self._responder = responder
        self._proxies = proxies
        self._unread = unread
        self._catalog = catalog
        self._tools = tools
        self._keeping = keeping

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the table of PROTOCOL.md."""
        router.add_post("/api/chat/stream", self._starting("chat", bodies.gateway_chat))
        router.add_post("/api/generate/stream", self._starting("generate", bodies.gateway_generate))
        router.add_post("/api/chat", self.whole)
        router.add_get("/api/chat/stream/{id}", self.follow, allow_head=False)
        router.add_post("/api/chat/stream/{id}/cancel", self.cancel)
        router.add_post("/api/chat/stream/{id}/tools/{call_id}", self.approve)
        router.add_get("/api/chat/streams", self.running, allow_head=False)
        router.add_get("/api/models", self.models, allow_head=False)

    async def whole(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat: the whole answer at once."""

        async def work(connection: ClientConnection) -> web.StreamResponse:
            asked = await self._responder.read_request(request, connection, partial(bodies.gateway_chat, stream=False))
            hop = await self._responder.started(request, connection, asked)
            del asked  # as below
            return await self._responder.gather(connection, hop, NativeObject())

        return await self._responder.connected(request, "chat", work)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """GET /api/chat/stream/{id}: replay after a number, then live; as JSON, a snapshot."""
        stream_id = _stream_id(request)
        if edge.preferred_type(request, (SSE, JSON)) == JSON:
            return await self._snapshot(stream_id, request[PRINCIPAL].owner)
        position = position_of(stream_id, request.headers, request.query)

        async def work(connection: ClientConnection) -> web.StreamResponse:
            connection.stream_id = stream_id
            keeping, owner = self._keeping, connection.principal.owner
            kept = None if keeping is None else await keeping.followed(owner, stream_id, position)
            hop = await self._responder.followed(connection, position)
            if hop is None:
                connection.reason = None
                return web.Response(status=204, headers={"X-Stream-Id": stream_id})
            return await self._responder.carry(request, connection, hop, position=position, kept=kept)

        return await self._responder.connected(request, "chat", work)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat/stream/{id}/cancel: stop generation; answered when the model server's socket is closed."""
        stream_id = _stream_id(request)
        proxy, owner = self._proxies.of(stream_id), request[PRINCIPAL].owner
        answer = await _asked(proxy.stop(stream_id, request[edge.REQUEST_ID], owner))
        if answer.status not in {200, 202}:
            raise refused_by_proxy(answer.headers, answer.body)
        await self._unread.stopped(request[PRINCIPAL], stream_id)
        word = "stopped" if answer.status == 202 else "finished"
        return edge.json_response({"stream_id": stream_id, "status": word}, status=answer.status)

    async def approve(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat/stream/{id}/tools/{call_id}: a person's word about a call that waits for one."""
        stream_id, call_id = _stream_id(request), request.match_info["call_id"]
        approve = approval_of(await self._responder.body_of(request, limit_bytes=APPROVAL_BYTES))
        if not _CALL_ID.fullmatch(call_id):
            raise ApiError(CALL_NOT_AWAITED)
        proxy, owner = self._proxies.of(stream_id), request[PRINCIPAL].owner
        answer = await _asked(proxy.approve(stream_id, call_id, approve, request[edge.REQUEST_ID], owner))
        if answer.status not in {200, 202}:
            raise refused_by_proxy(answer.headers, answer.body)
        return edge.json_response({"call_id": call_id, "approve": approve}, status=answer.status)

    async def running(self, request: web.Request) -> web.StreamResponse:
        """GET /api/chat/streams: the caller's live streams; with their ids, where it is known who calls."""
        owner = request[PRINCIPAL].owner
        shown = ("id", *_SHOWN) if owner else _SHOWN
        answers = await _asked(self._proxies.read_all("/api/streams", owner))
        lists = [answer for answer in answers if answer.status == 200]
        if not lists:
            raise refused_by_proxy(answers[0].headers, answers[0].body)
        listed = [one for answer in lists for one in orjson.loads(answer.body)["streams"]]
        return edge.json_response({"streams": [{name: one[name] for name in shown} for one in listed]})

    async def models(self, request: web.Request) -> web.StreamResponse:
        """GET /api/models: what may be asked for."""
        principal = request[PRINCIPAL]
        page = await self._catalog.page(principal.key.allows)
        return edge.json_response({**page, **self._tools.page(principal)})

    def _starting(self, kind: str, parse: Parse) -> Callable[[web.Request], Any]:
        """Return the handler of a route that starts a stream and follows it."""

        async def start(request: web.Request) -> web.StreamResponse:
            async def work(connection: ClientConnection) -> web.StreamResponse:
                asked = await self._responder.read_request(request, connection, parse)
                hop, kept = await self._begun(request, connection, asked)
                del asked  # megabytes perhaps, which the proxy has by now, and an answer may take minutes
                try:
                    return await self._responder.carry(request, connection, hop, position=0, kept=kept)
                finally:
                    if kept is not None:
                        kept.left()

            return await self._responder.connected(request, kind, work)

        return start

    async def _begun(
        self, request: web.Request, connection: ClientConnection, asked: Asked[ModelRequest]
    ) -> tuple[Hop, Kept | None]:
        """Start an answer; a message of a conversation that is kept goes with what was said before it, and is kept.

        Neither the request nor that history is held by what is returned.
        """
        keeping, turn = self._keeping, None
        if keeping is not None and asked.wishes.turn is not None:
            key = idempotency_key(request.headers.get("Idempotency-Key"))
            turn = await keeping.prepare(connection.principal.owner, asked, key)
        if keeping is None or turn is None:
            return await self._responder.started(request, connection, asked), None
        longer = asked._replace(request=turn.request)
        hop = await self._responder.started(request, connection, longer, asked_as=turn.asked_as)
        return hop, keeping.keep(turn, connection, hop.headers.get("x-stream-id", ""))

    async def _snapshot(self, stream_id: str, owner: str) -> web.StreamResponse:
        answer = await _asked(self._proxies.of(stream_id).snapshot(stream_id, owner))
        if answer.status != 200:
            raise refused_by_proxy(answer.headers, answer.body)
        return web.Response(body=answer.body, content_type=JSON, charset="utf-8")


async def _asked(asking: Awaitable[T]) -> T:
    """Return what a proxy answers.

    Raises:
        ApiError: it cannot be reached.
    """
    try:
        return await asking
    except TransportError as exc:
        raise ApiError(UNAVAILABLE) from exc


def _stream_id(request: web.Request) -> str:
    """Return the stream id of the path; what is none is answered as one that is not held.

    Raises:
        ApiError: 410.
    """
    stream_id = request.match_info["id"]
    if not is_stream_id(stream_id):
        raise ApiError(GONE)
    return stream_id
