"""The model servers of this proxy, and which of them a model's name leads to.

Config ──▶ Servers ──▶ route(model) ──▶ Walk, one for each stream
              │ tags, ps, version of each, now and then ──▶ what is listed, what is in memory, who answers
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from proxy.config.config import ANY, Config, Order
from proxy.streams.permits import Admission
from proxy.upstream.breaker import State
from proxy.upstream.server import TOOLS, ModelServer, Pool, Route
from proxy.upstream.walk import Walk, WalkMetrics
from services.http.client import TransportError
from services.wire.events import ApiError, Code, Failed
from services.wire.model_names import canonical, is_cloud_name
from services.wire.request import ChatRequest, EmbedRequest, GenerateRequest, ModelRequest

PROBE_S: Final = 1.0
Permits = int | Callable[[str], int]
REACHED_S: Final = 10.0
"""A server counts as reached for so long: one lost answer is not an outage."""

_NOBODY_LOCAL: Final = Failed(
    Code.UPSTREAM_UNAVAILABLE,
    "AI unavailable. This request may not leave the operator's machines, and no model server there has this model.",
    retryable=False,
)
_NOBODY: Final = Failed(Code.MODEL_NOT_FOUND, "No model server here has this model. Ask for one that /api/tags lists.")


class ServersMetrics(WalkMetrics, Protocol):
    """Who shows the servers."""

    def server_answers(self, name: str, *, up: bool) -> None:
        """A model server was asked whether it is there."""


class Servers:
    """All model servers, by what the configuration says of them.

    Args:
        servers: in the order of the configuration.
        admission: makes the waiting lines of a pool; told its permits (what they are for a model now, where they
            change), whether anybody may wait, and for how long.
    """

    def __init__(
        self,
        config: Config,
        servers: Sequence[ModelServer],
        metrics: ServersMetrics,
        *,
        admission: Callable[[Permits, bool, float], Admission],
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._admission = admission
        self._by_name = {server.name: server for server in servers}
        self._cloud_pools: dict[str, Pool] = {}
        self._default = self._pools(config.default)
        self._chains = {model: self._pools(order) for model, order in config.chains.items()}
        self._only = Route(self._default) if len(servers) == 1 and not self._chains else None
        self._reached_at: dict[str, float] = {}
        self._began_at = time.monotonic()

    def __iter__(self) -> Iterator[ModelServer]:
        return iter(self._by_name.values())

    # --- who is asked

    def walk(self, request: ModelRequest | EmbedRequest, owner: str) -> Walk:
        """Begin a stream's way: it has its permit or its place in a line, or nobody is left to ask.

        Args:
            owner: as whom it takes turns in a line.

        Raises:
            ApiError: nobody may be asked at all.
        """
        assert request.model is not None
        return Walk(self.route(request.model, request), request.model, owner, self._metrics)

    def route(self, model: str, request: ModelRequest | EmbedRequest | None = None) -> Route:
        """Return who may be asked for ``model``, in order.

        Args:
            request: who cannot take it is left out.

        Raises:
            ApiError: nobody; for one that has to stay with the operator nobody there.
        """
        stays = isinstance(request, ChatRequest | GenerateRequest) and request.local_only
        local_only = stays or self._config.local_only
        if self._only is not None and not local_only:
            return self._only
        named = self._chains.get(canonical(model))
        pools = self._default if named is None else named
        may_leave = named is not None or self._is_known(model)
        pools = _narrowed(pools, lambda one: self._may_be_asked(one, model, may_leave=may_leave))
        if not pools:
            raise ApiError(_NOBODY)
        if local_only:
            pools = _narrowed(pools, lambda one: self._is_local(one, model))
        if request is not None and (able := _narrowed(pools, lambda one: _takes(one, request))):
            pools = able  # where nobody can take it, the first says so in its own words
        if not pools:
            raise ApiError(_NOBODY_LOCAL)
        return Route(pools)

    def lack_tools(self, request: ChatRequest) -> bool:
        """Return whether all who may be asked are known not to call tools: those whose list does not say may do so.

        Raises:
            ApiError: nobody may be asked.
        """
        assert request.model is not None
        return all(one.lacks(request.model, TOOLS) for one in self.route(request.model, request))

    # --- what is known of them

    async def look(self) -> bool:
        """Ask all that list their models what they have; return whether there are any."""
        found = await asyncio.gather(*(one.models.look() for one in self if one.models is not None))
        self._refresh_lines()
        return any(found) or not found

    async def probe(self) -> float | None:
        """Ask all whether they are there; return 0 where new streams can be answered, None where not."""
        ollamas = list(self._ollamas())
        answers = await asyncio.gather(*map(self._probe, ollamas))
        self._refresh_lines()
        there = {server for server, up in zip(ollamas, answers, strict=True) if up}
        able = (one in there or self._may_answer(one) for one in _members(self._default))
        return 0.0 if any(able) else None

    @property
    def waiting(self) -> int:
        """How many streams wait in their lines."""
        return sum(self.waiting_by_line.values())

    @property
    def waiting_by_line(self) -> dict[str, int]:
        """How many wait, by the names of those that they wait for; safe to read in any thread."""
        waiting: dict[str, int] = {}
        for pool in self._all_pools():  # also where only a further turn of an answer may wait
            waiting[pool.name] = waiting.get(pool.name, 0) + pool.admission.waiting
        return waiting

    def held_by_model(self, server: ModelServer) -> Mapping[str, int]:
        """Return how many permits of a server are taken, by a model's canonical name; safe to call in any thread.

        A pool's are nobody's before the call is made.
        """
        held = server.running_by_model
        for pool in self._all_pools():
            if pool.members == (server,) and not pool.line:
                held |= pool.admission.held_by_model
        return held

    @property
    def asked_by_model(self) -> dict[str, int]:
        """How many hold a permit or wait for one, by canonical name, or a server's."""
        asked: dict[str, int] = {}
        for pool in self._all_pools():
            for name, count in pool.admission.asked_by_model.items():
                asked[name] = asked.get(name, 0) + count
        return asked

    @property
    def wedged(self) -> list[str]:
        """Models that are loaded somewhere and give content to nobody there."""
        return sorted({name for server in self for name in server.wedged})

    @property
    def chained(self) -> list[ModelServer]:
        """Those that an order names."""
        return [self._by_name[name] for name in self._config.chained()]

    @property
    def reached(self) -> Mapping[str, bool]:
        """Whether each Ollama has answered within the last ten seconds."""
        now = time.monotonic()
        return {one.name: now - self._reached_at.get(one.name, -REACHED_S) < REACHED_S for one in self._ollamas()}

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(server.transport.close() for server in self))

    # --- inside

    def _pools(self, order: Order) -> tuple[Pool, ...]:
        return tuple(self._pool([self._by_name[name] for name in names]) for names in order)

    def _pool(self, members: Sequence[ModelServer]) -> Pool:
        """Return a pool; Ollamas have permits for each model, the others for all together, and no line."""
        first = members[0]
        permits = sum(server.config.permits for server in members)
        wait_s = min(server.config.queue_wait_s for server in members)
        if first.config.is_ollama:
            now = partial(self._permits_of, members) if len(members) > 1 else permits
            return Pool(tuple(members), self._admission(now, True, wait_s), wait_s)
        line = "+".join(sorted(server.name for server in members))
        if line not in self._cloud_pools:
            self._cloud_pools[line] = Pool(tuple(members), self._admission(permits, False, wait_s), wait_s, line)
        return self._cloud_pools[line]

    def _permits_of(self, members: Sequence[ModelServer], model: str) -> int:
        """Return how many answers of ``model`` equals may give now: whoever is away, or does not have it, gives none.

        Where all are away it is as if all were there: who asks is to be told so, and not to wait.
        """
        there = [server for server in members if self._is_there(server, model)]
        return sum(server.config.permits for server in there or members)

    def _is_there(self, server: ModelServer, model: str) -> bool:
        now, theirs = time.monotonic(), server.calls(model)
        lists = server.models is None or server.models.seen(theirs).lists is not False
        is_away = now - self._reached_at.get(server.name, self._began_at) >= REACHED_S
        return lists and not is_away and not server.condition.passed_by(theirs, now)

    def _refresh_lines(self) -> None:
        for pool in self._all_pools():
            pool.admission.refresh()

    def _ollamas(self) -> Iterator[ModelServer]:
        return (server for server in self if server.config.is_ollama)

    def _all_pools(self) -> Iterable[Pool]:
        every = (*self._default, *(pool for pools in self._chains.values() for pool in pools))
        return dict.fromkeys(every)

    def _is_known(self, model: str) -> bool:
        """Whether an Ollama of the default order has listed ``model``, or none could be asked yet.

        A misspelt name is in no list, and never goes to whoever takes any name.
        """
        lists = [one.models for one in _members(self._default) if one.models is not None]
        if all(models.listed is None for models in lists):
            return True
        return any(canonical(model) in models.ever_listed for models in lists)

    def _may_be_asked(self, server: ModelServer, model: str, *, may_leave: bool) -> bool:
        config = server.config
        if config.calls(model) is None:
            return False
        return config.is_local or may_leave or config.names(model) or ANY not in config.models

    def _is_local(self, server: ModelServer, model: str) -> bool:
        if not server.config.is_local:
            return False
        theirs = server.calls(model)
        listed = () if server.models is None else server.models.listed or ()
        return not is_cloud_name(theirs) and not any(
            one.is_remote for one in listed if canonical(one.name) == canonical(theirs)
        )

    async def _probe(self, server: ModelServer) -> bool:
        try:
            answer = await server.transport.read("version", timeout_s=PROBE_S)
            up = answer.status == 200
        except TransportError:
            up = False
        now = time.monotonic()
        if up:
            self._reached_at[server.name] = now
            server.condition.answers(now)
        self._metrics.server_answers(server.name, up=up)
        return up

    @staticmethod
    def _may_answer(server: ModelServer) -> bool:
        """Whether a server that is no Ollama may be asked: nobody asks it without a reason."""
        if server.config.is_ollama:
            return False
        is_open = server.condition.state("", time.monotonic()) is State.OPEN
        return not (is_open or server.condition.key_refused or server.key.is_missing)


def _members(pools: Iterable[Pool]) -> Iterator[ModelServer]:
    return (server for pool in pools for server in pool.members)


def _takes(server: ModelServer, request: ModelRequest | EmbedRequest) -> bool:
    return server.config.is_ollama if isinstance(request, EmbedRequest) else server.can_take(request)


def _narrowed(pools: Iterable[Pool], keeps: Callable[[ModelServer], bool]) -> tuple[Pool, ...]:
    """Return the pools with those members alone; the lines in front of them stay the same."""
    narrowed = []
    for pool in pools:
        members = tuple(server for server in pool.members if keeps(server))
        if members:
            narrowed.append(pool if len(members) == len(pool.members) else pool.with_members(members))
    return tuple(narrowed)
