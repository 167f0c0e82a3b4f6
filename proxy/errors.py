"""How the proxy answers a failure before a stream: in our shape on our routes, in Ollama's on Ollama's.

Refused              a request of ours that ends before its stream: its code says the status
BadBody              what is wrong with a request's body: `invalid_request`
web.HTTPException    aiohttp's and runtime.edge's: its status says the code (by edge.error_middleware)
anything else        `internal`, and one line in the log (likewise)
"""

from typing import Final

import orjson
from aiohttp import web

from services.http import edge
from services.wire import native
from services.wire.chat import BadBody
from services.wire.events import Code, Failed, Refused

_OUR_PATHS: Final = ("/api/generate/stream", "/api/chat/stream", "/api/streams", "/api/followers")
_NOT_OFFERED: Final = (
    "Not offered here. The proxy answers chat, generate, embed, embeddings, tags, ps, version and show."
)
_HEALTH_PATHS: Final = ("/health", "/livez", "/readyz")


def answer(exc: Exception, request: web.Request) -> edge.Answer | None:
    """Return status, headers and body for ``exc``; None if it is not a failure that has a name."""
    if isinstance(exc, BadBody):
        exc = Refused(Failed(Code.INVALID_REQUEST, str(exc)))
    in_our_shape = native.refusal(exc, request[edge.REQUEST_ID])
    if in_our_shape is None or not isinstance(exc, Refused):
        return None
    if request.path in _HEALTH_PATHS or request.path.startswith(_OUR_PATHS):
        return in_our_shape
    status, headers, _ = in_our_shape
    message = _NOT_OFFERED if exc.failed.code is Code.NOT_FOUND else exc.failed.message
    return status, {**headers, "Sluice-Error-Code": exc.failed.code}, orjson.dumps({"error": message})
