"""The page server as browsers meet it: services/webchat/assets.py and app.py behind a real socket."""

import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from services.runtime.settings import SettingsError, read_settings
from services.webchat.app import STATIC, PageService
from services.webchat.settings import PageSettings


@pytest.fixture
async def page() -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the page server that shows bytes as they came."""
    service = PageService(read_settings(PageSettings, {}))
    async with (
        TestServer(service.app) as server,
        aiohttp.ClientSession(server.make_url("/"), auto_decompress=False) as session,
    ):
        yield session


def script_of(index: str) -> str:
    return index.split('<script type="module" src="')[1].split('"', maxsplit=1)[0]


@pytest.mark.parametrize("path", ["/", "/chat"])
async def test_the_page_is_asked_after_each_time_and_its_files_are_kept_for_ever(
    page: aiohttp.ClientSession, path: str
) -> None:
    async with page.get(path, headers={"Accept-Encoding": "identity"}) as index:
        text = await index.text()
    async with page.get(script_of(text)) as script:
        kept = script.headers["Cache-Control"]

    assert index.headers["Cache-Control"] == "no-cache"
    assert "{{version}}" not in text
    assert "immutable" in kept
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"


async def test_a_file_that_the_browser_has_is_not_sent_again(page: aiohttp.ClientSession) -> None:
    async with page.get("/") as first:
        etag = first.headers["ETag"]

    async with page.get("/", headers={"If-None-Match": f'"other", {etag}'}) as again:
        body = await again.read()

    assert (again.status, body, again.headers["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize(("accepted", "compressed"), [("br, gzip", True), ("gzip;q=0.5", True), ("gzip;q=0", False)])
async def test_text_is_compressed_for_who_takes_it(
    page: aiohttp.ClientSession, accepted: str, compressed: bool
) -> None:
    async with page.get("/", headers={"Accept-Encoding": accepted}) as answer:
        body = await answer.read()

    assert (answer.headers.get("Content-Encoding") == "gzip") is compressed
    assert b"<!doctype html>" in (gzip.decompress(body) if compressed else body)


async def test_every_answer_says_what_a_browser_may_do_with_it(page: aiohttp.ClientSession) -> None:
    for path in ("/", "/chat", "/config.json", "/nothing"):
        async with page.get(path) as answer:
            policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
            kind, referrer = answer.headers["X-Content-Type-Options"], answer.headers["Referrer-Policy"]

        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["connect-src"] == "'self' http://localhost:3001"
        assert policy["require-trusted-types-for"] == "'script'"
        assert policy["trusted-types"] == "'none'"
        assert (kind, referrer) == ("nosniff", "no-referrer")


async def test_nothing_inline_is_in_the_page(page: aiohttp.ClientSession) -> None:
    async with page.get("/", headers={"Accept-Encoding": "identity"}) as index:
        text = await index.text()

    assert "<style" not in text
    assert " style=" not in text
    assert text.count("<script") == text.count('<script type="module" src=')
    assert " on" not in text.replace(" on ", " ")


@pytest.mark.parametrize(
    "path",
    ["/static/0123456789abcdef/js/app.js", "/static/../app.py", "/libraries/marked@0.0.0/lib/marked.esm.js", "/x"],
)
async def test_what_is_not_handed_out_is_404(page: aiohttp.ClientSession, path: str) -> None:
    async with page.get(path) as answer:
        assert answer.status == 404


def config_of(environ: dict[str, str]) -> tuple[str, str]:
    service = PageService(read_settings(PageSettings, environ))
    return str(service._gateway), service._headers["Content-Security-Policy"]  # noqa: SLF001 asked without a socket


async def test_the_page_is_told_whom_to_ask_and_how_much_may_be_sent(page: aiohttp.ClientSession) -> None:
    async with page.get("/config.json") as answer:
        told = json.loads(await answer.read())

    assert told["gateway"] == "http://localhost:3001"
    assert told["body_bytes"] == 8 << 20
    assert answer.headers["Cache-Control"] == "no-store"


def test_behind_an_edge_the_page_asks_its_own_origin() -> None:
    gateway, policy = config_of({"SLUICE_WEB_GATEWAY_URL": "same-origin"})

    assert gateway == ""
    assert "connect-src 'self';" in policy


@pytest.mark.parametrize(
    "url", ["localhost:3001", "http://a/b", "http://a;script-src", "http://a'", "ftp://a", "http://u@a", "http://a b"]
)
def test_what_is_no_origin_is_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^SLUICE_WEB_GATEWAY_URL: expected http\(s\)://host\[:port\]"):
        read_settings(PageSettings, {"SLUICE_WEB_GATEWAY_URL": url})


def test_every_file_of_the_page_is_of_a_known_kind() -> None:
    kinds = {path.suffix for path in STATIC.rglob("*") if path.is_file()}

    assert kinds == {".html", ".css", ".js", ".svg"}
