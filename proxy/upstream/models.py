"""Which models a model server lists and which of them are in memory: asked now and then, for labels and gauges."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from proxy.upstream.transport import Transport
from services.http.client import TransportError
from services.wire.model_names import ListedModel, canonical, listed_models

LISTED_WITHIN_S: Final = 1.0
LOADED_WITHIN_S: Final = 0.5
"""Somebody waits to see it, and ``/api/ps`` can hang for 15 s beside a frozen runner."""
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


class InstalledModels:
    """The models of one model server.

    Args:
        looked: told what each look at the memory has found.
    """

    def __init__(self, transport: Transport, metrics: ModelsMetrics, looked: Callable[[Loaded], None]) -> None:
        self._transport = transport
        self._metrics = metrics
        self._looked = looked
        self.none_installed = False  # it was asked, and lists no model at all

    async def look(self) -> bool:
        """Ask once; return whether there are any."""
        listed = await _listed(self._transport, "tags", LISTED_WITHIN_S)
        if listed is None:
            return False
        self.none_installed = not listed
        self._metrics.models_listed([model.name for model in listed])
        await self._look_at_memory()
        return bool(listed)

    async def _look_at_memory(self) -> None:
        loaded = await _listed(self._transport, "ps", LISTED_WITHIN_S)
        if loaded is not None:  # a frozen runner makes it hang: then the gauges say what was last known
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
