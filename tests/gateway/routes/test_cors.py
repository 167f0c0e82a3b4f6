import pytest
from aiohttp import web

from gateway.errors import answer
from gateway.routes.cors import allow_origins
from services.http import edge
from services.wire.bare_status import refused_by_status
from tests.http.served import asked, served

PAGE = "http://localhost:3000"
FOREIGN = [
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://evil.example",
    "http://LOCALHOST:3000",
    "http://localhost:3000/",
    "http://xlocalhost:3000",
    "null",
    "*",
    "",
]


async def answered(method: str, origin: str | None, path: str = "/") -> tuple[int, dict[str, str]]:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    errors = edge.error_middleware(answer, refused_by_status, door=allow_origins(app, [PAGE]))
    (sign,) = app.on_response_prepare
    line = "" if origin is None else f"Origin: {origin}\n"
    async with served(lambda router: router.add_get("/", page), errors, on_prepare=sign) as address:
        status, headers, _ = await asked(address, f"{method} {path} HTTP/1.1\nHost: localhost\n{line}\n")
        return status, headers


async def test_the_page_s_origin_is_echoed_exactly_and_sees_the_headers_it_needs() -> None:
    """S8."""
    status, headers = await answered("GET", PAGE)

    assert status == 200
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-expose-headers"] == (
        "X-Request-Id, X-Stream-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
    )
    assert headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("origin", FOREIGN)
async def test_any_other_origin_is_answered_as_if_cors_were_unknown(origin: str, method: str) -> None:
    """T10, S8."""
    _, headers = await answered(method, origin)

    assert [name for name in headers if name.startswith("access-control")] == []
    assert headers["vary"] == "Origin"


async def test_who_names_no_origin_gets_no_cors_headers() -> None:
    status, headers = await answered("GET", None)

    assert (status, headers["vary"]) == (200, "Origin")
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/", "/nothing"])
async def test_a_preflight_is_answered_with_what_may_be_sent(path: str) -> None:
    status, headers = await answered("OPTIONS", PAGE, path)

    assert status == 204
    assert headers["access-control-allow-methods"] == "GET, POST, PATCH, DELETE, OPTIONS"
    assert set(headers["access-control-allow-headers"].split(", ")) == {
        *("Content-Type", "Authorization", "X-Api-Key", "Idempotency-Key", "Last-Event-ID", "X-Request-Id"),
        *("Traceparent", "Tracestate"),
    }
    assert headers["access-control-max-age"] == "600"
