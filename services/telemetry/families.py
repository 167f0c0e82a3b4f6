"""Metric families as they are declared: on one registry, and in the list that docs/metrics.md is held to."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from prometheus_client import Gauge

from services.telemetry.counter import LoopCounter
from services.telemetry.histogram import BisectHistogram
from services.telemetry.metrics import process_registry

Family = tuple[str, str, tuple[str, ...]]
"""A metric's name as a scrape shows it, its type, and its labels."""


class Families:
    """Declares metrics, each once.

    Attributes:
        families: what was declared; the stock statistics of the process stand beside it on the registry.
    """

    def __init__(self) -> None:
        self.registry = process_registry()
        self.families: list[Family] = []
        self._removers: defaultdict[str, list[Callable[[dict[str, str]], None]]] = defaultdict(list)

    def histogram(self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> BisectHistogram:
        """Declare a histogram; without labels its one series begins now."""
        self.families.append((name, "histogram", tuple(labels)))
        family = BisectHistogram(name, text, buckets, labels, registry=self.registry)
        self._can_forget(labels, family.remove_by_labels)
        if not labels:
            family.child()
        return family

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> LoopCounter:
        """Declare a counter; a scrape shows ``name`` with ``_total`` behind it."""
        self.families.append((f"{name}_total", "counter", tuple(labels)))
        family = LoopCounter(name, text, labels, registry=self.registry)
        self._can_forget(labels, family.remove_by_labels)
        return family

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Declare a gauge."""
        self.families.append((name, "gauge", tuple(labels)))
        family = Gauge(name, text, labels, registry=self.registry)
        self._can_forget(labels, family.remove_by_labels)
        return family

    def forget(self, label: str, value: str) -> None:
        """Remove the series with this label value from every family: nothing may be counted under it any more."""
        for remove in self._removers[label]:
            remove({label: value})

    def _can_forget(self, labels: Sequence[str], remove: Callable[[dict[str, str]], None]) -> None:
        for label in labels:
            self._removers[label].append(remove)
