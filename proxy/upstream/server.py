"""One model server, and all that the proxy keeps of it; and the route of servers that a model's name leads to."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final

from proxy.config.config import ServerConfig
from proxy.providers.adapter import AdapterFor, Question
from proxy.providers.provider import Provider
from proxy.streams.permits import Admission, Place
from proxy.streams.stream import Stream
from proxy.upstream.call import UpstreamCall
from proxy.upstream.condition import DAY_S, Condition
from proxy.upstream.keys import ServerKey
from proxy.upstream.models import InstalledModels
from proxy.upstream.pool import Reluctance, Standing
from proxy.upstream.progress import Progress
from proxy.upstream.transport import Transport
from proxy.upstream.warming import Warming
from proxy.upstream.wedge_watch import WedgeWatch
from services.wire.model_names import canonical
from services.wire.request import ChatRequest, ModelRequest

_GB: Final = 10**9
TOOLS: Final = "tools"
"""The capability, in the words of Ollama's lists."""
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, eq=False)
class ModelServer:
    """A model server of a route.

    Args:
        config: what its operator says of it.
        transport: its client: where it is, what every request to it carries, its connections.
        language: what its kind is: how it is asked, and how its key is proved.
        adapter: makes the adapter of one call.
        key: the key that it is asked with.
        is_named: whether its operator gave it its name, so that it is told to who asks.
        condition: what its calls have taught about it.
        models: what it lists; None where a server is asked for the models that its operator names.
        progress: tells load from prefill; None where the server does not say what is in memory.
        wedges: notices a model that answers nobody; likewise.
        warming: loads what was asked for while it was cold; likewise.
    """

    config: ServerConfig
    transport: Transport
    language: Provider
    adapter: AdapterFor
    key: ServerKey
    is_named: bool = False
    condition: Condition = field(default_factory=Condition)
    models: InstalledModels | None = None
    progress: Progress | None = None
    wedges: WedgeWatch | None = None
    warming: Warming | None = None
    _running: Counter[str] = field(default_factory=Counter)  # calls, by the canonical name that was asked

    @property
    def name(self) -> str:
        """What its operator calls it."""
        return self.config.name

    @property
    def provider(self) -> str:
        """The name of its language, which `served_by` tells."""
        return self.config.kind

    @property
    def wedged(self) -> list[str]:
        """The models that answer nobody though they should, by canonical name."""
        return [] if self.wedges is None else self.wedges.names

    @property
    def running(self) -> int:
        """How many calls it is answering."""
        return self._running.total()

    @property
    def running_by_model(self) -> dict[str, int]:
        """How many of each model, by the canonical name that was asked; safe to read in any thread."""
        return dict(self._running)

    def calls(self, model: str) -> str:
        """Return what it calls ``model``."""
        return self.config.calls(model) or model

    def question(self, request: ModelRequest, stream: Stream, without: frozenset[str]) -> Question:
        """Return what it is asked in a turn of ``stream``."""
        most, wished = self.config.max_output_tokens, request.max_output_tokens
        if most is not None and (wished is None or wished < 1 or wished > most):
            request = replace(request, max_output_tokens=most)
        return Question(
            request,
            stream.served_model,
            stream.wishes.let_through if self.config.is_ollama else _NOTHING,
            key=self.key.value,
            stream=self.config.stream,
            without=without,
        )

    def can_take(self, request: ModelRequest) -> bool:
        """Return whether nothing that is known speaks against asking it."""
        if not self.language.takes(request):
            return False
        model = request.model or ""
        return not any(self.lacks(model, capability) for capability in _demands(request))

    def lacks(self, model: str, capability: str) -> bool:
        """Return whether ``model`` is known not to be capable of something there: what nobody knows, it may be."""
        can = self.config.capabilities
        if not can and self.models is not None:
            can = self.models.capabilities(self.calls(model))
        return bool(can) and capability not in can

    def standing(self, model: str, now: float) -> Standing:
        """Return how it stands for ``model`` now, where there are others who could be asked instead."""
        theirs = self.calls(model)
        self.condition.new_day(today())
        passed_by = "marked" if self.key.is_missing else self.condition.passed_by(theirs, now)
        last: Reluctance = "hung" if canonical(theirs) in self.wedged else ""
        in_flight = self._running[canonical(model)]
        wait_s = self.condition.wait_s(theirs, now) if passed_by else None
        may_repeat = self.condition.repeats.allows(now)
        if self.models is None:
            if not passed_by and self.running >= self.config.permits:
                passed_by = "line_full"
            return Standing(passed_by, wait_s, last, may_repeat)
        seen = self.models.seen(theirs, memory_bytes=(self.config.memory_gb or 0) * _GB)
        if not last and self.config.skip_when_cold and seen.is_cold and not in_flight:
            last = "cold"
        return Standing(
            passed_by,
            wait_s,
            last,
            may_repeat,
            lists=seen.lists,
            is_resident=seen.is_resident or in_flight > 0,  # at the latest it will be
            in_flight=in_flight,
            permits=self.config.permits,
            loaded_bytes=seen.loaded_bytes,
            evicts=seen.evicts,
            evicts_warm=seen.evicts and self.models.is_warm_for_others(theirs, self.config.keep_warm_s, now),
        )

    def circuit(self, model: str) -> int:
        """Return the state of the breaker in front of ``model``, as the metric counts it."""
        return int(self.condition.state(self.calls(model), time.monotonic()))

    def waited_in_vain(self, asked_at: float, model: str) -> None:
        """A call got no first token in all its time: if its model was in memory for it, and answered nobody, it hangs.

        Args:
            model: as it was asked for there: the server knows that spelling.
        """
        if self.wedges is not None and self.holds(model) and self.wedges.is_silent_since(model, asked_at):
            self.wedges.hangs(model)

    def holds(self, model: str) -> bool:
        """Return whether ``model`` (its own name for it) was in memory when it was last looked at."""
        return self.models is not None and self.models.is_loaded(model)

    def absent_at(self, model: str) -> float:
        """Return when ``model`` (its own name for it) was last seen not to be in memory."""
        return -inf if self.wedges is None else self.wedges.absent_at(model)

    async def ready(self, model: str) -> None:
        """Return when ``model`` (its own name for it) may be asked for: not while it is being unloaded."""
        if self.wedges is not None:
            await self.wedges.unloaded(model)

    def taken(self, model: str) -> None:
        """It was chosen for a call of ``model``, as it was asked for."""
        self._running[canonical(model)] += 1
        if self.models is not None:
            self.models.asked(self.calls(model), time.monotonic())

    def freed(self, model: str) -> None:
        """That call is over."""
        self._running[canonical(model)] -= 1
        if not self._running[canonical(model)]:
            del self._running[canonical(model)]

    def passed_cold(self, model: str) -> None:
        """It was passed by since ``model`` is not in memory: unless another is to be kept, it will be."""
        assert self.models is not None
        theirs = self.calls(model)
        seen = self.models.seen(theirs, memory_bytes=(self.config.memory_gb or 0) * _GB)
        kept = seen.evicts and self.models.is_warm_for_others(theirs, self.config.keep_warm_s, time.monotonic())
        if self.warming is not None and not kept:
            self.warming.begin(theirs)

    def call_began(self, stream: Stream, call: UpstreamCall) -> None:
        """A call for ``stream`` was written: from now on its progress is shown, and its wait watched."""
        if self.wedges is not None:
            self.wedges.began(stream.served_model, call)
        if self.progress is not None:
            self.progress.watch(stream)

    def call_ended(self, stream: Stream, call: UpstreamCall) -> None:
        """It has its outcome, or is given up."""
        if self.progress is not None:
            self.progress.forget(stream)
        if self.wedges is not None:
            self.wedges.ended(call)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Equals, one place of an order, and the waiting lines in front of them: one for each model.

    Args:
        line: the name under which all wait, where permits are not each model's; "" where they are.
        wait_s: how long each may wait.
    """

    members: tuple[ModelServer, ...]
    admission: Admission
    wait_s: float
    line: str = ""

    @property
    def name(self) -> str:
        """Its members' names."""
        return "+".join(server.name for server in self.members)

    def with_members(self, members: tuple[ModelServer, ...]) -> "Pool":
        """Return the same lines in front of some of its members."""
        return replace(self, members=members)

    def enter(self, model: str, owner: str, *, chance: float) -> Place:
        """Take a permit of ``model``, or a place in its line, in which owners take turns.

        Raises:
            NotAdmitted: there is neither.
        """
        return self.admission.enter(self.line or model, owner, chance=chance)

    def enter_again(self, model: str, owner: str) -> Place:
        """Take a permit, or a place before all whose answer has not begun, for a further turn of an answer."""
        return self.admission.enter_again(self.line or model, owner)

    def left(self, model: str, answer_s: float | None) -> None:
        """Note how long an answer held its permit."""
        self.admission.left(self.line or model, answer_s)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The servers that a model's name leads to, the first to be asked first."""

    pools: tuple[Pool, ...]
    order: tuple[tuple[ModelServer, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", tuple(pool.members for pool in self.pools))

    @property
    def has_several(self) -> bool:
        """Whether anybody else could be asked."""
        return len(self.pools) > 1 or len(self.order[0]) > 1

    def pool_of(self, server: ModelServer) -> Pool:
        """Return the pool that ``server`` is in."""
        return next(pool for pool in self.pools if server in pool.members)

    def __iter__(self) -> Iterator[ModelServer]:
        return (server for members in self.order for server in members)


def today() -> int:
    """Return the number of the day, by UTC."""
    return int(time.time() // DAY_S)


def _demands(request: ModelRequest) -> set[str]:
    """Return the capabilities without which a request is refused, in the words of Ollama's lists."""
    if not isinstance(request, ChatRequest):
        return {"vision"} if request.images else set()
    demanded = {TOOLS} if request.tools or request.server_tools else set()
    return demanded | ({"vision"} if any(message.images for message in request.messages) else set())
