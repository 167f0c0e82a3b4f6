"""Health as both servers show it: alive, may take traffic, and a page for people."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from aiohttp import web

from services.http.edge import json_response
from services.runtime.version import VERSION

PERIOD_S: Final = 2.0
RETRY_S: Final = 0.5
FRESH_S: Final = 10.0
"""An upstream counts as reached for so long: one lost answer is not an outage."""

OK: Final = "ok"
REACHED_S_AGO: Final = "reached_s_ago"
"""In the pages of probes: whoever asks counts the ten seconds from the same moment, not from its own question."""


def told_s_ago(body: bytes) -> float:
    """Return how long ago the server of a ``/readyz`` or ``/health`` reached its upstream; 0 if it does not say."""
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 0.0
    told = page.get(REACHED_S_AGO) if isinstance(page, dict) else None
    return max(0.0, float(told)) if isinstance(told, int | float) else 0.0


class Reachability:
    """Whether the upstream server answers, asked every two seconds.

    Args:
        probe: asks once and returns how many seconds ago the model server is known to have answered, None if it is not
            known; bounded in time by itself.
        changed: told after each answer whether it is reachable.
    """

    def __init__(self, probe: Callable[[], Awaitable[float | None]], changed: Callable[[bool], None]) -> None:
        self._probe = probe
        self._changed = changed
        self._reached_at = -FRESH_S
        self._checked_at: float | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether it was reached in the last ten seconds."""
        return self.reached_s_ago < FRESH_S

    @property
    def reached_s_ago(self) -> float:
        """Seconds since it was last reached; at least ten if it never was."""
        return time.monotonic() - self._reached_at

    @property
    def checked_s_ago(self) -> float | None:
        """Seconds since it was last asked; None if it never was."""
        return None if self._checked_at is None else round(time.monotonic() - self._checked_at, 1)

    async def check(self) -> bool:
        """Ask once; return whether it answered."""
        asked_at = time.monotonic()
        ago_s = await self._probe()
        self._checked_at = time.monotonic()
        if ago_s is not None:
            self._reached_at = max(self._reached_at, asked_at - ago_s)
        self._changed(ago_s is not None)
        return ago_s is not None

    async def keep_checking(self) -> None:
        """Ask until cancelled; sooner again while there is no answer, so that a start is not held up."""
        while True:
            reached = await self.check()
            await asyncio.sleep(PERIOD_S if reached else RETRY_S)


ServersPage = Callable[[bool], Awaitable[Sequence[Mapping[str, Any]]]]


async def no_servers(_verbose: bool) -> Sequence[Mapping[str, Any]]:
    """Say nothing of single servers: there is but one."""
    return ()


class Health:
    """The three health routes of one server.

    Args:
        active: how many streams run.
        queued: how many wait.
        wedged: names of models that are loaded and give content to nobody.
        more: what else the page for people says.
        servers: a row for each of several upstream servers, with its ``status``; told whether all shall be looked at.
    """

    def __init__(
        self,
        service: str,
        upstream: Reachability,
        *,
        active: Callable[[], int],
        queued: Callable[[], int],
        wedged: Callable[[], Sequence[str]] = tuple,
        more: Callable[[], Mapping[str, object]] = dict,
        servers: ServersPage = no_servers,
    ) -> None:
        self._service = service
        self._servers = servers
        self._upstream = upstream
        self._active, self._queued, self._wedged, self._more = active, queued, wedged, more
        self._started_at = time.monotonic()
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether it may take traffic."""
        return not self.draining and self._upstream.is_fresh

    def add_routes(self, router: web.UrlDispatcher, *, allow_head: bool = False) -> None:
        """Serve /livez, /readyz and /health."""
        router.add_get("/livez", self._livez, allow_head=allow_head)
        router.add_get("/readyz", self._readyz, allow_head=allow_head)
        router.add_get("/health", self._health, allow_head=allow_head)

    async def _livez(self, _request: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        why = "draining" if self.draining else "ok" if self.ready else "upstream not reached"
        page = {"status": why, REACHED_S_AGO: round(self._upstream.reached_s_ago, 3)}
        return json_response(page, status=200 if self.ready else 503)

    async def _health(self, request: web.Request) -> web.Response:
        wedged = list(self._wedged())
        servers = await self._servers("verbose" in request.query)
        well = self._upstream.is_fresh and not wedged and all(row["status"] == OK for row in servers)
        word = "draining" if self.draining else OK if well else "degraded"
        page = {
            "status": word,
            "service": self._service,
            "version": VERSION,
            "uptime_s": round(time.monotonic() - self._started_at, 1),
            "active_streams": self._active(),
            "queued": self._queued(),
            "upstream": {
                "reachable": self._upstream.is_fresh,
                "checked_s_ago": self._upstream.checked_s_ago,
                **({"wedged_models": wedged} if wedged else {}),
            },
            REACHED_S_AGO: round(self._upstream.reached_s_ago, 3),
            **({"servers": servers} if servers else {}),
            **self._more(),
        }
        # 503 sends traffic elsewhere: the other models of an upstream with a wedged one still answer
        return json_response(page, status=200 if self.ready else 503)
