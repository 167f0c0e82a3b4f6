"""The proxy put together: who knows whom, and its life as ``runtime.lifecycle`` tells it."""

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from functools import cached_property
from typing import Any, Final

from aiohttp import web

from proxy import report
from proxy.errors import answer
from proxy.metrics import ProxyMetrics
from proxy.providers.ollama import OllamaAdapter
from proxy.routes.embedding import EmbeddingRoutes
from proxy.routes.ollama import OllamaRoutes
from proxy.routes.responder import StreamResponder
from proxy.routes.streams import StreamRoutes
from proxy.settings import ProxySettings
from proxy.streams.permits import Admission, Place
from proxy.streams.registry import Streams
from proxy.streams.stream import Stream
from proxy.upstream.models import InstalledModels
from proxy.upstream.producer import Deadlines, Producer
from proxy.upstream.progress import Progress
from proxy.upstream.server import ModelServer, Route
from proxy.upstream.transport import Endpoint, Transport
from proxy.upstream.wedge import FLOOR_S
from proxy.upstream.wedge_watch import WedgeWatch
from services.http import edge
from services.http.client import TransportError
from services.http.hosts import Hosts
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.tasks import Tasks
from services.telemetry.operations import Operations
from services.wire import native
from services.wire.bare_status import refused_by_status
from services.wire.events import ApiError, Code, Failed, shutting_down

KEEPALIVE_S: Final = 75.0
"""Well above the gateway's pool of 30 s, so that an idle pooled connection is never raced."""
PROBE_S: Final = 1.0
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
        self._server = self._make_server(wedge_floor_s)
        self.streams = Streams(
            settings, self._server.permits, provider=self._server.provider, produce=self._produce, tasks=self._tasks
        )
        self._operations = Operations(
            "proxy",
            self.metrics,
            probe=self._probe,
            look_at_models=self._server.models.look,
            active=lambda: self.streams.running,
            queued=lambda: self._server.permits.waiting,
            wedged=lambda: self._server.wedged,
            more=self._more,
        )
        self._is_local = settings.listen.is_loopback
        self._hosts = Hosts(settings.hosts, own_name=socket.gethostname())
        self.app = self._make_app()
        self._show_gauges()

    # --- runtime.lifecycle.Service

    @cached_property
    def ports(self) -> Sequence[Port]:
        """The metrics port, and the API's."""
        listener = Listener(self._settings.listen, KEEPALIVE_S)
        return self._operations.ports(self.app, listener, self._settings.metrics_listen, native.refused_status)

    def watch_log(self, writer: LogWriter) -> None:
        """Show the log's counts on the metrics port."""
        self._operations.watch_log(writer)

    @property
    def drain_s(self) -> float:
        """How long streams may go on after the first signal."""
        return self._settings.drain_s

    async def start(self) -> None:
        """Begin to look after the model server, whether or not it is there."""
        self._operations.start()

    def begin_drain(self) -> None:
        """Refuse new streams from now on."""
        self._operations.begin_drain()
        self.streams.draining = True

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
        await self._operations.close()
        await self._tasks.close()
        await self._server.transport.close()

    # --- inside

    def _make_server(self, wedge_floor_s: float) -> ModelServer:
        """Make the one model server that there is; what of it is Ollama's is named here."""
        settings = self._settings
        transport = Transport(Endpoint(settings.ollama_url), connect_timeout_s=settings.connect_timeout_s)
        wedges = WedgeWatch(
            transport,
            self._tasks,
            changed=self.metrics.models_wedged,
            cures=settings.cure == "unload",
            floor_s=wedge_floor_s,
        )
        models = InstalledModels(transport, self.metrics, wedges.looked)
        return ModelServer(
            name=OllamaAdapter.name,
            provider=OllamaAdapter.name,
            transport=transport,
            permits=Admission(
                permits=settings.permits,
                queue_length=settings.queue_length,
                queue_timeout_s=settings.queue_timeout_s,
            ),
            adapter=lambda question: OllamaAdapter(question, none_installed=models.none_installed),
            models=models,
            progress=Progress(transport, self._tasks, wedges.looked),
            wedges=wedges,
        )

    def _route(self, _model: str) -> Route:
        """Return the servers that may be asked for a model, in order."""
        return (self._server,)

    def _make_app(self) -> web.Application:
        errors_answered = edge.error_middleware(answer, refused_by_status, door=self._refuse_browsers)
        app = web.Application(middlewares=[self.metrics.http.counted, errors_answered])
        self._operations.add_routes(app.router, allow_head=True)
        responder = StreamResponder(self._settings, self.streams, self.metrics)
        StreamRoutes(self._settings, self.streams, responder).add_routes(app.router)
        OllamaRoutes(self._settings, self._server.transport, responder).add_routes(app.router)
        EmbeddingRoutes(
            self._settings,
            self._server.transport,
            responder=responder,
            streams=self.streams,
            admission=self._server.permits,
        ).add_routes(app.router)
        app.on_response_prepare.append(edge.name_dropped)
        return app

    def _refuse_browsers(self, request: web.Request) -> None:
        """The proxy trusts whoever reaches it, so no page may: neither by Origin nor by a rebound name."""
        if "Origin" in request.headers:
            raise ApiError(Failed(Code.FORBIDDEN, "The proxy answers no browser. Ask the gateway."))
        if self._is_local:
            edge.refuse_host(request, self._hosts)

    def _produce(self, stream: Stream, place: Place) -> Coroutine[Any, Any, None]:
        settings = self._settings
        stream.label = self.metrics.stream_began(stream.model, stream.request.kind)
        report.stream_started(stream)
        producer = Producer(
            stream,
            place,
            route=self._route(stream.model),
            deadlines=Deadlines(
                queue_s=settings.queue_timeout_s,
                first_token_s=settings.first_token_timeout_s,
                idle_s=settings.idle_timeout_s,
                total_s=settings.total_timeout_s,
            ),
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
            answer = await self._server.transport.read("version", timeout_s=PROBE_S)
        except TransportError:
            return None
        return 0.0 if answer.status == 200 else None

    def _more(self) -> dict[str, object]:
        """Return what gateways ask a proxy's health page for: which proxy it is, and how busy."""
        return {"instance": self._settings.instance, "streams": self._server.permits.asked_by_model}

    def _show_gauges(self) -> None:
        """Let the scrape read what is held anyway, instead of counting it twice."""
        self.metrics.slots.set(self._settings.permits)
        self.metrics.show_permits(lambda: self._server.permits.held_by_model)
        self.metrics.queue_length.set_function(lambda: self._server.permits.waiting)
        self.metrics.log_bytes.set_function(lambda: self.streams.held_bytes)
        self.metrics.followers.set_function(lambda: self.streams.followers)
        self.metrics.show_connections(self._server.transport.connections)
