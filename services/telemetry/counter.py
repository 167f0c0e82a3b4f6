"""Counters cheap enough for every request.

prometheus_client makes each label value a string, takes two locks and calls five functions to add one (4 µs); here the
event loop's thread is the only writer, and a series is a dict's entry with a number. The scrape's thread reads copies.
"""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from services.telemetry.exposition import TextCollector, braced, heading, label_pairs, number


class LoopCounterChild:
    """One series of a counter; written by the event loop's thread only."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1.0) -> None:
        """Count ``by`` more; never a negative number."""
        self.value += by


class LoopCounter(TextCollector):
    """A counter made of :class:`LoopCounterChild`, registered as its own collector.

    Args:
        name: of the metric, unit included; a scrape shows it with ``_total`` behind it.
        documentation: its help text.
        labels: label names; without them its one series begins at zero.
        registry: where it is registered.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._children: dict[tuple[str, ...], LoopCounterChild] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> LoopCounterChild:
        """Return the series with these label values, made at the first call: bound the values."""
        found = self._children.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {self._labels}")
            found = self._children[values] = LoopCounterChild()
        return found

    def inc(self, by: float = 1.0) -> None:
        """Count ``by`` more in the one series of a counter without labels."""
        self.labels().inc(by)

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Remove every series that has all these labels, as prometheus_client's own metrics do."""
        wanted = {self._labels.index(label): value for label, value in labels.items()}
        for values in tuple(self._children):
            if all(values[index] == value for index, value in wanted.items()):
                del self._children[values]

    def describe(self) -> Iterator[Metric]:
        """Name the family without its samples, so that registering it twice is refused."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._labels)

    def text(self) -> str:
        """Return its lines of the page; called in the scrape's thread."""
        lines = [heading(f"{self._name}_total", "counter", self._documentation)]
        for values, child in self._children.copy().items():
            labels = braced([pair for _, pair in label_pairs(self._labels, values)])
            lines.append(f"{self._name}_total{labels} {number(child.value)}\n")
        return "".join(lines)

    def collect(self) -> Iterator[Metric]:
        """Return the family as prometheus_client sees it."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, child in self._children.copy().items():
            family.add_metric([str(value) for value in values], child.value)
        yield family
