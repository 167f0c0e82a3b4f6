"""What both servers demand of an HTTP request before it is theirs to understand; it knows no error codes.

A breach is raised as aiohttp's HTTP exception of the right status, whose ``text`` says what to do;
:func:`error_middleware` turns those, and everything else that is raised, into the JSON of whoever knows the codes.
"""

import asyncio
import contextlib
import re
import secrets
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.http.accept import MOST_CHARACTERS, preferred
from services.http.hosts import Hosts

log = structlog.get_logger()

REQUEST_ID: Final = web.RequestKey("request_id", str)
DROPPED: Final = web.RequestKey("dropped", tuple)
"""The names of what was dropped of a body, for every shape of its answer."""
_REQUEST_ID_FORM: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
PROBES: Final = frozenset({"/livez", "/readyz"})
"""Answered whatever the Host: probes send an address."""


_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
BYTES_PER_SECOND_MORE: Final = 64 << 10
"""A second more for each: slower than that no line carries a picture in a time that its owner would wait."""
OUR_FAULT: Final = "Something went wrong here. Ask the operator to read the log."

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""
Door = Callable[[web.Request], web.Response | None]
"""What a request meets before its handler: it is let in by None, answered here, or refused by an exception."""


def error_middleware(
    answer: Callable[[Exception, web.Request], Answer | None],
    by_status: Callable[[int, str], Exception],
    *,
    door: Door = lambda _request: None,
) -> Middleware:
    """Return the middleware that gives every request its id and every failure before a stream its answer.

    A door is a function and no middleware: of these each costs a coroutine around the whole answer.

    Args:
        answer: the answer to an exception; None for one that it does not know.
        by_status: the exception that a bare HTTP status and its words mean.
    """

    def answered(exc: Exception, request: web.Request, request_id: str) -> web.Response:
        if isinstance(exc, web.HTTPException):
            known = answer(by_status(exc.status, exc.text or exc.reason), request)
            assert known is not None
            return response_of(known, exc.headers)
        if (known := answer(exc, request)) is None:
            log.error("request.failed", request_id=request_id, exc_info=exc)
            known = answer(by_status(500, OUR_FAULT), request)
            assert known is not None
        return response_of(known)

    @web.middleware
    async def errors_answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = name_request(request)
        try:
            reject_malformed_request(request)
            response: web.StreamResponse | None = door(request)
            if response is None:
                response = await handler(request)
        except Exception as exc:
            if has_begun(request):
                break_off(request)
                raise asyncio.CancelledError from exc  # as if the client had left: aiohttp has nothing to write
            response = answered(exc, request, request_id)
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
        return response

    return errors_answered


def response_of(answer: Answer, given: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    """Return ``answer`` as a response, with those headers of a refusal by status (``given``) that a client needs."""
    status, headers, body = answer
    kept = {name: given[name] for name in ("Allow", "Connection") if name in given}
    response = web.Response(status=status, headers={**headers, **kept}, body=body)
    if response.headers.get("Connection") == "close":
        response.force_close()
    return response


def has_begun(request: web.BaseRequest) -> bool:
    """Whether headers of a response to ``request`` have left: from then on nothing can be answered."""
    return request.writer.output_size > 0


def break_off(request: web.BaseRequest) -> None:
    """Cut a response that has begun and fails: with a line in the log, and never with the end of a body.

    Called where the exception is handled, if there is one.
    """
    log.error("response.broken_off", request_id=request.get(REQUEST_ID), exc_info=sys.exc_info()[1])
    if request.transport is not None:
        never_end_properly(request)
        request.transport.abort()


def never_end_properly(request: web.BaseRequest) -> None:
    """Let the close that follows be a reset where a mere one is the proper end of a body: below HTTP/1.1."""
    sock = None if request.transport is None else request.transport.get_extra_info("socket")
    if request.version < (1, 1) and sock is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def strip_server_header(_request: web.Request, response: web.StreamResponse) -> None:
    """Say nothing of what serves: for ``on_response_prepare``."""
    response.headers.popall("Server", None)


def note_dropped(request: web.Request, dropped: Sequence[str]) -> None:
    """Note which fields of a body were dropped, of a closed list; a line at debug says so."""
    if dropped:
        request[DROPPED] = tuple(dropped)
        log.debug("request.fields_dropped", request_id=request[REQUEST_ID], fields=list(dropped))


async def name_dropped(request: web.Request, response: web.StreamResponse) -> None:
    """Say which fields were dropped, whatever the answer is: for ``on_response_prepare``."""
    if dropped := request.get(DROPPED):
        response.headers["Sluice-Dropped"] = ", ".join(dropped)


def name_request(request: web.Request) -> str:
    """Give the request its id: the client's if it has the form of one, else a new one. A label, never a key."""
    given = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = given if _REQUEST_ID_FORM.fullmatch(given) else secrets.token_hex(8)
    return request[REQUEST_ID]


def reject_malformed_request(request: web.Request) -> None:
    """Refuse what a smuggler sends and a browser never does.

    Raises:
        web.HTTPBadRequest: a bare HTTP/0.9 line, or an absolute-form target, whose host would override ``Host``.
        web.HTTPUnsupportedMediaType: a Content-Encoding: a compressed body is a bomb's wrapper.
    """
    close = {"Connection": "close"}  # what stands behind it is not answered either
    if request.version < (1, 0):
        raise web.HTTPBadRequest(text="HTTP/1.0 or 1.1 is spoken here.", headers=close)
    if not request.raw_path.startswith("/"):
        raise web.HTTPBadRequest(text="Send the path alone as the request target.", headers=close)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType(text="Send the body without a Content-Encoding.")


def refuse_host(request: web.Request, hosts: Hosts) -> None:
    """Refuse a ``Host`` that is none of ``hosts`` (DNS rebinding), but not a probe's.

    Raises:
        web.HTTPMisdirectedRequest: it is not ours.
    """
    if request.path not in PROBES and not hosts.answer(request.headers.get("Host", "")):
        raise web.HTTPMisdirectedRequest(text="This host name is not served here.")


def preferred_type(request: web.Request, offered: tuple[str, ...]) -> str:
    """Return the media type on offer that the request's ``Accept`` prefers; the first at equal preference."""
    accept = ",".join(request.headers.getall("Accept", ()))
    return preferred(accept[:MOST_CHARACTERS], offered)


def body_time_s(patience_s: float, came_bytes: int) -> float:
    """Return how long a body may take of which so much came: a large picture on a slow line is not cut, a drip is."""
    return patience_s + came_bytes // BYTES_PER_SECOND_MORE


async def read_body(
    request: web.Request,
    *,
    limit_bytes: int,
    patience_s: float,
    came: Callable[[int], None] = lambda _size: None,
) -> bytes:
    """Read the whole body, bounded in bytes and time: while bytes are unread a leaving client is not seen.

    Args:
        patience_s: how long a body may take, and one second more for each 64 KiB of it that came.
        came: is told the size of each piece before it is kept; what it raises ends the reading.

    Raises:
        web.HTTPRequestEntityTooLarge: it is longer than ``limit_bytes``.
        web.HTTPRequestTimeout: it came too slowly.
        web.HTTPBadRequest: it broke off, or is not framed as HTTP.
    """
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    began = asyncio.get_running_loop().time()
    try:
        if request.content.is_eof():  # all of it came with the headers, as nearly every body: nothing to wait for
            whole = request.content.read_nowait()
            _refuse_longer(whole, limit_bytes)
            came(len(whole))
            return whole
        async with asyncio.timeout(patience_s) as limit:
            while piece := await request.content.readany():
                came(len(piece))
                body += piece
                _refuse_longer(body, limit_bytes)
                limit.reschedule(began + body_time_s(patience_s, len(body)))
    except TimeoutError as exc:
        words = f"The body came too slowly: it has {patience_s:g} s, and one more for each 64 KiB that came."
        raise web.HTTPRequestTimeout(text=words) from exc
    except web.RequestPayloadError as exc:
        close = {"Connection": "close"}  # where the body ends, and what stands behind it, nobody can say
        raise web.HTTPBadRequest(text="The body broke off or is not framed as HTTP.", headers=close) from exc
    return bytes(body)


async def read_json(
    request: web.Request, *, limit_bytes: int, patience_s: float, came: Callable[[int], None] = lambda _size: None
) -> bytes:
    """Read a body that has to be said to be JSON, as :func:`read_body` does.

    Raises:
        web.HTTPUnsupportedMediaType: it is not.
    """
    said = request.headers.get("Content-Type", "")  # aiohttp's ``content_type`` keeps 800 bytes of parameters
    if said.partition(";")[0].strip().lower() != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send the body with Content-Type: application/json.")
    return await read_body(request, limit_bytes=limit_bytes, patience_s=patience_s, came=came)


def _refuse_longer(body: bytes | bytearray, limit_bytes: int) -> None:
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)


def _too_large(limit_bytes: int) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(limit_bytes, text=f"The body may have {limit_bytes} bytes.")


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return ``value`` as a JSON answer, its text as UTF-8."""
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return web.Response(body=orjson.dumps(value), status=status, headers={**content_type, **(headers or {})})
