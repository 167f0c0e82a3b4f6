"""Every series that Prometheus has of servers that have just started: what a rule or a panel can count on."""

import os
from collections.abc import Iterator, Mapping
from functools import cache

from gateway.metrics import GatewayMetrics
from proxy.metrics import ProxyMetrics
from services.runtime.log import LogWriter
from services.telemetry.log_metrics import LogMetrics
from tests.monitoring.rules import records

Series = tuple[str, Mapping[str, str]]
OF_PROMETHEUS = ("up", "scrape_samples_scraped", "scrape_duration_seconds", "ALERTS")
"""Series of each target that Prometheus itself makes."""


@cache
def first_series() -> tuple[Series, ...]:
    """Return them by name and labels, those that are recorded included."""
    return tuple(_all())


def _all() -> Iterator[Series]:
    reader, writer = os.pipe()
    log = LogWriter(writer)
    proxy = ProxyMetrics([("ollama", "ollama"), ("groq", "groq")], [("ollama", "groq")])
    proxy.key_checked("groq", ok=True)
    proxy.declare_tools({"time": ["clock"]})
    proxy.show_permits("ollama", 1, dict)
    proxy.show_line("ollama", int)
    for job, metrics in (("gateway", GatewayMetrics()), ("proxy", proxy)):
        metrics.models_listed(["llama3.2"])
        LogMetrics(log, metrics.registry)
        target = {"job": job, "instance": f"{job}:9000"}
        for family in metrics.registry.collect():
            for sample in family.samples:
                yield sample.name, {**sample.labels, **target}
        for name in OF_PROMETHEUS:
            yield name, target
        for rule in records():
            yield rule.record, {"job": job}
    log.close()
    os.close(reader)
    os.close(writer)
