"""What both servers' metrics share: the stock collectors, the label policy, loop lag, and the /metrics application."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import prometheus_client
from aiohttp import web
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from services.http.server import HttpPort, Refusal
from services.runtime.listening import Listener
from services.runtime.settings import Address
from services.runtime.tasks import Tasks
from services.telemetry.exposition import PagedRegistry
from services.telemetry.histogram import BisectChild

MAX_MODELS: Final = 20  # each costs some 420 samples once it is asked: 9,200 in all, and 20,000 may be scraped
OTHER_MODEL: Final = "_OTHER"
LAG_PERIOD_S: Final = 0.1
METRICS_KEEPALIVE_S: Final = 75.0  # above the scrape interval


def process_registry() -> PagedRegistry:
    """Return a registry of our own with the process, platform and collector statistics on it."""
    # a second series for every counter, which nobody reads
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
    registry = PagedRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class ModelLabels:
    """The values of a model label: the models that a server lists, as it spells them, at most 20, or "_OTHER".

    A model that is listed no more keeps its place, and its series what they counted, until another needs the place.

    Args:
        canonical: gives the one name of a model's many spellings.
    """

    def __init__(self, canonical: Callable[[str], str]) -> None:
        self._canonical = canonical
        self._listed: dict[str, str] = {}  # as spelled, by canonical name: the last list, without a limit
        self._labels: dict[str, str] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The values in use, but for "_OTHER"."""
        return tuple(self._labels.values())

    def update(self, names: Sequence[str], *, busy: Collection[str] = ()) -> list[str]:
        """Take in a server's list: those not known yet get a place, in their order, as long as there is one.

        Args:
            busy: labels that are in use now, and so keep their places.

        Returns:
            The labels that lost theirs: nothing may be counted under them any more.
        """
        self._listed = {self._canonical(name): name for name in names}
        gone = [one for one, label in self._labels.items() if one not in self._listed and label not in busy]
        new = [one for one in self._listed if one not in self._labels]
        lost = gone[: max(0, len(self._labels) + len(new) - MAX_MODELS)]
        freed = [self._labels.pop(one) for one in lost]
        for one in new[: MAX_MODELS - len(self._labels)]:
            self._labels[one] = self._listed[one]
        return freed

    def label(self, name: str) -> str:
        """Return the label value for a model that somebody asked for."""
        return self._labels.get(self._canonical(name), OTHER_MODEL)

    def listed_as(self, name: str) -> str:
        """Return the model's name for people: as its server lists it, "_OTHER" for one that it does not list."""
        return self._listed.get(self._canonical(name), OTHER_MODEL)


class LoopLag:
    """How much later than asked the event loop comes round: a 100 ms timer's overshoot."""

    def __init__(self, lag_s: BisectChild) -> None:
        self._lag_s = lag_s
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin measuring, in the running loop."""
        # perf_counter: uvloop's own clock is cached, in whole milliseconds
        self._due = time.perf_counter() + LAG_PERIOD_S
        self._timer = asyncio.get_running_loop().call_later(LAG_PERIOD_S, self._fired)

    def stop(self) -> None:
        """End measuring."""
        if self._timer is not None:
            self._timer.cancel()

    def _fired(self) -> None:
        self._lag_s.observe(time.perf_counter() - self._due)
        self.start()


class _Exposition:
    """GET /metrics: rendered in a thread, one rendering for all who ask meanwhile."""

    def __init__(self, registry: PagedRegistry) -> None:
        self._registry = registry
        self._tasks = Tasks()
        self._rendering: asyncio.Task[bytes] | None = None

    async def get(self, _request: web.Request) -> web.Response:
        # shielded: a scraper that leaves must not take the page from the others
        text = await asyncio.shield(self._page())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def close(self, _app: web.Application) -> None:
        await self._tasks.close()

    def _page(self) -> asyncio.Task[bytes]:
        if self._rendering is None or self._rendering.done():
            self._rendering = self._tasks.spawn(asyncio.to_thread(self._registry.page), "render-metrics")
        return self._rendering


def metrics_port(registry: PagedRegistry, address: Address, refusal: Refusal) -> HttpPort:
    """Return the port on which ``registry`` is scraped."""
    return HttpPort("metrics", metrics_app(registry), Listener(address, METRICS_KEEPALIVE_S), refusal)


def metrics_app(registry: PagedRegistry) -> web.Application:
    """Return the application of a metrics port: ``GET /metrics`` in Prometheus' text format, nothing else."""
    exposition = _Exposition(registry)
    app = web.Application()
    app.router.add_get("/metrics", exposition.get)
    app.on_cleanup.append(exposition.close)
    return app
