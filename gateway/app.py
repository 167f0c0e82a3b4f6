"""The gateway put together: who knows whom, and its life as ``runtime.lifecycle`` tells it."""

import asyncio
import resource
import socket
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import answer
from gateway.metrics import GatewayMetrics
from gateway.relay.connection import ClientConnections
from gateway.relay.hops import Hops
from gateway.relay.upstream import Upstream
from gateway.report import ConnectionLog
from gateway.routes.beacon import add_beacon
from gateway.routes.catalog import Catalog
from gateway.routes.cors import allow_origins
from gateway.routes.native import Handlers
from gateway.routes.responder import Reception
from gateway.settings import GatewaySettings
from services.http import edge
from services.http.client import TransportError
from services.http.health import Health, Reachability, told_s_ago
from services.http.hosts import Hosts
from services.http.server import HttpPort
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.tasks import Tasks
from services.telemetry.log_metrics import LogMetrics
from services.telemetry.metrics import metrics_port
from services.wire import native
from services.wire.events import refused_by_status

log = structlog.get_logger()

KEEPALIVE_S: Final = 15.0
"""aiohttp's header time-out, too: a header that drips is closed after it."""
USER_TIMEOUT_MARGIN_S: Final = 5.0
"""The kernel's net lies below the write deadline's."""
FILES_PER_STREAM: Final = 2.5
"""A client's socket, a hop's, and half a spare for departures and pools."""
MODELS_PERIOD_S: Final = 10.0
MODELS_RETRY_S: Final = 1.0


class GatewayService:
    """The gateway, as its lifecycle sees it."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self.metrics = GatewayMetrics()
        self._tasks = Tasks()
        self._upstream = Upstream(settings.proxy_url)
        self._catalog = Catalog(self._upstream, settings.default_model)
        self.connections = ClientConnections(most_streams(settings.max_streams))
        self._reachability = Reachability(self._probe, self.metrics.upstream_up.set)
        self._health = Health(
            "gateway", self._reachability, active=lambda: len(self.connections.here), queued=lambda: 0
        )
        self.metrics.slots.set(self.connections.most)
        self.metrics.process.ready.set_function(lambda: self._health.ready)
        self.metrics.show_connections(self._upstream.connections)
        self.metrics.show_unsent(self.connections.most_unsent)
        self._hosts = Hosts(settings.hosts, own_name=socket.gethostname())
        self.app = self._make_app()

    # --- runtime.lifecycle.Service

    @cached_property
    def ports(self) -> Sequence[Port]:
        """The metrics port, and the API's."""
        user_timeout_s = self._settings.write_timeout_s + USER_TIMEOUT_MARGIN_S
        listener = Listener(self._settings.listen, KEEPALIVE_S, user_timeout_s)
        return (
            metrics_port(self.metrics.registry, self._settings.metrics_listen, native.refused_status),
            HttpPort("address", self.app, listener, native.refused_status),
        )

    def watch_log(self, writer: LogWriter) -> None:
        """Show the log's counts on the metrics port."""
        LogMetrics(writer, self.metrics.registry)

    @property
    def drain_s(self) -> float:
        """How long connections may go on after the first signal."""
        return self._settings.drain_s

    async def start(self) -> None:
        """Begin to look after the proxy, whether or not it is there."""
        self.metrics.process.start()
        self._tasks.spawn(self._reachability.keep_checking(), "reachability")
        self._tasks.spawn(self._keep_models_known(), "models")

    def begin_drain(self) -> None:
        """Refuse new streams from now on."""
        self._health.draining = True
        self.connections.begin_drain()

    async def drained(self) -> None:
        """Return when the last connection with a stream is gone."""
        await self.connections.all_gone()

    async def end_streams(self) -> None:
        """Hand over what is left."""
        self.connections.hand_over()

    async def close(self) -> None:
        """Give back what is held."""
        self.metrics.process.stop()
        await self._tasks.close()
        await self._upstream.close()

    # --- inside

    def _make_app(self) -> web.Application:
        app = web.Application()
        app.middlewares.append(self.metrics.http.counted)
        app.middlewares.append(edge.error_middleware(answer, refused_by_status))
        app.middlewares.append(self._refuse_other_hosts)
        app.middlewares.append(allow_origins(app, self._settings.cors_origins))
        self._health.add_routes(app.router)
        reception = Reception(
            self._settings,
            hops=Hops(self._upstream, self.metrics, self._tasks),
            connections=self.connections,
            catalog=self._catalog,
            metrics=self.metrics,
            report=ConnectionLog(self.metrics),
        )
        Handlers(reception, self._upstream, self._catalog).add_routes(app.router)
        add_beacon(app.router, self._settings.cors_origins, self.metrics.page_painted)
        return app

    @web.middleware
    async def _refuse_other_hosts(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        edge.refuse_host(request, self._hosts)
        return await handler(request)

    async def _probe(self) -> float | None:
        try:
            answer = await self._upstream.read("/readyz")
        except TransportError:
            return None
        return told_s_ago(answer.body) if answer.status == 200 else None

    async def _keep_models_known(self) -> None:
        """Ask which models there are, for labels; soon again while there is no answer."""
        while True:
            names = await self._catalog.names()
            if names is not None:
                self.metrics.models_listed(names)
                await self._catalog.learn()
            await asyncio.sleep(MODELS_PERIOD_S if names else MODELS_RETRY_S)


def most_streams(wished: int) -> int:
    """Return ``wished``, or what the limit of open files carries if that is less, with a warning."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or wished * FILES_PER_STREAM <= files:
        return wished
    most = max(1, int(files / FILES_PER_STREAM))
    log.warning("streams.lowered", wished=wished, most=most, open_files=files, advice="raise ulimit -n")
    return most
