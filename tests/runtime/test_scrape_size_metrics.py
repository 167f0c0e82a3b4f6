"""How many samples a scrape of each server has: Prometheus takes 5,000 of a process, and renders them in a thread."""

import pytest
from prometheus_client.exposition import generate_latest

from gateway.metrics import GatewayMetrics
from proxy.metrics import ProxyMetrics
from services.runtime.http_metrics import METHODS
from services.runtime.metrics import MAX_MODELS
from services.runtime.stream_metrics import OPERATIONS, StreamMetrics
from services.runtime.stream_record import StreamRecord
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
    failed = reason != "stop"
    numbers = dict.fromkeys(("ttft_s", "first_answer_s", "time_per_token_s", "tokens_per_s", "max_gap_s"), 0.1)
    numbers |= dict.fromkeys(("upstream_s", "first_chunk_s", "added_first_token_s", "added_total_s"), 0.1)
    metrics.stream_began(model, kind)
    metrics.gap_observer(model, kind)(0.1)
    metrics.stream_left(model)
    metrics.stream_finished(
        StreamRecord(
            kind=kind,
            model=model,
            reason=reason,
            failed=failed,
            duration_s=1,
            stages=stages,
            chunks=9,
            input_tokens=9,
            output_tokens=9,
            **numbers,
        )
    )


@pytest.mark.parametrize("server", [ProxyMetrics, GatewayMetrics])
def test_twenty_models_that_nobody_asks_fill_less_than_half_of_a_scrape(server: type[StreamMetrics]) -> None:
    metrics = server()
    metrics.models_listed(LISTED)
    if isinstance(metrics, ProxyMetrics):
        metrics.models_loaded(LISTED, {})

    assert samples(metrics) < LIMIT / 2


@pytest.mark.parametrize("server", [ProxyMetrics, GatewayMetrics])
def test_five_models_asked_in_both_ways_fit_into_a_scrape_with_every_route(server: type[StreamMetrics]) -> None:
    """The last five of twenty, so that none of them is one whose series were there before."""
    metrics = server()
    metrics.models_listed(LISTED)
    if isinstance(metrics, ProxyMetrics):
        metrics.models_loaded(LISTED, {})
    for model in LISTED[-5:]:
        for kind in OPERATIONS:
            lived(metrics, model, kind)
    lived(metrics, LISTED[-1], "chat", Code.UPSTREAM_ERROR)
    for number in range(ROUTES):
        metrics.http._duration.child(METHODS[0], "/route", str(200 + number)).observe(1)  # noqa: SLF001 as requests do

    assert samples(metrics) < LIMIT
