"""What all servers list and have wedged, together: for metrics that know models by name alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from proxy.upstream.models import ModelsMetrics


class AllModelsMetrics(Protocol):
    """Who shows the models."""

    def models_listed(self, names: Sequence[str]) -> None:
        """The model servers list these."""

    def models_loaded(self, server: str, vram_bytes: Mapping[str, int]) -> None:
        """A server has these in memory, with so many bytes of it the graphics card's, and no others."""

    def models_wedged(self, names: Sequence[str]) -> None:
        """These models are wedged, and no others."""


class AllModels:
    """The models of all servers.

    Args:
        named: those that the configuration names, listed or not.
    """

    def __init__(self, metrics: AllModelsMetrics, named: Iterable[str] = ()) -> None:
        self._metrics = metrics
        self._named = tuple(named)
        self._listed: dict[str, Sequence[str]] = {}
        self._wedged: dict[str, Sequence[str]] = {}
        if self._named:  # where nobody lists any, what is asked for still has a label
            metrics.models_listed(self._named)

    def of(self, server: str) -> ModelsMetrics:
        """Return who is told what ``server`` lists and holds."""
        return _OfServer(self, self._metrics, server)

    def listed(self, server: str, names: Sequence[str]) -> None:
        """A server lists these."""
        self._listed[server] = names
        every = [name for one in self._listed.values() for name in one]
        self._metrics.models_listed(list(dict.fromkeys([*every, *self._named])))

    def wedged(self, server: str, names: Sequence[str]) -> None:
        """These models are wedged at a server."""
        self._wedged[server] = names
        self._metrics.models_wedged(list(dict.fromkeys(name for one in self._wedged.values() for name in one)))


class _OfServer:
    def __init__(self, every: AllModels, metrics: AllModelsMetrics, server: str) -> None:
        self._every = every
        self._metrics = metrics
        self._server = server

    def models_listed(self, names: Sequence[str]) -> None:
        self._every.listed(self._server, names)

    def models_loaded(self, vram_bytes: Mapping[str, int]) -> None:
        self._metrics.models_loaded(self._server, vram_bytes)
