"""Every HTTP request on the traffic port, by method, route and status: OTel's ``http.server.*``."""

import time
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.telemetry.counter import LoopCounter
from services.telemetry.families import Families
from services.telemetry.histogram import DURATION_BUCKETS_S

METHOD: Final = "http_request_method"
ROUTE: Final = "http_route"
STATUS: Final = "http_response_status_code"
METHODS: Final = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")
OTHER_METHOD: Final = "_OTHER"


class HttpMetrics:
    """Counts requests, from their headers to the last byte of their answer.

    A route is its template, "" for what is none of ours; a status is "" where the answer broke off, or its
    client left, before the end. Their
    series begin when they are first seen: which statuses a route can have nobody lists, and each costs 23 samples.

    Args:
        dropped: counts the methods that became "_OTHER".
    """

    def __init__(self, families: Families, dropped: LoopCounter) -> None:
        self._duration = families.histogram(
            "http_server_request_duration_seconds", "all routes", DURATION_BUCKETS_S, (METHOD, ROUTE, STATUS)
        )
        active = families.gauge("http_server_active_requests", "in flight", [METHOD])
        self._active = dict.fromkeys((*METHODS, OTHER_METHOD), 0)
        for method in self._active:
            active.labels(method).set_function(partial(self._active.__getitem__, method))
        self._dropped = dropped.labels(METHOD)

    @web.middleware
    async def counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count one request: the outermost middleware, so that it sees every answer."""
        began, method, status = time.monotonic(), self._method(request), ""
        self._active[method] += 1
        try:
            response = await handler(request)
            status = str(response.status)
            return response
        finally:
            self._active[method] -= 1
            self._duration.child(method, _route(request), status).observe(time.monotonic() - began)

    def _method(self, request: web.Request) -> str:
        if request.method in self._active:
            return request.method
        self._dropped.inc()
        return OTHER_METHOD


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical
