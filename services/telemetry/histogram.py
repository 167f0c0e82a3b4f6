"""Histograms cheap enough for the token path.

prometheus_client scans its buckets and takes two locks for each observation (about 1 µs); here the event loop's thread
is the only writer and finds the bucket by bisection (about 90 ns). The scrape's thread reads copies and adds them up.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from services.telemetry.exposition import TextCollector, braced, heading, label_pairs, number

# Bounds of the project's metrics. A limit that somebody promises (2 s to the first token, gaps of 1 s) is a bound.
# fmt: off
TTFT_BUCKETS_S: Final = (.025, .05, .1, .15, .25, .4, .6, .8, 1, 1.5, 2, 3, 5, 8, 12, 20, 30, 60, 120, 300)
GAP_BUCKETS_S: Final = (
    .0025, .005, .0075, .01, .015, .02, .03, .04, .05, .075, .1, .15, .25, .5, 1, 2.5, 5, 10, 30,
)
DURATION_BUCKETS_S: Final = (.05, .1, .25, .5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200)
OWN_LATENCY_BUCKETS_S: Final = (.0001, .00025, .0005, .001, .002, .003, .005, .0075, .01, .025, .05, .1, .25, 1)
QUEUE_BUCKETS_S: Final = (.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120)
STAGE_BUCKETS_S: Final = (.0005, .001, .005, .01, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 120, 300)
RATE_BUCKETS: Final = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000)  # tokens per second
LAG_BUCKETS_S: Final = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5)
TOKENS_BUCKETS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144)
# fmt: on


class BisectChild:
    """One series of a histogram; written by the event loop's thread only."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one is beyond every bound
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value. A negative one counts as 0; NaN and infinity are dropped: they would stay in the sum."""
        if value < inf:  # false for NaN, too
            if value < 0.0:  # noqa: PLR1730 a call of max() costs as much as the rest
                value = 0.0
            self.counts[bisect_left(self._bounds, value)] += 1
            self.total += value


class BisectHistogram(TextCollector):
    """A histogram made of :class:`BisectChild`, registered as its own collector.

    Args:
        name: of the metric, unit included.
        documentation: its help text.
        buckets: upper bounds, ascending, +Inf excluded.
        labels: label names.
        registry: where it is registered.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[float],
        labels: Sequence[str] = (),
        *,
        registry: CollectorRegistry,
    ) -> None:
        self.name = name
        self.labels = tuple(labels)
        self._documentation = documentation
        self._buckets = tuple(buckets)
        self._bound_names = [*map(str, map(float, self._buckets)), "+Inf"]  # "2.0": Prometheus before 3 compares text
        self._children: dict[tuple[str, ...], BisectChild] = {}
        registry.register(self)

    def child(self, *values: str) -> BisectChild:
        """Return the series with these label values, made at the first call: keep it, and bound the values."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}")
        found = self._children.get(values)
        if found is None:
            found = self._children[values] = BisectChild(self._buckets)
        return found

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Remove every series that has all these labels, as prometheus_client's own metrics do."""
        wanted = {self.labels.index(label): value for label, value in labels.items()}
        for values in tuple(self._children):
            if all(values[index] == value for index, value in wanted.items()):
                del self._children[values]

    def describe(self) -> Iterator[Metric]:
        """Name the family without its samples, so that registering it twice is refused."""
        yield HistogramMetricFamily(self.name, self._documentation, labels=self.labels)

    def text(self) -> str:
        """Return its lines of the page; called in the scrape's thread."""
        lines = [heading(self.name, "histogram", self._documentation)]
        for values, child in self._children.copy().items():
            lines += self._lines(values, child)
        return "".join(lines)

    def _lines(self, values: tuple[str, ...], child: BisectChild) -> Iterator[str]:
        pairs = label_pairs(self.labels, values)
        before = "".join(f"{pair}," for name, pair in pairs if name < "le")
        after = "".join(f",{pair}" for name, pair in pairs if name > "le")
        counts = list(map(number, accumulate(child.counts.copy())))
        begin, end = f'{self.name}_bucket{{{before}le="', f'"{after}}} '
        for bound, count in zip(self._bound_names, counts, strict=True):
            yield f"{begin}{bound}{end}{count}\n"
        labels = braced([pair for _, pair in pairs])
        yield f"{self.name}_count{labels} {counts[-1]}\n"
        yield f"{self.name}_sum{labels} {number(child.total)}\n"

    def collect(self) -> Iterator[Metric]:
        """Return the family as prometheus_client sees it."""
        family = HistogramMetricFamily(self.name, self._documentation, labels=self.labels)
        for values, child in self._children.copy().items():
            counts = accumulate(child.counts.copy())
            family.add_metric(values, list(zip(self._bound_names, counts, strict=True)), child.total)
        yield family
