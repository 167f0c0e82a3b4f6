"""Which models a model server lists and which of them are in memory: asked now and then, for labels, gauges, pools."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.upstream.transport import Transport
from services.http.client import TransportError
from services.wire.model_names import ListedModel, canonical, listed_models

LISTED_WITHIN_S: Final = 1.0
LOADED_WITHIN_S: Final = 0.5
"""Somebody waits to see it, and ``/api/ps`` can hang for 15 s beside a frozen runner."""
REMEMBERED: Final = 10_000
"""Names that were listed since the start: more than one machine holds."""
Loaded = frozenset[str] | None
"""The canonical names of the models in memory; None where the model server does not say."""


class ModelsMetrics(Protocol):
    """Who shows the models."""

    def models_listed(self, names: Sequence[str]) -> None:
        """The model server lists these."""
        ...

    def models_loaded(self, vram_bytes: Mapping[str, int]) -> None:
        """These models are in memory, with so many bytes of it the graphics card's, and no others."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A model as its server was last seen.

    Attributes:
        lists: whether the server has it; None where it has not said.
        is_resident: whether it is in memory, or was asked for since anybody looked.
        is_cold: whether it is known not to be.
        loaded_bytes: what is in memory, less the memory's size where that is known.
        evicts: whether loading it would drive another model out.
    """

    lists: bool | None
    is_resident: bool
    is_cold: bool
    loaded_bytes: float
    evicts: bool


class InstalledModels:
    """The models of one model server; by canonical names.

    Args:
        looked: told what each look at the memory has found.
    """

    def __init__(self, transport: Transport, metrics: ModelsMetrics, looked: Callable[[Loaded], None]) -> None:
        self._transport = transport
        self._metrics = metrics
        self._looked = looked
        self._sizes: dict[str, int] = {}
        self._capabilities: dict[str, tuple[str, ...]] = {}  # of those whose list says it all
        self._loaded: dict[str, int] = {}
        self._asked_at: dict[str, float] = {}  # when a call of it was last made here
        self._looked_at = 0.0
        self.listed: Sequence[ListedModel] | None = None  # the last list; None: it was never given
        self.loaded: Sequence[ListedModel] = ()
        self.ever_listed: set[str] = set()
        self.none_installed = False  # it was asked, and lists no model at all

    async def look(self) -> bool:
        """Ask once; return whether there are any."""
        listed = await _listed(self._transport, "tags", LISTED_WITHIN_S)
        if listed is None:
            return False
        self.listed, self.none_installed = listed, not listed
        self._sizes = {canonical(model.name): model.size or 0 for model in listed}
        self._capabilities = {
            canonical(model.name): model.capabilities or () for model in listed if not model.may_do_more
        }
        self._asked_at = {name: at for name, at in self._asked_at.items() if name in self._sizes}
        if len(self.ever_listed) < REMEMBERED:
            self.ever_listed.update(self._sizes)
        self._metrics.models_listed([model.name for model in listed])
        await self._look_at_memory()
        return bool(listed)

    def asked(self, model: str, now: float) -> None:
        """A call of a model was made: it will be in memory, whatever the last look says."""
        if (name := canonical(model)) in self._sizes:  # what clients make up is not remembered
            self._asked_at[name] = now

    def saw(self, loaded: Loaded, now: float) -> None:
        """Somebody who waits has looked at what is in memory."""
        if loaded is not None:
            self._loaded = {name: self._loaded.get(name, self._sizes.get(name, 0)) for name in loaded}
            self._looked_at = now

    def seen(self, model: str, *, memory_bytes: float = 0.0) -> Seen:
        """Return how ``model`` was last seen here.

        Args:
            memory_bytes: of all models that fit at once; 0: it is taken to be one.
        """
        name = canonical(model)
        lists = None if self.listed is None else name in self._sizes
        resident = name in self._loaded or self._asked_at.get(name, -1.0) > self._looked_at
        others = sum(size for one, size in self._loaded.items() if one != name)
        if memory_bytes:
            evicts = others + self._sizes.get(name, 0) > memory_bytes
        else:
            evicts = any(one != name for one in self._loaded)
        return Seen(
            lists,
            is_resident=resident and lists is not False,
            is_cold=not resident and self._looked_at > 0,
            loaded_bytes=others - memory_bytes,
            evicts=evicts and not resident,
        )

    def is_loaded(self, model: str) -> bool:
        """Return whether ``model`` was in memory when it was last looked at."""
        return canonical(model) in self._loaded

    def capabilities(self, model: str) -> tuple[str, ...]:
        """Return what ``model`` can do; nothing where the list does not say, or may not say it all."""
        return self._capabilities.get(canonical(model), ())

    def is_warm_for_others(self, model: str, within_s: float, now: float) -> bool:
        """Return whether another model that is in memory was asked for within the last ``within_s`` seconds."""
        name = canonical(model)
        return any(now - self._asked_at.get(one, -within_s) < within_s for one in self._loaded if one != name)

    async def _look_at_memory(self) -> None:
        loaded = await _listed(self._transport, "ps", LISTED_WITHIN_S)
        if loaded is None:  # a frozen runner makes it hang: then what was last known is said
            return
        self.loaded = loaded
        self._loaded = {canonical(model.name): model.size or model.vram_bytes or 0 for model in loaded}
        self._looked_at = time.monotonic()
        self._metrics.models_loaded({model.name: model.vram_bytes or 0 for model in loaded})
        self._looked(_names(loaded))


async def loaded_models(transport: Transport) -> Loaded:
    """Ask the model server which models are in memory."""
    loaded = await _listed(transport, "ps", LOADED_WITHIN_S)
    return None if loaded is None else _names(loaded)


async def _listed(transport: Transport, name: str, timeout_s: float) -> Sequence[ListedModel] | None:
    """Ask for one of the model server's lists; None where it does not give it."""
    try:
        answer = await transport.read(name, timeout_s=timeout_s)
    except TransportError:
        return None
    return listed_models(answer.body) if answer.status == 200 else None


def _names(models: Sequence[ListedModel]) -> frozenset[str]:
    return frozenset(canonical(model.name) for model in models)
