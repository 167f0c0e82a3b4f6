from math import inf, nan

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.telemetry.histogram import BisectHistogram


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def lag(registry: CollectorRegistry) -> BisectHistogram:
    return BisectHistogram("lag_seconds", "Lag.", (0.5, 2), registry=registry)


def samples(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().split("\n") if line and not line.startswith("#")]


def test_a_series_shows_cumulative_buckets_sum_and_count_from_its_making_on(registry: CollectorRegistry) -> None:
    child = lag(registry).child()
    at_start = samples(registry)

    for value in (0.25, 0.5, 1.0, 5.0):
        child.observe(value)

    assert at_start == [
        'lag_seconds_bucket{le="0.5"} 0.0',
        'lag_seconds_bucket{le="2.0"} 0.0',
        'lag_seconds_bucket{le="+Inf"} 0.0',
        "lag_seconds_count 0.0",
        "lag_seconds_sum 0.0",
    ]
    assert samples(registry) == [
        'lag_seconds_bucket{le="0.5"} 2.0',
        'lag_seconds_bucket{le="2.0"} 3.0',
        'lag_seconds_bucket{le="+Inf"} 4.0',
        "lag_seconds_count 4.0",
        "lag_seconds_sum 6.75",
    ]


def test_a_negative_value_counts_as_zero_and_what_is_no_number_not_at_all(registry: CollectorRegistry) -> None:
    child = lag(registry).child()

    for value in (-1.0, nan, inf, -inf):
        child.observe(value)

    assert samples(registry)[-2:] == ["lag_seconds_count 2.0", "lag_seconds_sum 0.0"]


def test_a_label_set_has_one_child(registry: CollectorRegistry) -> None:
    histogram = BisectHistogram("gap_seconds", "Gaps.", (1,), ["model", "stage"], registry=registry)

    assert histogram.child("m", "load") is histogram.child("m", "load")
    assert histogram.child("m", "load") is not histogram.child("m", "prefill")
    with pytest.raises(ValueError, match="'model', 'stage'"):
        histogram.child("m")


def test_the_same_name_cannot_be_registered_twice(registry: CollectorRegistry) -> None:
    lag(registry)

    with pytest.raises(ValueError, match="Duplicated"):
        lag(registry)
