"""Which pages may ask, and what they may see: an exact list of origins, never ``*``, never ``null``."""

from collections.abc import Collection
from typing import Final

from aiohttp import web

from services.http import edge

_METHODS: Final = "GET, POST, OPTIONS"
_ALLOWED: Final = (
    "Content-Type, Authorization, X-Api-Key, Idempotency-Key, Last-Event-ID, X-Request-Id, Traceparent, Tracestate"
)
_EXPOSED: Final = "X-Request-Id, X-Stream-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
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
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

    def preflights(request: web.Request) -> web.Response | None:
        if request.method != "OPTIONS":
            return None
        response = web.Response(status=204)
        if request.headers.get("Origin") in allowed:
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = _ALLOWED
            response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_S)
        return response

    app.on_response_prepare.append(sign)
    return preflights
