"""How a client of another maker's language is answered: the same for each of them.

Its body may be larger than a native one, its unknown fields are ignored, its model may have another name here, and it
retries by itself: a repeat ends what is left of the attempt before.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.guard.address import client_address
from gateway.guard.guard import PRINCIPAL
from gateway.languages import is_foreign
from gateway.relay.connection import ClientConnection
from gateway.relay.hop import Hop
from gateway.relay.repeats import Repeats
from gateway.routes.aliases import Aliases
from gateway.routes.body_budget import BodyBudget
from gateway.routes.catalog import Catalog
from gateway.routes.responder import RelayResponder
from gateway.settings import GatewaySettings
from services.dialects.dialect import Dialect
from services.dialects.forced_tool import ForcedTool
from services.dialects.foreign import Language, Told, Wanted
from services.http import edge
from services.wire.request import Asked, ChatRequest, ModelRequest, Wishes

log = structlog.get_logger()

WHOLE_S: Final = 290.0
"""How long a whole answer may take: clients give a silent connection up after 300 s, and would ask again."""
_RETRY_COUNT: Final = "x-stainless-retry-count"
_THINKING: Final = "thinking"


class ForeignResponder:
    """Reads what is asked in a language, and has it answered in that language."""

    def __init__(
        self, settings: GatewaySettings, responder: RelayResponder, catalog: Catalog, *, whole_s: float = WHOLE_S
    ) -> None:
        self._settings = settings
        self._responder = responder
        self._catalog = catalog
        self._repeats = Repeats()
        self._whole_s = whole_s
        self._budget = BodyBudget()
        self.aliases = Aliases((one.name, one.model) for one in settings.model_aliases)

    def answering(self, language: Language) -> Handler:
        """Return the handler of a language's route."""

        async def answer(request: web.Request) -> web.StreamResponse:
            async def work(connection: ClientConnection) -> web.StreamResponse:
                return await self._answered(request, connection, language)

            return await self._responder.connected(request, "chat", work, language.name)

        return answer

    async def body_of(self, request: web.Request) -> bytes:
        """Read the JSON body of a request.

        Raises:
            ApiError, web.HTTPException: it is not said to be JSON, is too long, or did not come in time.
        """
        with self._budget.reading() as came:
            return await self._responder.body_of(request, limit_bytes=self._settings.dialect_body_bytes, came=came)

    async def _answered(
        self, request: web.Request, connection: ClientConnection, language: Language
    ) -> web.StreamResponse:
        connection.asks = True
        raw = await self.body_of(request)
        wanted = language.parse(raw)
        connection.timeline.parsed = time.monotonic()
        edge.note_dropped(request, wanted.dropped)
        connection.chat = wanted.chat
        question = self._question(request, raw)
        del raw
        if is_repeat(request.headers.get(_RETRY_COUNT, "")):
            await self._repeats.end_earlier(question)
        with self._repeats.noted(question, connection):
            answer = self._answer(request, connection, language, wanted)
            asked: Asked[ModelRequest] = Asked(
                await self._fitting(wanted.request, connection), Wishes(on_disconnect=wanted.on_disconnect)
            )
            hop = await self._responder.started(request, connection, asked, lenient=True)
            del wanted, asked  # up to 16 MiB, which the proxy has by now, and an answer may take minutes
            return await answer(hop)

    def _answer(
        self, request: web.Request, connection: ClientConnection, language: Language, wanted: Wanted
    ) -> Callable[[Hop], Awaitable[web.StreamResponse]]:
        """Return how a hop will be answered; it holds nothing of what was said."""
        told = Told(wanted.request.model or "", int(time.time()), connection.request_id)
        tool = wanted.forced_tool

        def forced(dialect: Dialect) -> Dialect:
            return dialect if tool is None else ForcedTool(dialect, tool)

        if wanted.stream or language.whole is None:
            frames = forced(language.frames(wanted, told))
            return lambda hop: self._responder.translate(request, connection, hop, frames)
        whole = language.whole(wanted, told)
        return lambda hop: self._responder.gather(connection, hop, whole, within_s=self._whole_s, through=forced)

    async def _fitting(self, request: ChatRequest, connection: ClientConnection) -> ChatRequest:
        """Return the request as this server's models can answer it: by their names, and asked to think if they can."""
        fitting = replace(request, model=self.aliases.model(request.model or ""))
        if request.think is None or not await self._catalog.lacks(fitting.model or "", _THINKING):
            return fitting
        log.debug("request.think_dropped", request_id=connection.request_id)
        return replace(fitting, think=None)

    def _question(self, request: web.Request, raw: bytes) -> bytes:
        """Return what is the same for the same words of the same caller on the same route."""
        caller = request[PRINCIPAL].owner or client_address(
            request.remote or "", request.headers.getall("X-Forwarded-For", ()), self._settings.trusted_edges
        )
        return hashlib.sha256(b"\0".join((request.path.encode(), caller.encode(), raw))).digest()


def is_repeat(count: str) -> bool:
    """Return whether a client says that it has asked before, by how many times it says that it did."""
    return count.isascii() and count.isdigit() and count.strip("0") != ""


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Call a request's id what these clients call it, too: for ``on_response_prepare``."""
    if is_foreign(request.path) and edge.REQUEST_ID in request:
        response.headers["request-id"] = request[edge.REQUEST_ID]
