"""POST /api/beacon: a page tells how long a person waited from Send to the first text on the screen."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, Final

import orjson
from aiohttp import web

from services.http import edge
from services.wire.events import ApiError, Code, Failed
from services.wire.ids import is_stream_id

BODY_BYTES: Final = 1 << 10
BODY_PATIENCE_S: Final = 2.0
LONGEST_MS: Final = 300_000
STREAMS_REMEMBERED: Final = 10_000
"""A page tells of a stream once; who tells again is answered and not counted."""
A_SECOND: Final = 10
_FIELDS: Final = {"stream_id", "ttft_ms"}


class Beacons:
    """Which beacons count: one a stream of the last ten thousand, ten a second. Time is an argument, in seconds."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, None] = OrderedDict()
        self._left = float(A_SECOND)
        self._at = 0.0

    def is_first(self, stream_id: str, now: float) -> bool:
        """Return whether this is the first word of that stream.

        Raises:
            ApiError: there were too many within a second.
        """
        self._left = min(float(A_SECOND), self._left + (now - self._at) * A_SECOND)
        self._at = now
        if self._left < 1:
            raise ApiError(Failed(Code.RATE_LIMITED, "Too many beacons; this one is not counted."), retry_after_s=1)
        self._left -= 1
        if stream_id in self._told:
            return False
        self._told[stream_id] = None
        if len(self._told) > STREAMS_REMEMBERED:
            self._told.popitem(last=False)
        return True


def add_beacon(router: web.UrlDispatcher, origins: Collection[str], painted: Callable[[float], None]) -> None:
    """Serve the route.

    Args:
        origins: of pages whose word is taken.
        painted: told the seconds of each beacon that counts.
    """
    beacons, allowed = Beacons(), frozenset(origins)

    async def take(request: web.Request) -> web.Response:
        if request.headers.get("Origin") not in allowed:
            raise ApiError(Failed(Code.FORBIDDEN, "Beacons are taken from this gateway's pages."))
        body = await edge.read_json(request, limit_bytes=BODY_BYTES, patience_s=BODY_PATIENCE_S)
        stream_id, ttft_ms = parse(body)
        if beacons.is_first(stream_id, time.monotonic()):
            painted(ttft_ms / 1000)
        return web.Response(status=204)

    router.add_post("/api/beacon", take)


def parse(body: bytes) -> tuple[str, int]:
    """Return the stream's id and the milliseconds.

    Raises:
        ApiError: it is no beacon.
    """
    try:
        told: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict) and told.keys() == _FIELDS:
        stream_id, ttft_ms = told["stream_id"], told["ttft_ms"]
        is_time = isinstance(ttft_ms, int) and not isinstance(ttft_ms, bool) and 0 <= ttft_ms <= LONGEST_MS
        if isinstance(stream_id, str) and is_stream_id(stream_id) and is_time:
            return stream_id, ttft_ms
    raise ApiError(Failed(Code.INVALID_REQUEST, 'A beacon is {"stream_id","ttft_ms"}, from 0 to 300000 ms.'))
