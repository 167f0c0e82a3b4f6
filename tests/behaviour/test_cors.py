"""Which pages may read our answers: an exact list, on every kind of answer (S8 of docs/faults.md)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.behaviour.refusals import asking
from tests.chain import Chain
from tests.reader import Answer, Client

ALLOWED: Final = frozenset({"http://localhost:3000", "http://127.0.0.1:3000"})
OTHERS: Final = (
    *("https://localhost:3000", "http://localhost", "http://localhost:3001", "http://localhost:30000", "null", "*"),
    *("http://LOCALHOST:3000", "HTTP://localhost:3000", "http://localhost:3000/", "http://localhost:03000"),
    *("http://localhost:3000.evil.example", "http://evil-localhost:3000", "http://127.0.0.1.evil.example:3000"),
    *("http://localhost@evil.example:3000", "http://[::1]:3000", "http://0.0.0.0:3000", "http://evil.example"),
    "http://localhost:3000, http://evil.example",
)
ORIGINS: Final = (*sorted(ALLOWED), *OTHERS)
GOOD: Final = asking("sim:tokens=2")
HOST: Final = {"Host": "rebound.example"}


@dataclass(frozen=True)
class Actual:
    """A request that a page can make, and the status it gets."""

    status: int
    path: str = "/api/generate/stream"
    method: str = "POST"
    body: object = None
    headers: Mapping[str, str] | None = None


ACTUAL: Final = {
    "a stream": Actual(200, body=GOOD),
    "an error inside a stream": Actual(200, body=asking("sim:tokens=9,fault=error,at=3")),
    "a list": Actual(200, "/api/models", "GET"),
    "health": Actual(200, "/health", "GET"),
    "a bad body": Actual(400, body={}),
    "an unknown path": Actual(404, "/nowhere", "GET"),
    "an unknown model": Actual(404, body=asking("nobody")),
    "a wrong method": Actual(405, method="PUT"),
    "a stream that is not held": Actual(410, f"/api/chat/stream/abcd.{'A' * 26}", "GET"),
    "a wrong type": Actual(415, body=GOOD, headers={"Content-Type": "text/plain"}),
    "a wrong host": Actual(421, body=GOOD, headers=HOST),
    "a failed model server": Actual(502, body=asking("sim:fault=error,at=0")),
    "a busy model server": Actual(503, body=asking("sim:status=503,retry_after=60")),
}


async def ask(client: Client, actual: Actual, origin: str) -> Answer:
    headers = {**(actual.headers or {}), "Origin": origin}
    async with client.open(actual.method, actual.path, actual.body, headers) as reading:
        return await reading.until_end()


def listed(answer: Answer, name: str) -> set[str]:
    """A header that is a list, as a set of lower-case names."""
    return {part.strip().lower() for part in answer.headers.get(name, "").split(",")}


def allowed_origins(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers.items() if name.lower() == "access-control-allow-origin"]


def cors_headers(answer: Answer) -> set[str]:
    return {name.lower() for name in answer.headers if name.lower().startswith("access-control-")}


@pytest.mark.parametrize("what", ACTUAL)
async def test_an_answer_can_be_read_by_the_listed_origins_alone(what: str, client: Client) -> None:
    """S8: errors and streams too, or a page could not tell its user what went wrong."""
    answers = await asyncio.gather(*(ask(client, ACTUAL[what], origin) for origin in ORIGINS))
    readable = {origin for origin, answer in zip(ORIGINS, answers, strict=True) if cors_headers(answer)}

    assert len(ORIGINS) == 20
    assert {answer.status for answer in answers} == {ACTUAL[what].status}
    assert readable == ALLOWED
    assert all("origin" in listed(answer, "Vary") for answer in answers)
    for origin, answer in zip(ORIGINS[:2], answers[:2], strict=True):
        assert allowed_origins(answer) == [origin]
        exposed = {"x-request-id", "x-stream-id", "retry-after"}
        exposed |= {f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset")}
        assert listed(answer, "Access-Control-Expose-Headers") == exposed
        assert "access-control-allow-credentials" not in cors_headers(answer)


async def test_a_preflight_is_granted_to_the_listed_origins_alone(client: Client) -> None:
    """S8: the browser asks before it sends JSON; without the headers it never sends it."""
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = Actual(204, "/api/chat/stream", "OPTIONS", headers=wish)
    answers = await asyncio.gather(*(ask(client, preflight, origin) for origin in ORIGINS))
    granted = {origin for origin, answer in zip(ORIGINS, answers, strict=True) if cors_headers(answer)}

    assert granted == ALLOWED
    assert all("origin" in listed(answer, "Vary") for answer in answers)
    for origin, answer in zip(ORIGINS[:2], answers[:2], strict=True):
        assert 200 <= answer.status < 300
        assert allowed_origins(answer) == [origin]
        assert listed(answer, "Access-Control-Allow-Methods") >= {"get", "post"}
        assert listed(answer, "Access-Control-Allow-Headers") == {
            *("content-type", "authorization", "idempotency-key", "last-event-id", "x-request-id"),
            *("x-api-key", "traceparent", "tracestate"),
        }
        assert "access-control-allow-credentials" not in cors_headers(answer)


async def test_a_preflight_to_a_rebound_name_is_misdirected(client: Client) -> None:
    wish = {"Access-Control-Request-Method": "POST", **HOST}
    answer = await ask(client, Actual(421, "/api/chat/stream", "OPTIONS", headers=wish), "http://localhost:3000")

    assert answer.status == 421


async def test_who_is_no_browser_gets_no_cors_headers_and_the_same_answer(client: Client) -> None:
    answer = await client.ask("/api/generate/stream", GOOD)

    assert answer.reason == "stop"
    assert cors_headers(answer) == set()
    assert "origin" in listed(answer, "Vary")


async def test_the_list_of_origins_is_the_operators(chain: Chain) -> None:
    gateway = chain.another_gateway(CORS_ORIGINS="https://chat.example")
    async with Client(gateway.url) as client:
        own = await ask(client, ACTUAL["a bad body"], "https://chat.example")
        usual = await ask(client, ACTUAL["a bad body"], ORIGINS[0])
    gateway.stop()

    assert own.headers["Access-Control-Allow-Origin"] == "https://chat.example"
    assert cors_headers(usual) == set()
