"""How the gateway answers a failure before a stream: in its path's language; a proxy's refusal is passed on as ours."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.languages import refusal_of
from services.http import edge
from services.wire.bare_status import refused_by_status
from services.wire.events import ApiError, Code, Failed
from services.wire.ids import BadPosition
from services.wire.native_events import failed_of
from services.wire.request import BadBody

UNAVAILABLE: Final = Failed(Code.UPSTREAM_UNAVAILABLE, "AI unavailable. The proxy cannot be reached; ask again later.")
DISCONNECTED: Final = Failed(Code.UPSTREAM_DISCONNECTED, "The proxy did not begin to answer. Ask again.")
GONE: Final = Failed(Code.STREAM_GONE, "This answer is not held any more. Ask again.")


def answer(exc: Exception, request: web.Request) -> edge.Answer | None:
    """Return status, headers and body for ``exc``; None if it is not a failure that has a name."""
    refused = named(exc)
    if refused is None:
        return None
    return refusal_of(request.path, request.headers)(refused, request[edge.REQUEST_ID])


def named(exc: BaseException) -> ApiError | None:
    """Return the failure that ``exc`` is, by its name in the error table; None if it has none."""
    if isinstance(exc, ApiError):
        return exc
    if isinstance(exc, BadBody | BadPosition):
        return ApiError(Failed(Code.INVALID_REQUEST, str(exc)), param=getattr(exc, "param", None))
    if isinstance(exc, web.HTTPException):
        return refused_by_status(exc.status, exc.text or exc.reason)
    return None


def refused_by_proxy(headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return what a proxy's refusal means here: the same, under our request id."""
    retry_after = headers.get("retry-after", "")
    return ApiError(
        failed_by_proxy(_error_object(body)),
        retry_after_s=int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    )


def failed_by_proxy(error: Mapping[str, Any]) -> Failed:
    """Return the failure that a proxy's ``error`` object names; one that names none is a proxy that broke off."""
    try:
        return failed_of(error)
    except (KeyError, ValueError):
        return DISCONNECTED


def _error_object(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return error if isinstance(error, dict) else {}
