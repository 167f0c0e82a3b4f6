"""The page server put together: three kinds of files, what the page must know, and what a browser may do with it."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from aiohttp import web

from services.http.server import HttpPort
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.version import VERSION
from services.webchat.assets import ASK_AGAIN, FOREVER, Asset, read_folder, version_of
from services.webchat.libraries import Libraries
from services.webchat.settings import SAME_ORIGIN, PageSettings

STATIC: Final = Path(__file__).parent / "static"
INSTALLED: Final = Path(__file__).parents[2] / ".libraries"
KEEPALIVE_S: Final = 15.0
VERSION_MARK: Final = b"{{version}}"
STATIC_IMPORT: Final = re.compile(r'^(?:import|export) .*from "\./([\w-]+\.js)";$', re.MULTILINE)
MODULES_MARK: Final = b"{{modules}}"


def security_headers(gateway_origin: str) -> dict[str, str]:
    """Return what every answer says: nothing inline, no HTML from strings, nobody asked but us and the gateway."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "font-src": "'self'",
        "connect-src": f"'self' {gateway_origin}".rstrip(),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


class PageService:
    """The page server, as its lifecycle sees it: it holds nothing that must be drained."""

    drain_s = 0.0

    def __init__(self, settings: PageSettings, installed: Path = INSTALLED) -> None:
        self._settings = settings
        self._gateway = "" if settings.gateway_url == SAME_ORIGIN else settings.gateway_url
        self._headers = security_headers(self._gateway)
        self._assets = read_folder(STATIC)
        self._version = version_of(self._assets)
        self._index = _index(self._assets.pop("index.html").body, self._assets, self._version)
        self._libraries = Libraries(installed)
        self.app = self._make_app()

    @cached_property
    def ports(self) -> Sequence[Port]:
        """The page's port."""
        return (HttpPort("address", self.app, Listener(self._settings.listen, KEEPALIVE_S), _refusal),)

    def watch_log(self, _writer: LogWriter) -> None:
        """There are no metrics to show its counts in."""

    async def start(self) -> None:
        """Everything was read when it was made."""

    def begin_drain(self) -> None:
        """Nothing here outlives its request."""

    async def drained(self) -> None:
        """Return at once."""

    async def end_streams(self) -> None:
        """There are none."""

    def end_at_once(self) -> None:
        """Nothing of it outlives the process."""

    async def close(self) -> None:
        """Nothing is held."""

    def _make_app(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(self._sign)
        app.router.add_get("/", self._page)
        app.router.add_get("/chat", self._page)
        app.router.add_get("/static/{version}/{path:.+}", self._own)
        app.router.add_get("/libraries/{path:.+}", self._others)
        app.router.add_get("/config.json", self._config)
        app.router.add_get("/livez", self._livez)
        return app

    async def _sign(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if response.headers.get("Cache-Control") != FOREVER:  # a part of the page has the page's policies
            response.headers.update(self._headers)

    async def _page(self, request: web.Request) -> web.Response:
        return self._index.answer(request, ASK_AGAIN)

    async def _own(self, request: web.Request) -> web.Response:
        if request.match_info["version"] != self._version:
            raise web.HTTPNotFound
        return _file(self._assets.get(request.match_info["path"]), request)

    async def _others(self, request: web.Request) -> web.Response:
        return _file(self._libraries.asset(request.match_info["path"]), request)

    async def _config(self, _request: web.Request) -> web.Response:
        told = {
            "version": VERSION,
            "gateway": self._gateway,
            "body_bytes": self._settings.body_bytes,
            "store": self._settings.store,
            "libraries": {name: f"/libraries/{place}" for name, place in self._libraries.found.items()},
        }
        return web.json_response(told, headers={"Cache-Control": "no-store"})

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


def _index(template: bytes, assets: Mapping[str, Asset], version: str) -> Asset:
    """Return the page: it names the modules it begins with, so that a browser need not find them import by import."""
    modules = sorted(_reached("js/app.js", assets))
    links = "\n    ".join(f'<link rel="modulepreload" href="/static/{version}/{name}" />' for name in modules)
    body = template.replace(MODULES_MARK, links.encode()).replace(VERSION_MARK, version.encode())
    return Asset.of(body, "index.html")


def _reached(first: str, assets: Mapping[str, Asset]) -> set[str]:
    """Return ``first`` and every module that its imports lead to; those of ``import()`` come later, and are not."""
    found, unread = {first}, [first]
    while unread:
        script = assets[unread.pop()].body.decode()
        imported = {f"js/{name}" for name in STATIC_IMPORT.findall(script)}
        unread += imported - found
        found |= imported
    return found


def _refusal(status: int, words: str, _request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Return the answer to what no route takes, in words for people."""
    return status, {"Content-Type": "text/plain; charset=utf-8"}, f"{words}\n".encode()


def _file(asset: Asset | None, request: web.Request) -> web.Response:
    if asset is None:
        raise web.HTTPNotFound
    return asset.answer(request, FOREVER)
