"""The operators' side of a server, over real sockets, beside an upstream server that a test lets answer or not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from services.runtime.listening import Listener
from services.runtime.settings import Address
from services.telemetry import operations as operations_module
from services.telemetry.operations import Operations
from services.telemetry.stream_metrics import StreamMetrics
from tests.eventually import soon
from tests.http.served import asked, refusal

ANYWHERE = Address("127.0.0.1", 0)


class Server:
    """A server's operations, and what its upstream server says."""

    def __init__(self, *, reached: bool, lists: list[bool] | None = None) -> None:
        self.reached, self.lists, self.looks = reached, lists or [True], 0
        metrics = StreamMetrics(
            canonical=str.lower,
            provider="ollama",
            upstream="ollama",
            stages=(),
            reasons=(),
            rejections=(),
            retries=(),
        )
        self.operations = Operations(
            "proxy", metrics, probe=self._probe, look_at_models=self._look, active=lambda: 3, queued=lambda: 2
        )
        self.addresses: dict[str, Address] = {}

    async def _probe(self) -> float | None:
        return 0.0 if self.reached else None

    async def _look(self) -> bool:
        self.looks += 1
        return self.lists[min(self.looks, len(self.lists)) - 1]

    async def page(self, path: str) -> tuple[int, str]:
        port = "metrics" if path == "/metrics" else "address"
        status, _, body = await asked(self.addresses[port], f"GET {path} HTTP/1.1\nHost: localhost\n\n")
        return status, body.decode()

    async def sample(self, name: str) -> float:
        _, text = await self.page("/metrics")
        return float(next(line for line in text.split("\n") if line.startswith(f"{name} ")).rpartition(" ")[2])


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    """Serve both ports as the lifecycle does, and end them."""
    app = web.Application()
    server.operations.add_routes(app.router)
    ports = server.operations.ports(app, Listener(ANYWHERE, 5.0), ANYWHERE, refusal)
    for port in ports:
        port.bind()
    server.operations.start()
    try:
        server.addresses = {port.name: await port.open() for port in ports}
        yield server
    finally:
        for port in ports:
            await port.close()
        await server.operations.close()


async def test_a_server_that_reaches_its_upstream_is_ready_until_it_drains() -> None:
    async with running(Server(reached=True)) as server:
        await soon(lambda: server.looks, "it has begun to look after its upstream")
        before = (await server.page("/readyz"))[0], await server.sample("llm_ready")
        server.operations.begin_drain()
        after = (await server.page("/readyz"))[0], await server.sample("llm_ready")

    assert (before, after) == ((200, 1), (503, 0))


async def test_a_server_whose_upstream_is_away_is_alive_and_not_ready() -> None:
    async with running(Server(reached=False)) as server:
        alive, ready = await server.page("/livez"), await server.page("/readyz")
        shown = [await server.sample(name) for name in ("llm_ready", 'llm_upstream_up{upstream="ollama"}')]

    assert (alive[0], ready[0], shown) == (200, 503, [0, 0])


async def test_the_page_for_people_names_the_server_and_what_it_does() -> None:
    async with running(Server(reached=True)) as server:
        page = json.loads((await server.page("/health"))[1])

    assert (page["service"], page["active_streams"], page["queued"]) == ("proxy", 3, 2)


async def test_models_are_asked_for_again_soon_until_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations_module, "MODELS_RETRY_S", 0.001)
    async with running(Server(reached=True, lists=[False, False, True])) as server:
        await soon(lambda: server.looks == 3, "it has found models")
        await server.page("/livez")

    assert server.looks == 3


async def test_what_is_closed_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations_module, "MODELS_RETRY_S", 0.001)
    async with running(Server(reached=True, lists=[False])) as server:
        await soon(lambda: server.looks > 1, "it asks again and again")
        await server.operations.close()
        looks = server.looks
        await server.page("/livez")

    assert server.looks == looks
