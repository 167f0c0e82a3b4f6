"""What a request says of itself by its headers: who asks, in which dialect, from which number."""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from proxy.streams.caller import Caller, Leave
from proxy.streams.log import LeftTheLog
from proxy.streams.stream import Stream
from services.dialects.dialect import Dialect
from services.dialects.ollama import NDJSON
from services.dialects.seed import SeedFrames
from services.http import edge
from services.wire.events import ApiError, Code, Failed
from services.wire.hop import ASKED_AS, Chat
from services.wire.ids import position_of
from services.wire.native import NativeFrames
from services.wire.request import idempotency_key
from services.wire.trace import trace_of

JSON: Final = "application/json"
SSE: Final = "text/event-stream"
NATIVE: Final = f"{SSE};dialect=native"
_MALFORMED: Final = Failed(Code.INVALID_REQUEST, "A Sluice header has not the form that it must have.")
ANONYMOUS: Final = "anonymous"
"""The owner of every stream until keys exist."""
_FOLLOWER: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_OWNER: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def caller_of(request: web.Request) -> Caller:
    """Return who asks; a gateway is trusted, but not with the form of its words.

    Raises:
        ApiError: a header has not the form that it must have.
        BadBody: the Idempotency-Key has not.
    """
    headers = request.headers
    follower, owner = headers.get("Sluice-Follower", ""), headers.get("Sluice-Owner", ANONYMOUS)
    leave = headers.get("Sluice-Leave")
    key = idempotency_key(headers.get("Idempotency-Key"))
    line = headers.get("Sluice-Line", owner)
    asked_as = headers.get(ASKED_AS, "")
    well_formed = (not follower or is_follower(follower)) and _OWNER.fullmatch(owner) and _OWNER.fullmatch(line)
    if asked_as and not _FINGERPRINT.fullmatch(asked_as):
        raise ApiError(_MALFORMED)
    if not well_formed or leave not in {None, Leave.CANCEL, Leave.CONTINUE}:
        raise ApiError(_MALFORMED)
    left, request_id = Leave(leave or Leave.DIRECT), request[edge.REQUEST_ID]
    chat = _chat_of(headers)
    return Caller(request_id, owner, left, follower, key or "", trace_of(headers), line, chat, asked_as)


def is_hop(request: web.Request) -> bool:
    """Whether a gateway asks, and not a client directly: it says what its client's leaving means."""
    return "Sluice-Leave" in request.headers


def is_follower(name: str) -> bool:
    """Whether ``name`` has the form of a follower's."""
    return _FOLLOWER.fullmatch(name) is not None


def _chat_of(headers: Mapping[str, str]) -> Chat | None:
    try:
        return Chat.of(headers)
    except ValueError as exc:
        raise ApiError(_MALFORMED) from exc


def dialect_of(request: web.Request, stream: Stream, *, heartbeat_s: float) -> Dialect:
    """Return the dialect that the request asks for by ``Accept``; seed if it asks for none."""
    request_id = request[edge.REQUEST_ID]
    if edge.preferred_type(request, (SSE, NATIVE)) == NATIVE:
        return NativeFrames(stream.id, request_id=request_id, heartbeat_s=heartbeat_s)
    return SeedFrames(stream.id, request_id=request_id, model=stream.model)


def wants_frames(request: web.Request) -> bool:
    """Whether frames are preferred where Ollama's shapes are ours; at equal preference the body says which of those."""
    return edge.preferred_type(request, (NDJSON, JSON, SSE, NATIVE)) in {SSE, NATIVE}


def wants_snapshot(request: web.Request) -> bool:
    """Whether JSON is preferred where frames are our first choice."""
    return edge.preferred_type(request, (SSE, NATIVE, JSON)) == JSON


def position_asked(request: web.Request, stream: Stream) -> int:
    """Return the number after which to replay.

    Raises:
        BadPosition: it is none of this stream.
        ApiError: 410, it has left the log.
    """
    position = position_of(stream.id, request.headers, request.query)
    demand_held(stream, position)
    return position


def demand_held(stream: Stream, position: int) -> None:
    """Demand that what follows ``position`` is held, so that nobody is given a gap.

    Raises:
        BadPosition: it lies ahead.
        ApiError: 410, it has left the log.
    """
    try:
        stream.log.check_position(position)
    except LeftTheLog as exc:
        raise ApiError(Failed(Code.STREAM_GONE, "This part of the answer is not held any more.")) from exc
