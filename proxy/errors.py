"""How the proxy answers a failure before a stream: in our shape on our routes, in Ollama's on Ollama's.

ApiError              a request of ours that ends before its stream: its code says the status
BadBody              what is wrong with a request's body: `invalid_request`
BadPosition          what is wrong with the place from which a stream is asked for: likewise
web.HTTPException    aiohttp's and http.edge's: its status says the code (by edge.error_middleware)
anything else        `internal`, and one line in the log (likewise)
"""

from typing import Final

from aiohttp import web

from services.dialects import ollama
from services.http import edge
from services.wire import native
from services.wire.events import ApiError, Code, Failed
from services.wire.ids import BadPosition
from services.wire.request import BadBody

_OUR_PATHS: Final = ("/api/generate/stream", "/api/chat/stream", "/api/streams", "/api/followers")
_NOT_OFFERED: Final = (
    "Not offered here. The proxy answers chat, generate, embed, embeddings, tags, ps, version and show."
)
_HEALTH_PATHS: Final = ("/health", "/livez", "/readyz")


def answer(exc: Exception, request: web.Request) -> edge.Answer | None:
    """Return status, headers and body for ``exc``; None if it is not a failure that has a name."""
    if isinstance(exc, BadBody | BadPosition):
        exc = ApiError(Failed(Code.INVALID_REQUEST, str(exc)))
    if not isinstance(exc, ApiError):
        return None
    request_id = request[edge.REQUEST_ID]
    if request.path in _HEALTH_PATHS or request.path.startswith(_OUR_PATHS):
        return native.refusal(exc, request_id)
    if exc.failed.code is Code.NOT_FOUND:
        exc = ApiError(Failed(Code.NOT_FOUND, _NOT_OFFERED))
    return ollama.refusal(exc, request_id)
