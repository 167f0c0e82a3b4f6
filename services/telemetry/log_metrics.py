"""What the log says of itself on /metrics: lines written by level, and lines lost."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from services.runtime.log import LogWriter
from services.telemetry.families import Family

EVENTS: Final[Family] = ("llm_log_events_total", "counter", ("level",))
DROPPED: Final[Family] = ("llm_log_dropped_total", "counter", ())


class LogMetrics(Collector):
    """Reads the counts of a writer when it is scraped; the lifecycle registers it, since the log is its own."""

    def __init__(self, writer: LogWriter, registry: CollectorRegistry) -> None:
        self._writer = writer
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return both families; called in the scrape's thread."""
        events = CounterMetricFamily("llm_log_events", "lines of the log, by level", labels=EVENTS[2])
        for level, count in self._writer.by_level.copy().items():
            events.add_metric([level], count)
        yield events
        yield CounterMetricFamily("llm_log_dropped", "lines that were lost", value=self._writer.dropped)
