"""What /metrics says of the log, by a process as small as one can be: the lifecycle registers it."""

import os

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.runtime.log import LEVELS, LogWriter
from services.telemetry.log_metrics import DROPPED, EVENTS, LogMetrics


@pytest.fixture
def writer() -> LogWriter:
    return LogWriter(os.open(os.devnull, os.O_WRONLY), max_lines=2)


@pytest.fixture
def registry(writer: LogWriter) -> CollectorRegistry:
    registry = CollectorRegistry()
    LogMetrics(writer, registry)
    return registry


def samples(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().split("\n") if line and not line.startswith("#")]


def test_every_level_begins_at_zero(registry: CollectorRegistry) -> None:
    assert samples(registry) == [
        *(f'llm_log_events_total{{level="{level}"}} 0.0' for level in LEVELS),
        "llm_log_dropped_total 0.0",
    ]


def test_a_scrape_reads_what_the_writer_has_counted(writer: LogWriter, registry: CollectorRegistry) -> None:
    writer.by_level["error"] += 2
    writer.close()
    for _ in range(3):
        writer.write(b"nobody takes this any more")

    assert 'llm_log_events_total{level="error"} 2.0' in samples(registry)
    assert "llm_log_dropped_total 3.0" in samples(registry)


def test_the_families_are_listed_under_the_names_of_a_scrape(registry: CollectorRegistry) -> None:
    text = generate_latest(registry).decode()

    assert [f"# TYPE {name} {kind}\n" in text for name, kind, _ in (EVENTS, DROPPED)] == [True, True]
