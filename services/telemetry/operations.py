"""What a server shows those who run it, and what it asks on their behalf: health routes, the metrics port, readiness.

supervisor ──▶ /livez /readyz /health ─┐
Prometheus ──▶ /metrics ───────────────┤ Operations ──▶ the next server: does it answer, which models are there?
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from services.http.health import Health, Reachability, ServersPage, no_servers
from services.http.server import HttpPort, Refusal
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.settings import Address
from services.runtime.tasks import Tasks
from services.telemetry.log_metrics import LogMetrics
from services.telemetry.metrics import metrics_port
from services.telemetry.stream_metrics import StreamMetrics

MODELS_PERIOD_S: Final = 10.0
MODELS_RETRY_S: Final = 1.0
"""After no list, or an empty one: who was told to install a model asks again as soon as it is there."""


class Operations:
    """The operators' side of a server, held beside its traffic and started and ended with it.

    Args:
        service: the server's name on its health page.
        metrics: its own, which are scraped.
        probe: asks the next server once, as :class:`~services.http.health.Reachability` says.
        look_at_models: asks once which models there are, and has them counted; returns whether there are any.
        active: how many streams run.
        queued: how many wait.
        wedged: names of models that are loaded and give content to nobody.
        more: what else its health page says.
        servers: a row for each of several servers, for the health page.
    """

    def __init__(
        self,
        service: str,
        metrics: StreamMetrics,
        *,
        probe: Callable[[], Awaitable[float | None]],
        look_at_models: Callable[[], Awaitable[bool]],
        active: Callable[[], int],
        queued: Callable[[], int],
        wedged: Callable[[], Sequence[str]] = tuple,
        more: Callable[[], Mapping[str, object]] = dict,
        servers: ServersPage = no_servers,
    ) -> None:
        self._metrics = metrics
        self._look_at_models = look_at_models
        self._tasks = Tasks()
        self._reachability = Reachability(probe, metrics.upstream_answers)
        self._health = Health(
            service,
            self._reachability,
            active=active,
            queued=queued,
            wedged=wedged,
            more=more,
            servers=servers,
        )
        metrics.process.ready.set_function(lambda: self._health.ready)

    def add_routes(self, router: web.UrlDispatcher, *, allow_head: bool = False) -> None:
        """Serve /livez, /readyz and /health."""
        self._health.add_routes(router, allow_head=allow_head)

    def ports(
        self, app: web.Application, listener: Listener, metrics_listen: Address, refusal: Refusal
    ) -> Sequence[Port]:
        """Return the metrics port, and that of the server's own ``app``: the traffic port is the last to open."""
        return (
            metrics_port(self._metrics.registry, metrics_listen, refusal),
            HttpPort("address", app, listener, refusal),
        )

    def watch_log(self, writer: LogWriter) -> None:
        """Show the log's counts on the metrics port."""
        LogMetrics(writer, self._metrics.registry)

    def start(self) -> None:
        """Begin to measure the process and to look after the next server, whether or not it is there."""
        self._metrics.process.start()
        self._tasks.spawn(self._reachability.keep_checking(), "reachability")
        self._tasks.spawn(self._keep_models_known(), "models")

    def begin_drain(self) -> None:
        """Say on the health routes that no new streams are taken."""
        self._health.draining = True

    async def close(self) -> None:
        """Ask and measure no more."""
        self._metrics.process.stop()
        await self._tasks.close()

    async def _keep_models_known(self) -> None:
        while True:
            any_listed = await self._look_at_models()
            await asyncio.sleep(MODELS_PERIOD_S if any_listed else MODELS_RETRY_S)
