"""How a request becomes a stream's follower and is served: the same for every route and dialect."""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Protocol, TypeVar

import structlog
from aiohttp import web

from proxy.routes.headers import caller_of, demand_held, dialect_of
from proxy.settings import ProxySettings
from proxy.streams.caller import Caller
from proxy.streams.follower import Follower
from proxy.streams.registry import Streams
from proxy.streams.stream import Stream
from services.dialects.dialect import Dialect, heartbeat_period_s
from services.http import edge
from services.http.sink import ChunkedSink, SinkWatch, open_sink
from services.wire.events import ApiError, Code, ConnectionEnd, Failed
from services.wire.hop import HOP, HOP_VERSION, OtherVersions
from services.wire.request import Asked, ModelRequest, Request, demand_content

log = structlog.get_logger()

BODY_BYTES: Final = 32 << 20
BODY_S: Final = 10.0
HOP_WRITE_TIMEOUT_S: Final = 300.0
"""A gateway may be paused for a client that still takes some: the log's size bounds it before this does."""
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e]{1,256}")


Entered = TypeVar("Entered")
Parse = Callable[[bytes], Asked[Request]]
"""Reads a body, or raises BadBody."""


class FollowerMetrics(Protocol):
    """Who counts the coming and going of followers."""

    def refused_at_the_door(self, code: Code) -> None:
        """Somebody was not let in."""

    def follower_left(self, follower: Follower) -> None:
        """A reader is gone."""


class Following:
    """A stream and one who follows it: leaving by any road, the stream's rule of leaving applies."""

    __slots__ = ("_follower", "_stream")

    def __init__(self, stream: Stream, follower: Follower) -> None:
        self._stream, self._follower = stream, follower

    def __enter__(self) -> tuple[Stream, Follower]:
        """Follow."""
        return self._stream, self._follower

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        """Leave."""
        self._stream.leave(self._follower)


class StreamResponder:
    """Lets requests in, and frames out."""

    def __init__(self, settings: ProxySettings, streams: Streams, metrics: FollowerMetrics) -> None:
        self._settings = settings
        self._streams = streams
        self._metrics = metrics
        self._other_versions = OtherVersions()

    async def read_request(self, request: web.Request, parse: Parse[Request]) -> Asked[Request]:
        """Read the body of a request for an answer, and note what is dropped of it.

        Raises:
            BadBody: it is not one.
            web.HTTPException: it is too long, or did not come in time.
        """
        raw = await edge.read_body(request, limit_bytes=BODY_BYTES, patience_s=BODY_S)
        asked = parse(raw)
        edge.note_dropped(request, asked.wishes.dropped)
        return asked

    def open_stream(
        self,
        request: web.Request,
        asked: Asked[ModelRequest],
        dialect_for: Callable[[Stream], Dialect],
        accepted: float,
    ) -> Following:
        """Start a stream with this request as its first follower.

        A request that repeats an Idempotency-Key joins the stream that has it, from its beginning.

        Args:
            accepted: when the request came, in seconds of the monotonic clock.

        Raises:
            ApiError: at the door; or the answer of its key has lost its beginning.
        """
        caller = self._caller(request)
        if (stream := self._streams.keyed(asked, caller)) is not None:
            demand_held(stream, 0)
            return self.join_stream(request, stream, dialect_for(stream), 0)
        stream = self._counted(lambda: self._streams.start(asked, caller, accepted))
        follower = self._streams.join(stream, dialect_for(stream), caller.follower, position=0, began=True)
        return Following(stream, follower)

    def join_stream(self, request: web.Request, stream: Stream, dialect: Dialect, position: int) -> Following:
        """Make this request one more follower of a stream.

        Raises:
            ApiError: there are as many as there may be.
        """
        name = self._caller(request).follower
        return Following(stream, self._counted(lambda: self._streams.join(stream, dialect, name, position=position)))

    async def answer_sse(self, request: web.Request, asked: Asked[ModelRequest], accepted: float) -> web.StreamResponse:
        """Start a stream and answer with its frames, in the dialect that the request asks for.

        Raises:
            BadBody: nothing is said, and frames have no answer to an order to load a model.
        """
        demand_content(asked.request)
        dialect = partial(dialect_of, request, heartbeat_s=self._settings.heartbeat_s)
        with self.open_stream(request, asked, dialect, accepted) as (stream, follower):
            await self.answered(stream, follower.dialect)
            return await self.serve_sse(request, stream, follower)

    async def answered(self, stream: Stream, dialect: Dialect) -> None:
        """Wait until the headers of an answer in ``dialect`` may leave.

        Raises:
            ApiError: the stream failed before, which becomes an HTTP status.
        """
        ready = stream.first_content_ready if dialect.headers_wait else stream.headers_ready
        if not await ready.reached():
            raise refused_by(stream)

    async def serve_sse(self, request: web.Request, stream: Stream, follower: Follower) -> web.StreamResponse:
        """Send the headers of an event stream, then let frames pass until the end or the client's."""
        return await self.serve(request, stream, follower, self._sse_headers(stream, follower))

    def _sse_headers(self, stream: Stream, follower: Follower) -> dict[str, str]:
        """Return what a gateway is told of a stream, beside its ids."""
        headers = {"Sluice-Heartbeat": f"{self._settings.heartbeat_s:g}"}
        if _HEADER_VALUE.fullmatch(stream.model):  # for a gateway's labels: on a resume it never saw the request
            headers["Sluice-Model"] = stream.model
        if not follower.began:  # it repeated an Idempotency-Key, or came back: another connection counts the tokens
            headers["Sluice-Joined"] = "1"
        return headers

    async def serve(
        self,
        request: web.Request,
        stream: Stream,
        follower: Follower,
        own: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Send the dialect's headers and our ``own``, then let its frames pass until the end or the client's."""
        dialect = follower.dialect
        sink = await self._opened(request, stream, follower, own or {})
        watch = SinkWatch(
            sink,
            heartbeat=dialect.heartbeat,
            heartbeat_s=heartbeat_period_s(dialect, self._settings.heartbeat_s),
            write_timeout_s=HOP_WRITE_TIMEOUT_S if follower.name else self._settings.write_timeout_s,
            owes=lambda: follower.is_behind,
            on_stuck=lambda: follower.cut(ConnectionEnd.SLOW_CLIENT),
        )
        try:
            await follower.follow(sink, stream.status)
        finally:
            watch.stop()
            self._metrics.follower_left(follower)
        return sink.response if follower.cut_as else await sink.end()

    @staticmethod
    async def _opened(request: web.Request, stream: Stream, follower: Follower, own: Mapping[str, str]) -> ChunkedSink:
        """Send the headers with the first frames; who follows for minutes holds neither."""
        ids = {"X-Stream-Id": stream.id, "X-Request-Id": request[edge.REQUEST_ID]}
        headers, first = {**follower.dialect.headers, **own, **ids}, follower.first_frames()
        return await open_sink(request, headers, first, whole=follower.leaves_whole)

    def _caller(self, request: web.Request) -> Caller:
        """Return who asks; a gateway of another version is served as far as it can be understood, and told of once."""
        caller = caller_of(request)
        if caller.follower and (version := self._other_versions.news(request.headers.get(HOP, ""))) is not None:
            log.warning("hop.other_version", gateway=version, proxy=HOP_VERSION, request_id=caller.request_id)
        return caller

    def _counted(self, entering: Callable[[], Entered]) -> Entered:
        """Let somebody in by ``entering``, and count it if they are refused at the door."""
        try:
            return entering()
        except ApiError as refused:
            self._metrics.refused_at_the_door(refused.failed.code)
            raise


def refused_by(stream: Stream) -> ApiError:
    """Return the failure of a stream as an HTTP status, with the wait that the model server asked for."""
    assert isinstance(stream.log.end, Failed)
    return refused(stream.log.end, stream.retry_after_s)


def refused(failed: Failed, wait_s: float | None) -> ApiError:
    """Return ``failed`` as an HTTP status; ``wait_s`` is how long the model server asked to wait, in seconds."""
    return ApiError(failed, retry_after_s=None if wait_s is None else math.ceil(wait_s))
