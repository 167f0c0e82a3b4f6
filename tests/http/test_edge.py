import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from services.http import edge
from services.http.hosts import Hosts
from tests.http.served import asked, connected, served

LIMIT_BYTES = 100
BODY_S = 0.2


class Named(Exception):
    """A failure that has a name."""


def answer(exc: Exception, request: web.Request) -> edge.Answer | None:
    if isinstance(exc, Named):
        status, words = exc.args
        return status, {"X-Word": words}, json.dumps({"id": request[edge.REQUEST_ID], "words": words}).encode()
    return None


async def echo(request: web.Request) -> web.Response:
    body = await edge.read_body(request, limit_bytes=LIMIT_BYTES, patience_s=BODY_S)
    return web.json_response({"body": body.decode()})


async def fail(_request: web.Request) -> web.Response:
    raise RuntimeError("a bug")


async def refuse(_request: web.Request) -> web.Response:
    raise Named(409, "taken")


def routes(router: web.UrlDispatcher) -> None:
    router.add_post("/echo", echo)
    router.add_get("/fail", fail)
    router.add_get("/refuse", refuse)
    router.add_get("/livez", refuse)


ERRORS = edge.error_middleware(answer, Named)


async def exchanged(request: str) -> tuple[int, dict[str, str], Any]:
    async with served(routes, ERRORS) as address:
        status, headers, body = await asked(address, request)
        return status, headers, json.loads(body)


# --- ids and failures


@pytest.mark.parametrize("given", ["abcdefgh", "A-b_9" * 12, "0" * 64])
async def test_a_client_s_request_id_is_taken_if_it_has_the_form_of_one(given: str) -> None:
    _, headers, body = await exchanged(f"GET /refuse HTTP/1.1\nHost: localhost\nX-Request-Id: {given}\n\n")

    assert headers["x-request-id"] == body["id"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, "sp ace-in-it", "../../etc", "ёжёжёжёж", "a" * 8 + ";b"])
async def test_any_other_request_id_is_replaced(given: str) -> None:
    """T12: it is a label in log lines and headers."""
    _, headers, _ = await exchanged(f"GET /refuse HTTP/1.1\nHost: localhost\nX-Request-Id: {given}\n\n")

    assert headers["x-request-id"] != given
    assert len(headers["x-request-id"]) == 16


async def test_a_named_failure_is_answered_by_its_name() -> None:
    status, headers, body = await exchanged("GET /refuse HTTP/1.1\nHost: localhost\n\n")

    assert (status, headers["x-word"], body["words"]) == (409, "taken", "taken")


async def test_a_failure_without_a_name_is_500_and_one_line_and_says_nothing_of_itself() -> None:
    """S17."""
    with capture_logs() as lines:
        status, headers, body = await exchanged("GET /fail HTTP/1.1\nHost: localhost\n\n")

    assert status == 500
    assert "bug" not in json.dumps(body)
    assert [(line["event"], line["request_id"]) for line in lines] == [("request.failed", headers["x-request-id"])]


@pytest.mark.parametrize(("line", "status"), [("GET /nothing", 404), ("PUT /echo", 405)])
async def test_aiohttp_s_own_refusals_get_their_name_too(line: str, status: int) -> None:
    got, headers, body = await exchanged(f"{line} HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n")

    assert (got, body["id"]) == (status, headers["x-request-id"])
    assert headers.get("allow") == ("POST" if status == 405 else None)


# --- strange requests


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET http://evil.example/refuse HTTP/1.1\nHost: localhost\n\n", 400),
        ("POST /echo HTTP/1.1\nHost: localhost\nContent-Encoding: gzip\nContent-Length: 0\n\n", 415),
        ("POST /echo HTTP/1.1\nHost: localhost\nContent-Encoding: br\nContent-Length: 0\n\n", 415),
        ("POST /echo HTTP/1.1\nHost: localhost\nContent-Encoding: Identity\nContent-Length: 0\n\n", 200),
        ("POST /echo HTTP/1.0\nHost: localhost\nContent-Length: 0\n\n", 200),
    ],
    ids=["absolute form", "gzip", "brotli", "identity", "HTTP/1.0"],
)
async def test_what_a_smuggler_sends_and_a_browser_never_does_is_refused(request_: str, status: int) -> None:
    """T13, T14."""
    got, _, _ = await exchanged(request_)

    assert got == status


async def test_a_bare_http_0_9_line_is_refused() -> None:
    async with served(routes, ERRORS) as address, connected(address) as client:
        client.send(b"GET /refuse\r\n\r\n")
        answered = await client.rest()

    assert b" 400 " in answered.split(b"\r\n")[0]
    assert b"taken" not in answered


# --- Host

HOSTS = Hosts(["chat.example"], own_name="box-7")


@pytest.mark.parametrize(("host", "status"), [("chat.example:8443", 200), ("evil.example", 421), ("", 421)])
async def test_a_host_that_is_not_ours_is_misdirected(host: str, status: int) -> None:
    """T3: DNS rebinding; test_hosts.py has the table."""

    async def guarded(request: web.Request) -> web.Response:
        edge.refuse_host(request, HOSTS)
        return web.json_response({})

    async with served(lambda router: router.add_get("/", guarded), ERRORS) as address:
        got, _, _ = await asked(address, f"GET / HTTP/1.1\nHost: {host}\n\n")

    assert got == status


@pytest.mark.parametrize("path", sorted(edge.PROBES))
async def test_probes_are_answered_under_any_host(path: str) -> None:
    async def guarded(request: web.Request) -> web.Response:
        edge.refuse_host(request, HOSTS)
        return web.json_response({})

    async with served(lambda router: router.add_get(path, guarded), ERRORS) as address:
        got, _, _ = await asked(address, f"GET {path} HTTP/1.1\nHost: 10.1.2.3:9\n\n")

    assert got == 200


# --- bodies


def chunked(*pieces: str) -> str:
    return "".join(f"{len(piece):x}\n{piece}\n" for piece in (*pieces, ""))


@pytest.mark.parametrize("length", [0, 1, LIMIT_BYTES])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_within_its_limit_is_read_whole(length: int, framing: str) -> None:
    """M14."""
    body = "x" * length
    head, sent = (f"Content-Length: {length}", body) if framing == "length" else ("Transfer-Encoding: chunked", "")
    if framing == "chunks":
        sent = chunked(*filter(None, [body[:50], body[50:]]))
    status, _, got = await exchanged(f"POST /echo HTTP/1.1\nHost: localhost\n{head}\n\n{sent}")

    assert (status, got["body"]) == (200, body)


@pytest.mark.parametrize(
    "request_",
    [
        f"Content-Length: {LIMIT_BYTES + 1}\n\n",
        f"Content-Length: {LIMIT_BYTES + 1}\n\n{'x' * (LIMIT_BYTES + 1)}",
        "Transfer-Encoding: chunked\n\n" + chunked("x" * 60, "x" * 41),
    ],
    ids=["announced", "sent", "in chunks"],
)
async def test_a_body_one_byte_over_its_limit_is_refused(request_: str) -> None:
    """M14."""
    status, _, _ = await exchanged(f"POST /echo HTTP/1.1\nHost: localhost\n{request_}")

    assert status == 413


async def test_a_body_that_does_not_come_in_time_is_refused() -> None:
    """C7."""
    status, _, _ = await exchanged("POST /echo HTTP/1.1\nHost: localhost\nContent-Length: 10\n\nhalf")

    assert status == 408


@pytest.mark.parametrize(("came_bytes", "time_s"), [(0, 10), (65_535, 10), (65_536, 11), (1 << 20, 26), (8 << 20, 138)])
def test_a_body_has_a_second_more_for_each_64_kib_that_came(came_bytes: int, time_s: float) -> None:
    assert edge.body_time_s(10.0, came_bytes) == time_s


async def test_a_slow_upload_is_not_a_dead_one_and_a_drip_behind_it_is() -> None:
    """The time is counted from the body's begin, whatever came since."""
    took_s: list[float] = []

    async def take(request: web.Request) -> web.Response:
        began = asyncio.get_running_loop().time()
        try:
            return web.json_response(len(await edge.read_body(request, limit_bytes=1 << 20, patience_s=BODY_S)))
        finally:
            took_s.append(asyncio.get_running_loop().time() - began)

    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    async with served(lambda router: router.add_post("/", take), ERRORS) as address:
        async with connected(address) as client:
            client.send(head % 65_546 + b"x" * 65_536)
            await asyncio.sleep(BODY_S * 2)  # the slow upload: what is tested
            client.send(b"x" * 10)
            status, _, _ = await client.answer()
        async with connected(address) as client:
            client.send(head % 65_546 + b"x" * 65_536)
            refused, _, _ = await client.answer()

    assert (status, refused) == (200, 408)
    assert took_s[1] >= edge.body_time_s(BODY_S, 65_536) - 0.02


async def test_a_body_that_breaks_off_cancels_or_ends_its_handler() -> None:
    ended = asyncio.Event()

    async def echo_noted(request: web.Request) -> web.Response:
        try:
            return await echo(request)
        finally:
            ended.set()

    async with served(lambda router: router.add_post("/echo", echo_noted), ERRORS) as address:
        async with connected(address) as client:
            client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        await asyncio.wait_for(ended.wait(), 5)


async def test_nothing_names_the_software_that_serves() -> None:
    """S17."""
    async with served(routes, ERRORS) as address:
        _, headers, _ = await asked(address, "GET /refuse HTTP/1.1\nHost: localhost\n\n")

    assert "server" not in headers
