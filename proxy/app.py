"""The proxy put together: who knows whom, and its life as ``runtime.lifecycle`` tells it."""

import asyncio
import ipaddress
import socket
from collections.abc import Coroutine, Sequence
from functools import cached_property
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy import report
from proxy.errors import answer
from proxy.metrics import ProxyMetrics
from proxy.providers.ollama import OllamaAdapter
from proxy.routes.embedding import EmbedHandlers
from proxy.routes.ollama import OllamaHandlers
from proxy.routes.responder import Reception, name_dropped
from proxy.routes.streams import Handlers
from proxy.settings import ProxySettings
from proxy.streams.permits import Admission, Place
from proxy.streams.registry import Streams
from proxy.streams.stream import Stream
from proxy.upstream.producer import Deadlines, Producer
from proxy.upstream.progress import Progress
from proxy.upstream.transport import Transport
from proxy.upstream.wedge import FLOOR_S
from proxy.upstream.wedge_watch import WedgeWatch
from services.http import edge
from services.http.client import TransportError
from services.http.health import Health, Reachability
from services.http.hosts import Hosts
from services.http.server import HttpPort
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.tasks import Tasks
from services.telemetry.log_metrics import LogMetrics
from services.telemetry.metrics import metrics_port
from services.wire import native
from services.wire.events import Code, Failed, Refused, refused_by_status, shutting_down
from services.wire.model_names import canonical, listed_models

KEEPALIVE_S: Final = 75.0
"""Well above the gateway's pool of 30 s, so that an idle pooled connection is never raced."""
PROBE_S: Final = 1.0
MODELS_PERIOD_S: Final = 10.0
GOODBYE_S: Final = 1.0
"""How long followers get to take the last event of a drain."""


class ProxyService:
    """The proxy, as its lifecycle sees it.

    Args:
        wedge_floor_s: how long a wait for the first content is never suspicious.
    """

    def __init__(self, settings: ProxySettings, *, wedge_floor_s: float = FLOOR_S) -> None:
        self._settings = settings
        self.metrics = ProxyMetrics()
        self._tasks = Tasks()
        self._transport = Transport(settings.ollama_url, connect_timeout_s=settings.connect_timeout_s)
        self._wedges = WedgeWatch(
            self._transport,
            self._tasks,
            changed=self.metrics.models_wedged,
            cures=settings.cure == "unload",
            floor_s=wedge_floor_s,
        )
        self._progress = Progress(self._transport, self._tasks, self._wedges.looked)
        self._admission = Admission(
            permits=settings.permits,
            queue_length=settings.queue_length,
            queue_timeout_s=settings.queue_timeout_s,
        )
        self._reachability = Reachability(self._probe, self.metrics.upstream_up.set)
        self.streams = Streams(
            settings, self._admission, provider=OllamaAdapter.name, produce=self._produce, tasks=self._tasks
        )
        self._health = Health(
            "proxy",
            self._reachability,
            active=lambda: self.streams.running,
            queued=lambda: self._admission.waiting,
            wedged=lambda: self._wedges.names,
        )
        self._hosts = Hosts(settings.hosts, own_name=socket.gethostname())
        self._none_installed = False
        self.app = self._make_app()
        self._show_gauges()

    # --- runtime.lifecycle.Service

    @cached_property
    def ports(self) -> Sequence[Port]:
        """The metrics port, and the API's."""
        listener = Listener(self._settings.listen, KEEPALIVE_S)
        return (
            metrics_port(self.metrics.registry, self._settings.metrics_listen, native.refused_status),
            HttpPort("address", self.app, listener, native.refused_status),
        )

    def watch_log(self, writer: LogWriter) -> None:
        """Show the log's counts on the metrics port."""
        LogMetrics(writer, self.metrics.registry)

    @property
    def drain_s(self) -> float:
        """How long streams may go on after the first signal."""
        return self._settings.drain_s

    async def start(self) -> None:
        """Begin to look after the model server, whether or not it is there."""
        self.metrics.process.start()
        self._tasks.spawn(self._reachability.keep_checking(), "reachability")
        self._tasks.spawn(self._keep_models_known(), "models")

    def begin_drain(self) -> None:
        """Refuse new streams from now on."""
        self._health.draining = self.streams.draining = True

    async def drained(self) -> None:
        """Return when the last stream is gone."""
        await self.streams.idle()

    async def end_streams(self) -> None:
        """End every running log truthfully, and let followers take that."""
        goodbye = shutting_down(0.0).failed
        for stream in self.streams:
            stream.fail(goodbye)
        deadline = asyncio.get_running_loop().time() + GOODBYE_S
        # once in a process's life, for a second: an event would have to be kept true for every follower
        while self.streams.followers and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 as said above
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Give back what is held."""
        self.metrics.process.stop()
        await self._tasks.close()
        await self._transport.close()

    # --- inside

    def _make_app(self) -> web.Application:
        errors_answered = edge.error_middleware(answer, refused_by_status)
        app = web.Application(middlewares=[self.metrics.http.counted, errors_answered, self._refuse_browsers])
        self._health.add_routes(app.router, allow_head=True)
        reception = Reception(self._settings, self.streams, self.metrics)
        Handlers(self._settings, self.streams, reception).add_routes(app.router)
        OllamaHandlers(self._transport, reception).add_routes(app.router)
        EmbedHandlers(
            self._settings, self._transport, reception=reception, streams=self.streams, admission=self._admission
        ).add_routes(app.router)
        app.on_response_prepare.append(name_dropped)
        return app

    @web.middleware
    async def _refuse_browsers(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The proxy trusts whoever reaches it, so no page may: neither by Origin nor by a rebound name."""
        if "Origin" in request.headers:
            raise Refused(Failed(Code.FORBIDDEN, "The proxy answers no browser. Ask the gateway."))
        if _is_loopback(self._settings.listen.host):
            edge.refuse_host(request, self._hosts)
        return await handler(request)

    def _produce(self, stream: Stream, place: Place) -> Coroutine[Any, Any, None]:
        settings = self._settings
        stream.label = self.metrics.stream_began(stream.model, stream.request.kind)
        report.stream_started(stream)
        producer = Producer(
            stream,
            place,
            transport=self._transport,
            progress=self._progress,
            wedges=self._wedges,
            deadlines=Deadlines(
                queue_s=settings.queue_timeout_s,
                first_token_s=settings.first_token_timeout_s,
                idle_s=settings.idle_timeout_s,
                total_s=settings.total_timeout_s,
            ),
            adapter_for=lambda one: OllamaAdapter(one.request, none_installed=self._none_installed),
            metrics=self.metrics,
            ended=self._ended,
        )
        return producer.run()

    def _ended(self, stream: Stream) -> None:
        self.streams.ended(stream)
        record = self.metrics.stream_ended(stream)
        report.stream_finished(stream, record, self.metrics.models.listed_as(stream.model))

    async def _probe(self) -> float | None:
        try:
            answer = await self._transport.read("version", timeout_s=PROBE_S)
        except TransportError:
            return None
        return 0.0 if answer.status == 200 else None

    async def _keep_models_known(self) -> None:
        """Ask which models there are, for labels and gauges; soon again while there is no answer."""
        while True:
            listed = listed_models(await self._read("tags"))
            if listed is not None:
                self._none_installed = not listed
                self.metrics.models_listed([model.name for model in listed])
                loaded = listed_models(await self._read("ps"))
                if loaded is not None:  # a frozen runner makes it hang: then the gauges say what was last known
                    self.metrics.models_loaded({model.name: model.vram_bytes or 0 for model in loaded})
                    self._wedges.looked(frozenset(canonical(model.name) for model in loaded))
            await asyncio.sleep(PROBE_S if listed is None else MODELS_PERIOD_S)

    async def _read(self, what: str) -> bytes:
        try:
            return (await self._transport.read(what, timeout_s=PROBE_S)).body
        except TransportError:
            return b""

    def _show_gauges(self) -> None:
        """Let the scrape read what is held anyway, instead of counting it twice."""
        self.metrics.slots.set(self._settings.permits)
        self.metrics.process.ready.set_function(lambda: self._health.ready)
        self.metrics.queue_length.set_function(lambda: self._admission.waiting)
        self.metrics.log_bytes.set_function(lambda: self.streams.held_bytes)
        self.metrics.followers.set_function(lambda: self.streams.followers)
        self.metrics.show_connections(self._transport.connections)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
