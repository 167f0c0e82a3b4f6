"""The faults over HTTP, as sessions of 2025 are; $SEEN gets who asked. Run by whoever imports :func:`make_app`."""

import asyncio
import gzip
import json
from typing import Any, Final

from aiohttp import web

from proxy.tools.bounded_http import MESSAGE_BYTES
from tests.tool_server.faults import answer, told

TOOLS: Final = ("echo", "hang", "long", "compressed", "forget", "elsewhere")
AUTHORIZATIONS: Final = web.AppKey("authorizations", set[str | None])
CALLED: Final = web.AppKey("called", list[str])
SESSIONS: Final = web.AppKey("sessions", list[str])


def make_app() -> web.Application:
    """Return the server, which remembers who asked and for what."""
    app = web.Application(client_max_size=1 << 20)
    app[AUTHORIZATIONS], app[CALLED], app[SESSIONS] = set(), [], []
    app.router.add_post("/mcp", _post)
    app.router.add_delete("/mcp", _goodbye)
    return app


async def _post(request: web.Request) -> web.StreamResponse:
    app, message = request.app, await request.json()
    app[AUTHORIZATIONS].add(request.headers.get("Authorization"))
    session = request.headers.get("Mcp-Session-Id")
    if session is not None and session not in app[SESSIONS]:
        return web.Response(status=404)
    if "id" not in message:
        return web.Response(status=202)
    method = message["method"]
    if method == "tools/call":
        return await _call(app, message)
    reply, headers = answer(message), {}
    if method == "tools/list":
        reply = {"result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}}
    if method == "initialize":
        app[SESSIONS].append(f"s{len(app[SESSIONS])}")
        headers["Mcp-Session-Id"] = app[SESSIONS][-1]
    return _json(message, reply, headers)


async def _call(app: web.Application, message: dict[str, Any]) -> web.StreamResponse:
    name = message["params"]["name"]
    app[CALLED].append(name)
    match name:
        case "long":
            return _json(message, told("x" * MESSAGE_BYTES))
        case "compressed":
            body = gzip.compress(json.dumps({"jsonrpc": "2.0", "id": message["id"], **told("short")}).encode())
            return web.Response(body=body, content_type="application/json", headers={"Content-Encoding": "gzip"})
        case "forget":
            app[SESSIONS].clear()
            return web.Response(status=404)
        case "hang":
            await asyncio.get_running_loop().create_future()
        case "elsewhere":
            return web.Response(status=307, headers={"Location": "http://localhost:9/mcp"})
    return _json(message, answer(message))


def _json(message: dict[str, Any], reply: dict[str, Any] | None, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], **(reply or {})}, headers=headers)


async def _goodbye(_request: web.Request) -> web.Response:
    return web.Response()
