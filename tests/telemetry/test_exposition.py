"""prometheus_client is the witness of what our families write by themselves."""

from math import inf

import pytest
from prometheus_client import Gauge, generate_latest

from services.telemetry.counter import LoopCounter
from services.telemetry.exposition import PagedRegistry
from services.telemetry.histogram import BisectHistogram

VALUES = ["llama3:8b", "", 'a "quoted" name', "back\\slash", "two\nlines", "café"]


@pytest.fixture
def registry() -> PagedRegistry:
    return PagedRegistry()


def test_a_page_is_what_prometheus_client_writes(registry: PagedRegistry) -> None:
    counter = LoopCounter("answers", "so many", ["zone", "model"], registry=registry)
    histogram = BisectHistogram("gap_seconds", "gaps", (0.0025, 1, 30), ("stage", "error_type"), registry=registry)
    Gauge("slots", "how many", ["model"], registry=registry).labels('a "quoted" name').set(3)
    LoopCounter("plain", "without labels", registry=registry).inc(0.25)
    BisectHistogram("alone_seconds", "without labels", (1, 2), registry=registry).child().observe(1.5)
    for number, value in enumerate(VALUES):
        counter.labels(value, "m").inc(10.0**number)
        histogram.child("load", value).observe(number)

    assert registry.page() == generate_latest(registry)


@pytest.mark.parametrize("count", [0, 1, 999_999, 1_000_000, 9_999_999, 10_000_000, 123_456_789, 10**18])
def test_counts_of_every_size_are_written_as_prometheus_client_does(registry: PagedRegistry, count: int) -> None:
    LoopCounter("chunks", "chunks", registry=registry).inc(count)
    child = BisectHistogram("gap_seconds", "gaps", (1,), registry=registry).child()
    child.counts[0], child.total = count, count / 3

    assert registry.page() == generate_latest(registry)


def test_what_was_never_counted_under_any_label_is_a_family_without_samples(registry: PagedRegistry) -> None:
    BisectHistogram("gap_seconds", "gaps", (1, inf), ("model",), registry=registry)

    assert registry.page() == generate_latest(registry) == b"# HELP gap_seconds gaps\n# TYPE gap_seconds histogram\n"
