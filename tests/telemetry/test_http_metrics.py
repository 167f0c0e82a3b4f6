import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client.exposition import generate_latest

from services.runtime.settings import Address
from services.telemetry.families import Families
from services.telemetry.http_metrics import HttpMetrics
from tests.eventually import soon
from tests.http.served import asked, connected, served

FAMILY = "http_server_request_duration_seconds"
CANARY = "canary-7f3a9"


class Counted:
    """A server with every kind of answer, whose requests are counted."""

    def __init__(self) -> None:
        self.families = Families()
        self.dropped = self.families.counter("dropped", "labels", ["label"])
        self.http = HttpMetrics(self.families, self.dropped)
        self.here = asyncio.Event()
        self.go_on = asyncio.Event()

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/streams/{id}", self._answer)
        router.add_get("/held", self._held)
        router.add_get("/broken", self._broken)

    @web.middleware
    async def errors_answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as exc:
            return web.Response(status=exc.status)
        except LookupError:
            return web.Response(status=500)

    def sample(self, name: str) -> float:
        lines = generate_latest(self.families.registry).decode().split("\n")
        return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])

    def count(self, method: str, route: str, status: str) -> float:
        labels = f'http_request_method="{method}",http_response_status_code="{status}",http_route="{route}"'
        return self.sample(f"{FAMILY}_count{{{labels}}}")

    def active(self, method: str) -> float:
        return self.sample(f'http_server_active_requests{{http_request_method="{method}"}}')

    async def _answer(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _held(self, _request: web.Request) -> web.Response:
        self.here.set()
        await self.go_on.wait()
        return web.Response()

    async def _broken(self, _request: web.Request) -> web.Response:
        raise LookupError


@pytest.fixture
async def counted() -> Counted:
    return Counted()


@pytest.fixture
async def address(counted: Counted) -> AsyncIterator[Address]:
    async with served(counted.routes, counted.http.counted, counted.errors_answered) as address:
        yield address


def a_request(target: str, method: str = "GET") -> str:
    return f"{method} {target} HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n"


@pytest.mark.parametrize(
    ("method", "target", "counted_as"),
    [
        ("GET", f"/streams/{CANARY}?after={CANARY}", ("GET", "/streams/{id}", "200")),
        ("GET", f"/{CANARY}", ("GET", "", "404")),
        ("POST", "/held", ("POST", "", "405")),
        ("PROPFIND", "/held", ("_OTHER", "", "405")),
        ("GET", "/broken", ("GET", "/broken", "500")),
    ],
)
async def test_a_request_is_counted_under_its_route_s_template_and_its_answer_s_status(
    counted: Counted, address: Address, method: str, target: str, counted_as: tuple[str, str, str]
) -> None:
    """S9: neither a path nor a method that a client makes up is a label."""
    status, _, _ = await asked(address, a_request(target, method))

    assert str(status) == counted_as[2]
    assert counted.count(*counted_as) == 1
    assert CANARY not in generate_latest(counted.families.registry).decode()


async def test_a_method_that_became_other_is_counted_as_dropped(counted: Counted, address: Address) -> None:
    await asked(address, a_request("/held", "PROPFIND"))
    await asked(address, a_request("/streams/1"))

    assert counted.sample('dropped_total{label="http_request_method"}') == 1


async def test_a_request_is_in_flight_until_its_last_byte(counted: Counted, address: Address) -> None:
    async with connected(address) as client:
        client.send(a_request("/held").replace("\n", "\r\n").encode())
        await counted.here.wait()
        meanwhile = counted.active("GET")
        counted.go_on.set()
        await client.answer()

    assert (meanwhile, counted.active("GET"), counted.active("POST")) == (1, 0, 0)


async def test_a_client_that_left_has_no_status_and_is_in_flight_no_more(counted: Counted, address: Address) -> None:
    async with connected(address) as client:
        client.send(a_request("/held").replace("\n", "\r\n").encode())
        await counted.here.wait()
    await soon(lambda: counted.active("GET") == 0, "it is noticed")

    assert counted.count("GET", "/held", "") == 1
