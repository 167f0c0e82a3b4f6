"""The proxy put together: who knows whom, and its life as ``runtime.lifecycle`` tells it."""

import asyncio
import socket
import time
from collections.abc import Coroutine, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final

from aiohttp import web

from proxy import report
from proxy.config.config import Config, ServerConfig
from proxy.errors import answer
from proxy.metrics import ProxyMetrics
from proxy.providers.kinds import PROVIDERS
from proxy.providers.ollama import OllamaAdapter
from proxy.routes.embedding import EmbeddingRoutes
from proxy.routes.ollama import ModelPages, OllamaRoutes
from proxy.routes.responder import StreamResponder
from proxy.routes.streams import StreamRoutes
from proxy.settings import ProxySettings
from proxy.streams.caller import Caller
from proxy.streams.permits import Admission
from proxy.streams.registry import Begun, Streams
from proxy.streams.stream import Stream
from proxy.tools.tool import Tool
from proxy.tools.toolbox import NoTools, Toolbox, tool_servers
from proxy.upstream.all_models import AllModels
from proxy.upstream.catalog import Catalog
from proxy.upstream.condition import Condition
from proxy.upstream.config_file import config_of
from proxy.upstream.deadlines import Deadlines
from proxy.upstream.dialling import endpoint_of
from proxy.upstream.key_checks import KeyChecks, rows_of
from proxy.upstream.keys import ServerKey
from proxy.upstream.models import InstalledModels, Loaded
from proxy.upstream.producer import Producer
from proxy.upstream.progress import Progress
from proxy.upstream.server import ModelServer
from proxy.upstream.servers import Permits, Servers
from proxy.upstream.tool_turns import offered, turns_of
from proxy.upstream.transport import Transport
from proxy.upstream.walk import Walk, let_in
from proxy.upstream.warming import Warming
from proxy.upstream.wedge import FLOOR_S
from proxy.upstream.wedge_watch import WedgeWatch
from services.http import edge
from services.http.dialling import Resolver
from services.http.health import no_servers
from services.http.hosts import Hosts
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.tasks import Tasks
from services.telemetry.operations import Operations
from services.wire import native
from services.wire.bare_status import refused_by_status
from services.wire.events import ApiError, Code, Failed, shutting_down
from services.wire.request import Asked, ModelRequest

KEEPALIVE_S: Final = 75.0
"""Well above the gateway's pool of 30 s, so that an idle pooled connection is never raced."""
GOODBYE_S: Final = 1.0
"""How long followers get to take the last event of a drain."""


class ProxyService:
    """The proxy, as its lifecycle sees it.

    Args:
        wedge_floor_s: how long a wait for the first content is never suspicious.
        toolbox: the tools that run here; None: those of the configuration.
    """

    def __init__(
        self, settings: ProxySettings, *, wedge_floor_s: float = FLOOR_S, toolbox: Toolbox | None = None
    ) -> None:
        self._settings = settings
        self._deadlines = Deadlines(
            first_token_s=settings.first_token_timeout_s,
            idle_s=settings.idle_timeout_s,
            total_s=settings.total_timeout_s,
        )
        config = config_of(settings)
        self.metrics = ProxyMetrics([(one.name, one.kind) for one in config.servers], config.steps())
        self._asks_cloud = config.asks_cloud
        self._tasks = Tasks()
        self._tool_servers = tool_servers(config, self.metrics)
        self.metrics.declare_tools({one.name: one.allow for one in config.tools})
        self._toolbox: Toolbox = toolbox or self._tool_servers or NoTools()
        self._resolver = Resolver()
        self._models = AllModels(self.metrics, config.named_models)
        self._servers = Servers(
            config,
            [self._make_server(one, config, wedge_floor_s) for one in config.servers],
            self.metrics,
            admission=self._admission,
        )
        self._key_checks = KeyChecks(self._servers.chained, self.metrics, self._tasks)
        one, *others = self._servers
        only = config.is_of_the_environment and not others
        self._pages: ModelPages = one.transport if only else Catalog(config, self._servers)
        self.streams = Streams(settings, self._begin, provider=config.servers[0].kind, tasks=self._tasks)
        self._operations = Operations(
            "proxy",
            self.metrics,
            probe=self._servers.probe,
            look_at_models=self._servers.look,
            active=lambda: self.streams.running,
            queued=lambda: self._servers.waiting,
            wedged=lambda: self._servers.wedged,
            more=self._more,
            servers=no_servers if config.is_of_the_environment else self._rows,
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
        self._key_checks.start()
        if self._tool_servers is not None:
            self._tool_servers.start()

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
        if self._tool_servers is not None:
            await self._tool_servers.close()
        await self._servers.close()
        self._resolver.close()

    def end_at_once(self) -> None:
        """Kill the servers of tools: they would not all end by themselves."""
        if self._tool_servers is not None:
            self._tool_servers.kill()

    # --- inside

    def _make_server(self, one: ServerConfig, config: Config, wedge_floor_s: float) -> ModelServer:
        """Make a model server: what only an Ollama can say is asked of no other."""
        transport = Transport(endpoint_of(one, self._resolver), connect_timeout_s=one.connect_timeout_s)
        language = PROVIDERS[one.kind]
        condition = Condition(
            open_s=config.breaker_open_s,
            requests_per_minute=one.requests_per_minute,
            tokens_per_day=one.tokens_per_day,
        )
        is_named = not config.is_of_the_environment
        made = partial(
            ModelServer, one, transport, language, key=ServerKey(one), is_named=is_named, condition=condition
        )
        if not one.is_ollama:
            return made(adapter=language.adapter)
        wedges = WedgeWatch(
            transport,
            self._tasks,
            changed=partial(self._models.wedged, one.name),
            cures=one.cure == "unload",
            floor_s=wedge_floor_s,
            condition=condition,
        )
        models = InstalledModels(transport, self._models.of(one.name), wedges.looked)

        def looked(loaded: Loaded) -> None:
            models.saw(loaded, time.monotonic())
            wedges.looked(loaded)

        return made(
            adapter=lambda question: OllamaAdapter(question, none_installed=models.none_installed),
            models=models,
            progress=Progress(transport, self._tasks, looked),
            wedges=wedges,
            warming=Warming(transport, self._tasks),
        )

    async def _rows(self, verbose: bool) -> Sequence[Mapping[str, Any]]:
        """Return the health page's rows; who asks for more words has the keys checked."""
        if verbose:
            await self._key_checks.check()
        return rows_of(list(self._servers), self._key_checks, self._servers.reached)

    def _admission(self, permits: Permits, waits: bool, wait_s: float) -> Admission:
        queue_length = self._settings.queue_length if waits else 0
        return Admission(permits=permits, queue_length=queue_length, queue_timeout_s=wait_s)

    def _begin(self, asked: Asked[ModelRequest], caller: Caller) -> Begun:
        request = asked.request
        tools = offered(request, self._toolbox, self._servers.lack_tools)
        walk = let_in(self._servers.walk(request, caller.line))
        names = None if tools is None else tuple(one.name for one in tools)
        return Begun(walk, partial(self._produce, walk, tools), names)

    def _make_app(self) -> web.Application:
        errors_answered = edge.error_middleware(answer, refused_by_status, door=self._refuse_browsers)
        app = web.Application(middlewares=[self.metrics.http.counted, errors_answered])
        self._operations.add_routes(app.router, allow_head=True)
        responder = StreamResponder(self._settings, self.streams, self.metrics)
        StreamRoutes(self._settings, self.streams, responder).add_routes(app.router)
        OllamaRoutes(self._settings, self._pages, responder).add_routes(app.router)
        EmbeddingRoutes(self._settings, self._servers, responder=responder, streams=self.streams).add_routes(app.router)
        app.on_response_prepare.append(edge.name_dropped)
        return app

    def _refuse_browsers(self, request: web.Request) -> None:
        """The proxy trusts whoever reaches it, so no page may: neither by Origin nor by a rebound name."""
        if "Origin" in request.headers:
            raise ApiError(Failed(Code.FORBIDDEN, "The proxy answers no browser. Ask the gateway."))
        if self._is_local:
            edge.refuse_host(request, self._hosts)

    def _produce(self, walk: Walk, tools: tuple[Tool, ...] | None, stream: Stream) -> Coroutine[Any, Any, None]:
        stream.label = self.metrics.stream_began(stream.model, stream.request.kind)
        report.stream_started(stream)
        producer = Producer(
            stream,
            walk,
            deadlines=self._deadlines,
            metrics=self.metrics,
            ended=self._ended,
            turns=turns_of(stream, tools, self._toolbox, spawn=self._tasks.spawn, not_run=self.metrics.tool_not_run),
        )
        return producer.run()

    def _ended(self, stream: Stream) -> None:
        self.streams.ended(stream)
        record = self.metrics.stream_ended(stream)
        report.stream_finished(stream, record, self.metrics.models.listed_as(stream.model))

    def _more(self) -> dict[str, object]:
        """Return what gateways ask a proxy's health page for: which proxy it is, how busy, and whether asking costs."""
        cloud = {"cloud": True} if self._asks_cloud else {}
        return {"instance": self._settings.instance, "streams": self._servers.asked_by_model, **cloud}

    def _waiting_in(self, line: str) -> int:
        return self._servers.waiting_by_line[line]

    def _show_gauges(self) -> None:
        """Let the scrape read what is held anyway, instead of counting it twice."""
        for server in self._servers:
            permits = server.config.permits
            self.metrics.show_permits(server.name, permits, partial(self._servers.held_by_model, server))
            self.metrics.show_connections(server.transport.connections, server.name)
        for line in self._servers.waiting_by_line:
            self.metrics.show_line(line, partial(self._waiting_in, line))
        self.metrics.log_bytes.set_function(lambda: self.streams.held_bytes)
        self.metrics.followers.set_function(lambda: self.streams.followers)
