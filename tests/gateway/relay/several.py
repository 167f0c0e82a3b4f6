"""Proxies that a test plays, several at a time, and a gateway's side of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from gateway.metrics import GatewayMetrics
from gateway.relay.hops import Hops
from gateway.relay.proxies import Proxies
from services.runtime.tasks import Tasks
from services.wire.events import RULES, Code
from tests.gateway.stage import proxies_at
from tests.http.served import served


class PlayedProxy:
    """What a proxy answers, and what it was asked."""

    def __init__(self, instance: str, *models: str) -> None:
        self.health: dict[str, Any] = {
            "status": "ok",
            "instance": instance,
            "upstream": {"reachable": True},
            "reached_s_ago": 1.5,
            "streams": {},
        }
        self.models = list(models)
        self.streams: list[str] = []
        self.refuses: Code | None = None
        self.asked: list[str] = []

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/health", self._health)
        for path in ("/api/tags", "/api/ps", "/api/streams", "/api/version"):
            router.add_get(path, self._page)
        router.add_post("/api/show", self._show)
        router.add_post("/api/embed", self._page)
        router.add_post("/api/chat/stream", self._stream)
        router.add_get("/api/streams/{id}", self._stream)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response(self.health)

    async def _page(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.refuses is not None:
            return web.json_response({"error": "words"}, status=RULES[self.refuses].status)
        models = [{"name": name} for name in self.models]
        return web.json_response({"models": models, "streams": [{"id": one} for one in self.streams]})

    async def _show(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        has = (await request.json())["model"] in self.models
        return web.json_response({"capabilities": self.models}, status=200 if has else 404)

    async def _stream(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.refuses is not None:
            error = {"code": self.refuses, "message": "words", "retryable": RULES[self.refuses].retryable}
            return web.json_response({"error": error}, status=RULES[self.refuses].status)
        return web.Response(headers={"Sluice-Heartbeat": "10"})


class Behind:
    """A gateway's side of these."""

    def __init__(self, proxies: Proxies, tasks: Tasks) -> None:
        self.proxies, self.tasks = proxies, tasks
        self.metrics = GatewayMetrics()
        self.hops = Hops(proxies, self.metrics, tasks)

    async def known(self) -> float | None:
        """Have it look at them and their models."""
        reached = await self.proxies.look()
        await self.proxies.listed("/api/tags")
        return reached


@asynccontextmanager
async def behind(*, nobody: tuple[str, ...] = (), **played: PlayedProxy) -> AsyncIterator[Behind]:
    """Serve these, by the names under which the gateway knows them; where ``nobody`` is said to be is nobody."""
    async with AsyncExitStack() as stack:
        ports = {name: (await stack.enter_async_context(served(one.add_routes))).port for name, one in played.items()}
        proxies, tasks = proxies_at(**ports, **dict.fromkeys(nobody, 1)), Tasks()
        try:
            yield Behind(proxies, tasks)
        finally:
            await tasks.close()
            await proxies.close()
