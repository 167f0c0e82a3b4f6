"""Which models a model server lists and which of them are in memory: asked now and then, for labels and gauges."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from proxy.upstream.progress import Loaded
from proxy.upstream.transport import Transport
from services.http.client import TransportError
from services.wire.model_names import canonical, listed_models

TIMEOUT_S: Final = 1.0


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
        listed = listed_models(await self._read("tags"))
        if listed is None:
            return False
        self.none_installed = not listed
        self._metrics.models_listed([model.name for model in listed])
        await self._look_at_memory()
        return bool(listed)

    async def _look_at_memory(self) -> None:
        loaded = listed_models(await self._read("ps"))
        if loaded is not None:  # a frozen runner makes it hang: then the gauges say what was last known
            self._metrics.models_loaded({model.name: model.vram_bytes or 0 for model in loaded})
            self._looked(frozenset(canonical(model.name) for model in loaded))

    async def _read(self, what: str) -> bytes:
        try:
            return (await self._transport.read(what, timeout_s=TIMEOUT_S)).body
        except TransportError:
            return b""
