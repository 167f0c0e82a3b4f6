"""Which pages may ask, and what they may see: an exact list of origins, never ``*``, never ``null``."""

import re
from collections.abc import Collection
from typing import Final

from aiohttp import web

from gateway.languages import is_foreign
from services.http import edge

_METHODS: Final = "GET, POST, PATCH, DELETE, OPTIONS"
_ALLOWED: Final = (
    "Content-Type, Authorization, X-Api-Key, Idempotency-Key, Last-Event-ID, X-Request-Id, Traceparent, Tracestate"
)
_EXPOSED: Final = "X-Request-Id, X-Stream-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
_FOREIGN_PREFIXES: Final = ("x-stainless-", "anthropic-")
"""Of headers that clients of other languages send: which ones changes with their releases."""
_FOREIGN_EXPOSED: Final = f"{_EXPOSED}, Request-Id, Retry-After-Ms, X-Should-Retry, Sluice-Error-Code"
_MOST_NAMES: Final = 64
_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
_MAX_AGE_S: Final = 600


def allow_origins(app: web.Application, origins: Collection[str]) -> edge.Door:
    """Return the door that answers preflights; every response of ``app`` gets its CORS headers on its way out.

    Any other origin is answered as if CORS were unknown here: without its headers.
    """
    allowed = frozenset(origins)

    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            exposed = _FOREIGN_EXPOSED if is_foreign(request.path) else _EXPOSED
            response.headers["Access-Control-Expose-Headers"] = exposed

    def preflights(request: web.Request) -> web.Response | None:
        if request.method != "OPTIONS":
            return None
        response = web.Response(status=204)
        if request.headers.get("Origin") in allowed:
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = ", ".join([_ALLOWED, *_foreign_names(request)])
            response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_S)
        return response

    app.on_response_prepare.append(sign)
    return preflights


def _foreign_names(request: web.Request) -> list[str]:
    """Return those of the headers asked for that clients of other languages may send there."""
    if not is_foreign(request.path):
        return []
    asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")[:_MOST_NAMES]
    names = (name.strip() for name in asked)
    return [name for name in names if name.startswith(_FOREIGN_PREFIXES) and _NAME.fullmatch(name)]
