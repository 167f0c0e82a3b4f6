"""The gateway put together: who knows whom, and its life as ``runtime.lifecycle`` tells it."""

import asyncio
import resource
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web

from gateway.conversations.keeping import Keeping
from gateway.conversations.watching import Watching
from gateway.errors import answer
from gateway.guard.guard import Guard
from gateway.guard.keys import BadKeysFile
from gateway.guard.keys_files import PERIOD_S, KeysFiles
from gateway.limits.limiter import Limiter
from gateway.limits.place import tell_rate
from gateway.limits.sharing import ANSWER_S, SharedCounts
from gateway.metrics import GatewayMetrics
from gateway.relay.connection import ClientConnections
from gateway.relay.hops import Hops
from gateway.relay.proxies import Proxies
from gateway.relay.unread import UnreadAnswers
from gateway.report import ConnectionLog
from gateway.routes.access import ACCESS
from gateway.routes.ai_sdk import AiSdkRoutes
from gateway.routes.anthropic import AnthropicRoutes
from gateway.routes.beacon import add_beacon
from gateway.routes.catalog import Catalog
from gateway.routes.conversation_events import ConversationEvents
from gateway.routes.conversations import ConversationRoutes
from gateway.routes.cors import allow_origins
from gateway.routes.foreign import WHOLE_S, ForeignResponder, name_request
from gateway.routes.native import NativeRoutes
from gateway.routes.offered_tools import OfferedTools
from gateway.routes.ollama import OllamaMount
from gateway.routes.openai import OpenAiRoutes
from gateway.routes.responder import RelayResponder
from gateway.routes.usage import add_usage
from gateway.settings import GatewaySettings
from services.http import edge
from services.http.hosts import Hosts
from services.runtime.lifecycle import Port
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.settings import SettingsError
from services.runtime.tasks import Tasks
from services.telemetry.operations import Operations
from services.wire import native
from services.wire.bare_status import refused_by_status

if TYPE_CHECKING:
    from gateway.store.store import Store

log = structlog.get_logger()

KEEPALIVE_S: Final = 15.0
"""aiohttp's header time-out, too: a header that drips is closed after it."""
USER_TIMEOUT_MARGIN_S: Final = 5.0
"""The kernel's net lies below the write deadline's."""
DEPARTURES_S: Final = 1.0
"""How long the proxy gets to hear, at the end, which clients left: else it goes on for those that cannot come back."""
OPEN_CHEQUE: Final = "a cloud server answers whoever reaches this gateway, on your bill: set SLUICE_GATEWAY_KEYS_FILE"
FILES_PER_STREAM: Final = 2.5
"""A client's socket, a hop's, and half a spare for departures and pools."""


class GatewayService:
    """The gateway, as its lifecycle sees it.

    Args:
        whole_s: how long a whole answer may take.
        valkey_answer_s: how long a request waits for the limits that gateways share.
    """

    def __init__(
        self, settings: GatewaySettings, *, whole_s: float = WHOLE_S, valkey_answer_s: float = ANSWER_S
    ) -> None:
        self._settings = settings
        self._whole_s = whole_s
        self.metrics = GatewayMetrics()
        self._has_warned = False
        self._departures = Tasks()
        self._proxies = Proxies(settings.proxy_url)
        self._tasks = Tasks()
        self._keys = keys_files(settings, self.metrics.keys_not_read)
        ring = None if self._keys is None else self._keys.read()
        self._guard = Guard(ring, ACCESS, settings.trusted_edges)
        self._limiter = limiter_of(settings, self.metrics, valkey_answer_s)
        self._unread = UnreadAnswers(self._limiter, self._proxies, self._guard.still_lets_in)
        self._show_keys()
        self._store = conversation_store(settings, self.metrics.store_away)
        self._keeping: Keeping | None = None
        self._watching: Watching | None = None
        if self._store is not None:
            lost, most_characters = self.metrics.row_lost, settings.history_chars
            self._keeping = Keeping(self._store.answers, self._proxies, lost, most_characters=most_characters)
            self._watching = Watching(self._store.changes, self._store.answers.versions)
            self.metrics.show_pending(self._keeping.pending_bytes)
        self._hops = Hops(self._proxies, self.metrics, self._departures)
        self._catalog = Catalog(self._proxies, settings.default_model)
        self.connections = ClientConnections(
            most_streams(settings.max_streams),
            most_per_address=settings.streams_per_address if self._keys is None else 0,  # keys know who asks
        )
        self._operations = Operations(
            "gateway",
            self.metrics,
            probe=self._look_at_proxies,
            look_at_models=self._look_at_models,
            active=lambda: len(self.connections.here),
            queued=lambda: 0,
            more=self._more,
        )
        self.metrics.slots.set(self.connections.most)
        self.metrics.show_connections(self._proxies.connections)
        self.metrics.show_unsent(self.connections.most_unsent)
        self._hosts = Hosts(settings.hosts, own_name=socket.gethostname())
        self.app = self._make_app()

    # --- runtime.lifecycle.Service

    @cached_property
    def ports(self) -> Sequence[Port]:
        """The metrics port, and the API's."""
        user_timeout_s = self._settings.write_timeout_s + USER_TIMEOUT_MARGIN_S
        listener = Listener(self._settings.listen, KEEPALIVE_S, user_timeout_s)
        return self._operations.ports(self.app, listener, self._settings.metrics_listen, native.refused_status)

    def watch_log(self, writer: LogWriter) -> None:
        """Show the log's counts on the metrics port."""
        self._operations.watch_log(writer)

    @property
    def drain_s(self) -> float:
        """How long connections may go on after the first signal."""
        return self._settings.drain_s

    async def start(self) -> None:
        """Begin to look after the proxy and the database, whether or not they are there.

        Raises:
            SettingsError: the database is a newer version's.
        """
        self._operations.start()
        if self._store is not None:
            await self._store.start()
        if self._keeping is not None and self._watching is not None:
            self._keeping.start()
            self._watching.start()
        if self._keys is not None:
            self._tasks.spawn(self._keep_keys(self._keys), "keys")
            self._tasks.spawn(self._keep_limits(), "limits")
            self._tasks.spawn(self._limiter.keep_shared(), "shared limits")
            self._tasks.spawn(self._unread.keep(), "unread answers")
        elif not self._settings.listen.is_loopback:
            log.warning("keys.none", advice="whoever reaches this gateway may use it: set SLUICE_GATEWAY_KEYS_FILE")

    def begin_drain(self) -> None:
        """Refuse new streams from now on."""
        self._operations.begin_drain()
        self.connections.begin_drain()
        if self._watching is not None:
            self._watching.end(lambda _principal: True)  # they come back elsewhere, and would hold up the drain

    async def drained(self) -> None:
        """Return when the last connection with a stream is gone."""
        await self.connections.all_gone()

    async def end_streams(self) -> None:
        """Hand over what is left."""
        self.connections.hand_over()

    def end_at_once(self) -> None:
        """Nothing of it outlives the process."""

    async def close(self) -> None:
        """Give back what is held."""
        await self._operations.close()
        await self._tasks.close()
        await self._limiter.close()
        if self._keeping is not None and self._watching is not None:
            await self._watching.close()
            await self._keeping.close()
        if self._store is not None:
            await self._store.close()
        await self._departures.finish(DEPARTURES_S)
        await self._proxies.close()

    # --- inside

    def _make_app(self) -> web.Application:
        app = web.Application()
        app.middlewares.append(self.metrics.http.counted)
        preflights = allow_origins(app, self._settings.cors_origins)

        def door(request: web.Request) -> web.Response | None:
            edge.refuse_host(request, self._hosts)
            if (preflight := preflights(request)) is None:
                self._guard.check(request)
            return preflight

        app.middlewares.append(edge.error_middleware(answer, refused_by_status, door=door))
        app.on_response_prepare.append(self._guard.challenge)
        app.on_response_prepare.append(tell_rate)
        self._operations.add_routes(app.router)
        tools = OfferedTools(self._settings.tools, self._catalog)
        responder = RelayResponder(
            self._settings,
            hops=self._hops,
            connections=self.connections,
            limiter=self._limiter,
            catalog=self._catalog,
            tools=tools,
            metrics=self.metrics,
            report=ConnectionLog(self.metrics),
        )
        unread = self._unread
        native_routes = NativeRoutes(responder, self._proxies, self._catalog, unread, tools, keeping=self._keeping)
        native_routes.add_routes(app.router)
        ConversationEvents(self._watching, self.connections, self._settings).add_routes(app.router)
        ConversationRoutes(self._store, self._proxies).add_routes(app.router)
        OllamaMount(responder, self._proxies, self._limiter).add_routes(app.router)
        add_usage(app.router, self._limiter, self._guard)
        foreign = ForeignResponder(self._settings, responder, self._catalog, whole_s=self._whole_s)
        OpenAiRoutes(foreign, self._catalog).add_routes(app.router)
        AnthropicRoutes(foreign).add_routes(app.router)
        AiSdkRoutes(foreign, responder, self._proxies, unread).add_routes(app.router)
        app.on_response_prepare.append(name_request)
        app.on_response_prepare.append(edge.name_dropped)
        add_beacon(app.router, self._settings.cors_origins, self.metrics.page_painted)
        self._guard.demand_access_of_all(app.router)
        return app

    async def _keep_keys(self, files: KeysFiles) -> None:
        """Let a change of the keys count within two seconds, and end the answers of those that count no more."""
        while True:
            await asyncio.sleep(PERIOD_S)
            if (ring := await files.changed()) is not None:
                self._guard.ring = ring
                self._show_keys()
            for connection in self.connections.revoke(self._guard.still_lets_in):
                self._hops.stop(connection)
            if self._watching is not None:
                self._watching.end(lambda principal: not self._guard.still_lets_in(principal))

    def _show_keys(self) -> None:
        if self._settings.key_metrics and self._guard.ring is not None:
            self.metrics.show_keys(self._guard.ring.keys)

    async def _keep_limits(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            self._limiter.sweep()

    def _more(self) -> Mapping[str, object]:
        """Say on the health page what an operator should know of who may ask, how much, and of the proxies."""
        keys = {"keys": "none"} if self._guard.ring is None else {"keys": "file", "limits": self._limiter.kept_in}
        if self._is_open_cheque:
            keys["warning"] = OPEN_CHEQUE
        store = {} if self._store is None else {"store": self._store.state}
        return {**keys, **store, **({"proxies": self._proxies.states} if self._proxies.states else {})}

    @property
    def _is_open_cheque(self) -> bool:
        """Whether a cloud answers whoever reaches this gateway, and somebody else can."""
        return self._proxies.ask_cloud and self._keys is None and not self._settings.listen.is_loopback

    async def _look_at_proxies(self) -> float | None:
        """Ask how the proxies stand; an operator is warned once if that is an open cheque."""
        reached_s_ago = await self._proxies.look()
        if self._is_open_cheque and not self._has_warned:
            self._has_warned = True
            log.warning("cloud.open_cheque", advice=OPEN_CHEQUE)
        return reached_s_ago

    async def _look_at_models(self) -> bool:
        """Ask which models there are, for labels, and what they can do."""
        names = await self._catalog.names()
        if names is not None:
            self.metrics.models_listed(names)
            await self._catalog.learn()
        return bool(names)


def limiter_of(settings: GatewaySettings, metrics: GatewayMetrics, valkey_answer_s: float) -> Limiter:
    """Return who holds keys to their limits."""
    return Limiter(
        ZoneInfo(settings.time_zone),
        named=metrics.models.listed_as,
        used=lambda key_id, spent: metrics.key_used(key_id, spent.tokens),
        shared=shared_counts(settings, valkey_answer_s),
        name=settings.instance_name,
        alone=metrics.limits_degraded.set,
    )


def shared_counts(settings: GatewaySettings, answer_s: float) -> SharedCounts | None:
    """Return the counts that gateways share; None where each has its own."""
    if not settings.valkey_url.get_secret_value() or not settings.keys_file:
        return None
    from gateway.limits.valkey_counts import ValkeyCounts  # noqa: PLC0415 a quarter of a second for who has no Valkey

    return ValkeyCounts(settings.valkey_url.get_secret_value(), answer_s=answer_s)


def conversation_store(settings: GatewaySettings, told: Callable[[bool], object]) -> "Store | None":
    """Return where conversations are kept; None where they are not."""
    if not settings.database.get_secret_value():
        return None
    from gateway.store.store import Store  # noqa: PLC0415 a third of a second and 40 MB for who has no database

    return Store(settings.database.get_secret_value(), keep_days=settings.keep_days, told=told)


def keys_files(settings: GatewaySettings, failed: Callable[[], None] = lambda: None) -> KeysFiles | None:
    """Return where the keys are; None where there are none."""
    return KeysFiles(Path(settings.keys_file), Path(settings.pepper_file), failed) if settings.keys_file else None


def demand_keys(settings: GatewaySettings) -> None:
    """Demand that the keys can be read, if there are to be some.

    Raises:
        SettingsError: with a line for each problem of the files.
    """
    try:
        if (files := keys_files(settings)) is not None:
            files.read()
    except BadKeysFile as bad:
        raise SettingsError(bad.problems) from None


def most_streams(wished: int) -> int:
    """Return ``wished``, or what the limit of open files carries if that is less, with a warning."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or wished * FILES_PER_STREAM <= files:
        return wished
    most = max(1, int(files / FILES_PER_STREAM))
    log.warning("streams.lowered", wished=wished, most=most, open_files=files, advice="raise ulimit -n")
    return most
