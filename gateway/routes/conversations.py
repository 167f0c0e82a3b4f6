"""Conversations that are kept: lists of them, what each is set to, its messages; where there is a database."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from gateway.guard.guard import PRINCIPAL
from gateway.routes.body_budget import BodyBudget
from gateway.routes.conversation_bodies import changed_settings, new_settings, search_of
from gateway.store.ids import is_conversation_id, is_message_id
from gateway.store.importing import VERSION, imported
from gateway.store.limits import FILE_BYTES
from gateway.store.refusals import NotFound
from gateway.store.rows import ANONYMOUS
from services.http import edge
from services.http.client import TransportError
from services.wire.events import ApiError
from services.wire.ids import is_stream_id
from services.wire.request import BadBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.relay.proxies import Proxies
    from gateway.store.conversations import Page
    from gateway.store.store import Store

BODY_BYTES: Final = 1 << 20
"""A system prompt and some numbers."""
FILES_AT_ONCE: Final = 2
PATIENCE_S: Final = 10.0
NO_STORE: Final = "This gateway keeps no conversations: its operator sets SLUICE_GATEWAY_DATABASE."


class ConversationRoutes:
    """What the gateway answers of the conversations in ``store``; None: that it keeps none."""

    def __init__(self, store: Store | None, proxies: Proxies) -> None:
        self._kept = store
        self._proxies = proxies
        self._budget = BodyBudget(FILES_AT_ONCE * FILE_BYTES)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the table of PROTOCOL.md."""
        router.add_get("/api/conversations", self.listed, allow_head=False)
        router.add_post("/api/conversations", self.create)
        router.add_get("/api/conversations/export", self.export, allow_head=False)
        router.add_post("/api/conversations/import", self.take_in)
        router.add_get("/api/conversations/{id}", self.one, allow_head=False)
        router.add_patch("/api/conversations/{id}", self.change)
        router.add_delete("/api/conversations/{id}", self.delete)
        router.add_get("/api/conversations/{id}/messages", self.messages, allow_head=False)

    async def listed(self, request: web.Request) -> web.StreamResponse:
        """GET /api/conversations: a page of one's own; with ``q``, of those in which it was said."""
        asked, before = search_of(request.query.get("q", "")), request.query.get("before")
        if asked.strip():
            page = await self._store.search.page(owner_of(request), asked, before)
        else:
            page = await self._store.conversations.page(owner_of(request), before)
        return await _shown("conversations", page)

    async def create(self, request: web.Request) -> web.StreamResponse:
        """POST /api/conversations: a new one, empty."""
        settings = new_settings(await edge.read_json(request, limit_bytes=BODY_BYTES, patience_s=PATIENCE_S))
        return edge.json_response(await self._store.conversations.create(owner_of(request), settings), status=201)

    async def one(self, request: web.Request) -> web.StreamResponse:
        """GET /api/conversations/{id}: what it is set to."""
        return edge.json_response(await self._store.conversations.one(owner_of(request), _named(request)))

    async def change(self, request: web.Request) -> web.StreamResponse:
        """PATCH /api/conversations/{id}: a title, settings, which branch is shown."""
        settings = changed_settings(await edge.read_json(request, limit_bytes=BODY_BYTES, patience_s=PATIENCE_S))
        changed = await self._store.conversations.change(owner_of(request), _named(request), settings)
        return edge.json_response(changed)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """GET /api/conversations/{id}/messages: the newest, or those before one of them."""
        before = request.query.get("before")
        if before is not None and not is_message_id(before):
            raise BadBody("before must be the id of one of its messages")
        page = await self._store.conversations.messages(owner_of(request), _named(request), before)
        return await _shown("messages", page)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """DELETE /api/conversations/{id}: its running answers are stopped, then nothing of it is left."""
        owner, name = owner_of(request), _named(request)
        running = await self._store.conversations.streaming(owner, name)
        await self._stop_all(request, running)
        begun = await self._store.conversations.delete(owner, name)
        self._store.was_deleted()
        await self._stop_all(request, [stream_id for stream_id in begun if stream_id not in running])
        return web.Response(status=204)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /api/conversations/export: all of one's own, a piece at a time, each as it can be taken in."""
        piece = await self._store.transfer.piece(owner_of(request), request.query.get("after"))
        head = {"sluice_export": VERSION, "exported_at": int(time.time() * 1000)}
        name = {"Content-Disposition": 'attachment; filename="conversations.json"'}
        said = [{**one, "messages": await _written(one["messages"])} for one in piece.conversations]
        return edge.json_response({**head, "conversations": said, "next": piece.next}, headers=name)

    async def take_in(self, request: web.Request) -> web.StreamResponse:
        """POST /api/conversations/import: what such a file has and is not there yet."""
        owner, store = owner_of(request), self._store
        with self._budget.reading() as came:  # held until it is written: a file is many times its size in rows
            raw = await edge.read_json(request, limit_bytes=FILE_BYTES, patience_s=PATIENCE_S, came=came)
            brought = await asyncio.to_thread(imported, raw, owner)
            told = await store.transfer.take_in(owner, brought)
        return edge.json_response({**asdict(told.conversations), "messages": asdict(told.messages)})

    @property
    def _store(self) -> Store:
        if self._kept is None:
            raise NotFound(NO_STORE)
        return self._kept

    async def _stop_all(self, request: web.Request, stream_ids: Iterable[str]) -> None:
        await asyncio.gather(*(self._stop(request, stream_id) for stream_id in stream_ids if is_stream_id(stream_id)))

    async def _stop(self, request: web.Request, stream_id: str) -> None:
        """Stop an answer; one that cannot be reached writes nothing either, for its row will be gone."""
        try:
            await self._proxies.of(stream_id).stop(stream_id, request[edge.REQUEST_ID], request[PRINCIPAL].owner)
        except (TransportError, ApiError):
            return


def owner_of(request: web.Request) -> str:
    """Return whose conversations are meant: the key's principal's; all who reach a gateway without keys are one."""
    return request[PRINCIPAL].owner or ANONYMOUS


def _named(request: web.Request) -> str:
    """Return the id of the path.

    Raises:
        NotFound: it is none.
    """
    name = request.match_info["id"]
    if not is_conversation_id(name):
        raise NotFound
    return name


async def _shown(what: str, page: Page) -> web.Response:
    return edge.json_response({what: await _written(page.rows), "next": page.next})


async def _written(rows: Iterable[Mapping[str, Any]]) -> list[orjson.Fragment]:
    """Return rows as JSON, made one after the other: tokens pass between two, where no thread of orjson's lets them."""
    written = []
    for row in rows:
        written.append(orjson.Fragment(orjson.dumps(row)))
        await asyncio.sleep(0)
    return written
