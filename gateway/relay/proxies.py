"""The proxies behind this gateway: how each stands, and whom to ask for what. With one it is always that one."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from gateway.errors import GONE, UNAVAILABLE
from gateway.guard.keyring import ANYBODY, Principal
from gateway.relay.choice import choose, choose_by_key
from gateway.relay.standing import Standing, State
from gateway.relay.upstream import Upstream
from gateway.settings import ProxyAddress
from services.http.client import NOT_SENT, Connections, HttpResponse, TransportError
from services.http.health import told_s_ago
from services.wire.events import RULES, ApiError, Code
from services.wire.ids import instance_of
from services.wire.model_names import ListedModel, canonical, listed_models, merged_lists
from services.wire.trace import Trace

log = structlog.get_logger()

ELSEWHERE: Final = {Code.OVERLOADED, Code.SHUTTING_DOWN, Code.UPSTREAM_UNAVAILABLE, Code.MODEL_NOT_FOUND}
"""Refusals with which nothing has begun, and which need not be another proxy's."""
_ELSEWHERE_STATUS: Final = {RULES[code].status for code in ELSEWHERE}
_STATES: Final[Mapping[Code, State]] = {
    Code.SHUTTING_DOWN: State.DRAINING,
    Code.UPSTREAM_UNAVAILABLE: State.AWAY,
}
_TAGS: Final = "/api/tags"
_LISTS: Final = {"tags", "ps"}


class Proxies:
    """Calls of several proxies: a stream's by its id, a new one by :mod:`gateway.relay.choice`, lists of all."""

    def __init__(self, addresses: Sequence[ProxyAddress]) -> None:
        self._upstreams = {one.name: Upstream(one.origin, one.name) for one in addresses}
        self._standings = {name: Standing(State.UNKNOWN if name else State.AWAY) for name in self._upstreams}

    def __iter__(self) -> Iterator[Upstream]:
        """All of them."""
        return iter(self._upstreams.values())

    # --- whom to ask

    def of(self, stream_id: str) -> Upstream:
        """Return the proxy that holds a stream, if any does.

        Raises:
            ApiError: it is not one of these, or is not the one that is meant.
        """
        name = instance_of(stream_id) if "" not in self._upstreams else ""
        upstream = self._upstreams.get(name)
        if upstream is None:
            raise ApiError(GONE)
        if self._standings[name].state is State.MISNAMED:
            raise ApiError(UNAVAILABLE)
        return upstream

    def in_turn(self, model: str = "", owner: str = "", key: str | None = None) -> list[Upstream]:
        """Return whom to ask for a new stream, one after the other.

        Args:
            model: as it was asked for; "": any will do.
            key: the client's Idempotency-Key, of this ``owner``.
        """
        name = canonical(model)
        if key is not None:
            names = choose_by_key(self._standings, name, owner, key)
        else:
            names = choose(self._standings, name, (random.random(), random.random()))  # noqa: S311 no secret
        return [self._upstreams[name] for name in names]

    def asked(self, upstream: Upstream, model: str) -> None:
        """Note that a stream is asked for there: who comes in the same moment must see it."""
        self._standings[upstream.name] = self._standings[upstream.name].asked_for(canonical(model))

    def turned_away(self, upstream: Upstream, code: Code) -> None:
        """Note what a refusal says of all that might be asked there, until the next look."""
        if (state := _STATES.get(code)) is not None:
            self._stands(upstream.name, replace(self._standings[upstream.name], state=state))

    # --- how they stand

    @property
    def states(self) -> dict[str, str]:
        """How each stands, by its name; of one without a name nothing."""
        return {name: standing.state for name, standing in self._standings.items() if name}

    @property
    def ask_cloud(self) -> bool:
        """Whether any of them asks servers of somebody else, who counts that."""
        return any(standing.asks_cloud for standing in self._standings.values())

    async def look(self) -> float | None:
        """Ask each how it stands; return how long ago one that is ready reached its model server, None if none is."""
        reached = await asyncio.gather(*map(self._look_at, self._upstreams.values()))
        return min((ago_s for ago_s in reached if ago_s is not None), default=None)

    async def _look_at(self, upstream: Upstream) -> float | None:
        try:
            answer = await upstream.read("/health")
        except TransportError as failed:
            standing = self._standings[upstream.name].silent(is_refused=failed.how == "refused")
            self._stands(upstream.name, standing)
            return None
        standing = self._standings[upstream.name].told(answer.body, upstream.name)
        self._stands(upstream.name, standing)
        return told_s_ago(answer.body) if standing.state is State.READY else None

    def _stands(self, name: str, standing: Standing) -> None:
        before, self._standings[name] = self._standings[name].state, standing
        if not name or before is standing.state:
            return
        if standing.state is State.MISNAMED:
            log.error(
                "proxy.misnamed", proxy=name, advice="its SLUICE_PROXY_INSTANCE is another: nothing is sent to it"
            )
        else:
            log.info("proxy.stands", proxy=name, state=standing.state)

    # --- what is asked of all, or of any

    async def listed(self, path: str) -> Sequence[ListedModel] | None:
        """Return the models that ``/api/tags`` or ``/api/ps`` name, those of all proxies; None when nobody answers."""
        answers = await asyncio.gather(*(self._listed_by(upstream, path) for upstream in self._answering()))
        told = [models for models in answers if models is not None]
        if len(told) < 2:
            return told[0] if told else None
        by_name: dict[str, ListedModel] = {}
        for model in (model for models in told for model in models):
            by_name.setdefault(canonical(model.name), model)
        return tuple(by_name.values())

    async def _listed_by(self, upstream: Upstream, path: str) -> Sequence[ListedModel] | None:
        answer = await _or_none(upstream.read(path))
        models = listed_models(answer.body) if answer is not None and answer.status == 200 else None
        if path == _TAGS and models is not None:
            standing = self._standings[upstream.name]
            self._standings[upstream.name] = standing.listing(model.name for model in models)
        return models

    async def read_all(self, path: str, owner: str = "") -> list[HttpResponse]:
        """Return what those answer that do, under a constant path: a list of streams is this owner's.

        Raises:
            TransportError: none does.
        """
        return await self._all(lambda upstream: upstream.read(path, owner))

    async def show(self, model: str) -> HttpResponse:
        """Return what a model server that has this model says of it.

        Raises:
            TransportError: no answer came.
        """
        return await self._any(model, lambda upstream: upstream.show(model))

    async def ollama(
        self,
        name: str,
        body: bytes | None,
        request_id: str,
        trace: Trace | None = None,
        *,
        model: str = "",
        principal: Principal = ANYBODY,
    ) -> HttpResponse:
        """Return what is answered in Ollama's shape: a list is of all proxies, the rest is one's that has ``model``.

        Raises:
            TransportError: no answer came.
        """

        def ask(upstream: Upstream) -> Awaitable[HttpResponse]:
            return upstream.ollama(name, body, request_id, trace, owner=principal.owner, line=principal.line)

        if name not in _LISTS:
            return await self._any(model, ask)
        answers = await self._all(ask)
        lists = [answer for answer in answers if answer.status == 200] or answers[:1]
        return lists[0] if len(lists) == 1 else replace(lists[0], body=merged_lists([one.body for one in lists]))

    async def _all(self, ask: Callable[[Upstream], Awaitable[HttpResponse]]) -> list[HttpResponse]:
        answers = await asyncio.gather(*(_or_none(ask(upstream)) for upstream in self._answering()))
        if not (came := [answer for answer in answers if answer is not None]):
            raise TransportError("refused")
        return came

    async def _any(self, model: str, ask: Callable[[Upstream], Awaitable[HttpResponse]]) -> HttpResponse:
        """Ask one after the other until one neither refuses nor is away."""
        refusal: HttpResponse | None = None
        for upstream in self.in_turn(model):
            try:
                answer = await ask(upstream)
            except TransportError as failed:
                if failed.how not in NOT_SENT:  # it may be at work
                    raise
                continue
            if answer.status not in _ELSEWHERE_STATUS:
                return answer
            refusal = refusal or answer
        if refusal is None:
            raise TransportError("refused")
        return refusal

    def _answering(self) -> list[Upstream]:
        """Return those that answered last; where none did, all that may be asked."""
        known = [one for one in self._upstreams.values() if self._standings[one.name].may_be_asked]
        return [one for one in known if self._standings[one.name].state is not State.AWAY] or known

    # --- what is held

    def connections(self) -> Connections:
        """Count the connections to all of them."""
        counted = [upstream.connections() for upstream in self._upstreams.values()]
        return Connections(
            active=sum(one.active for one in counted),
            idle=sum(one.idle for one in counted),
            waiting=sum(one.waiting for one in counted),
        )

    async def close(self) -> None:
        """Close every connection."""
        for upstream in self._upstreams.values():
            await upstream.close()


async def _or_none(asking: Awaitable[HttpResponse]) -> HttpResponse | None:
    try:
        return await asking
    except TransportError:
        return None
