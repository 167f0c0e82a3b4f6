from enum import StrEnum

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.telemetry.counter import LoopCounter


class Why(StrEnum):
    FULL = "full"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def samples(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().split("\n") if line and not line.startswith("#")]


def test_a_counter_without_labels_begins_at_zero_and_adds_up(registry: CollectorRegistry) -> None:
    waited = LoopCounter("waited_seconds", "Waited.", registry=registry)
    at_start = samples(registry)

    waited.inc()
    waited.inc(0.5)

    assert at_start == ["waited_seconds_total 0.0"]
    assert samples(registry) == ["waited_seconds_total 1.5"]


def test_a_series_is_one_by_its_values_whatever_kind_of_string_they_are(registry: CollectorRegistry) -> None:
    refused = LoopCounter("refused", "Refused.", ["model", "why"], registry=registry)

    refused.labels("m", Why.FULL).inc()
    refused.labels("m", "full").inc()

    assert samples(registry) == ['refused_total{model="m",why="full"} 2.0']


def test_the_series_with_a_label_value_go_together(registry: CollectorRegistry) -> None:
    refused = LoopCounter("refused", "Refused.", ["model", "why"], registry=registry)
    for model in ("gone", "here"):
        refused.labels(model, "full").inc()

    refused.remove_by_labels({"model": "gone"})

    assert samples(registry) == ['refused_total{model="here",why="full"} 1.0']


def test_too_few_label_values_are_a_mistake(registry: CollectorRegistry) -> None:
    refused = LoopCounter("refused", "Refused.", ["why"], registry=registry)

    with pytest.raises(ValueError, match="labels"):
        refused.labels()


def test_a_name_is_registered_once(registry: CollectorRegistry) -> None:
    LoopCounter("refused", "Refused.", registry=registry)

    with pytest.raises(ValueError, match="Duplicated"):
        LoopCounter("refused", "Again.", registry=registry)
