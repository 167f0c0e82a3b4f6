import pytest
from prometheus_client.exposition import generate_latest

from services.telemetry.families import Families


@pytest.fixture
def families() -> Families:
    return Families()


def page(families: Families) -> list[str]:
    return generate_latest(families.registry).decode().split("\n")


def test_what_is_declared_is_listed_as_a_scrape_shows_it(families: Families) -> None:
    families.histogram("gap_seconds", "gaps", (0.5, 2), ("model",)).child("m").observe(1)
    families.counter("lines", "lines", ["level"]).labels("info").inc()
    families.gauge("ready", "readiness").set(1)
    shown = page(families)

    assert families.families == [
        ("gap_seconds", "histogram", ("model",)),
        ("lines_total", "counter", ("level",)),
        ("ready", "gauge", ()),
    ]
    assert {'gap_seconds_count{model="m"} 1.0', 'lines_total{level="info"} 1.0', "ready 1.0"} <= set(shown)


def test_a_histogram_without_labels_begins_at_zero(families: Families) -> None:
    families.histogram("lag_seconds", "lag", (1,))

    assert "lag_seconds_count 0.0" in page(families)


def test_what_is_forgotten_is_on_no_page_and_begins_at_zero_when_it_comes_again(families: Families) -> None:
    gaps = families.histogram("gap_seconds", "gaps", (1,), ("op", "model"))
    lines, active = families.counter("lines", "lines", ["model", "why"]), families.gauge("active", "now", ["model"])
    alone = families.gauge("ready", "readiness")
    for model in ("gone", "here"):
        gaps.child("chat", model).observe(0.5)
        lines.labels(model, "stop").inc()
        active.labels(model).set(1)
    alone.set(1)
    families.forget("model", "gone")
    shown = page(families)
    gaps.child("chat", "gone")

    assert not [line for line in shown if "gone" in line]
    assert {'gap_seconds_count{model="here",op="chat"} 1.0', 'active{model="here"} 1.0', "ready 1.0"} <= set(shown)
    assert 'gap_seconds_count{model="gone",op="chat"} 0.0' in page(families)


def test_a_name_is_declared_once(families: Families) -> None:
    families.gauge("ready", "readiness")

    with pytest.raises(ValueError, match="Duplicated"):
        families.counter("ready", "again")
