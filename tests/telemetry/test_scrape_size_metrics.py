"""How many samples a scrape of each server has: Prometheus takes 5,000 of a process, and renders them in a thread."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client.exposition import generate_latest

from gateway.metrics import GatewayMetrics
from proxy.metrics import ProxyMetrics
from services.telemetry.http_metrics import METHODS
from services.telemetry.metrics import MAX_MODELS
from services.telemetry.stream_metrics import OPERATIONS, StreamMetrics
from services.telemetry.stream_record import StreamRecord
from services.wire.events import Code

LIMIT = 5_000
LISTED = [f"model-{number}:latest" for number in range(MAX_MODELS)]
ROUTES = 30  # combinations of method, route and status that a server of ours sees in ordinary use


def samples(metrics: StreamMetrics) -> int:
    text = generate_latest(metrics.registry).decode()
    return sum(bool(line) and not line.startswith("#") for line in text.split("\n"))


def lived(metrics: StreamMetrics, model: str, kind: str, reason: str = "stop") -> None:
    """One stream of a model, from its beginning to its end."""
    stages = dict.fromkeys(("pre", "admission", "connect", "load", "backend_queue", "prefill", "decode"), 0.1)
    stages |= dict.fromkeys(("network", "client_blocked", "post", "unknown"), 0.1)
    label = metrics.stream_began(model, kind)
    metrics.gap_observer(label, kind)(0.1)
    record = StreamRecord(kind, model, reason, reason != "stop", 1, 0.1, 0.1, 10, stages, 9, 9, 9)
    measured = replace(record, max_gap_s=0.1, upstream_s=1, first_chunk_s=0.1, added_first_token_s=0, added_total_s=0)
    metrics.stream_finished(measured, label)


def listed(make: Callable[[], StreamMetrics]) -> StreamMetrics:
    """A server that knows twenty models."""
    metrics = make()
    metrics.models_listed(LISTED)
    if isinstance(metrics, ProxyMetrics):
        metrics.models_loaded("ollama", {})
    return metrics


@pytest.mark.parametrize("server", [ProxyMetrics, GatewayMetrics])
def test_twenty_models_that_nobody_asks_fill_less_than_half_of_a_scrape(server: Callable[[], StreamMetrics]) -> None:
    assert samples(listed(server)) < LIMIT / 2


@pytest.mark.parametrize("server", [ProxyMetrics, GatewayMetrics])
def test_five_models_asked_in_both_ways_fit_into_a_scrape_with_every_route(server: Callable[[], StreamMetrics]) -> None:
    """The last five of twenty, so that none of them is one whose series were there before."""
    metrics = listed(server)
    for model in LISTED[-5:]:
        for kind in OPERATIONS:
            lived(metrics, model, kind)
    lived(metrics, LISTED[-1], "chat", Code.UPSTREAM_ERROR)
    for number in range(ROUTES):
        metrics.http._duration.child(METHODS[0], "/route", str(200 + number)).observe(1)  # noqa: SLF001 as requests do

    assert samples(metrics) < LIMIT
