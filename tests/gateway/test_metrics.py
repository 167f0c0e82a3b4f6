import json
from typing import Any

import pytest
from prometheus_client.exposition import generate_latest
from structlog.testing import capture_logs

from gateway.metrics import MAX_KEYS, OTHER_KEY, GatewayMetrics, families
from gateway.relay.connection import ClientConnection
from gateway.report import ConnectionLog
from services.wire.events import Code, ConnectionEnd, FinishReason
from tests.gateway.relay.relaying import relaying
from tests.gateway.stage import START, ListHop, done, tokens

MODEL = 'gen_ai_request_model="llama3.2"'
CANARY = "canary-7f3a9"


def new_metrics() -> GatewayMetrics:
    metrics = GatewayMetrics()
    metrics.models_listed(["llama3.2"])
    return metrics


def new_connection(reason: str | None = None) -> ClientConnection:
    connection = ClientConnection.begin("request-1", "/api/chat/stream", "chat")
    connection.model, connection.reason, connection.began = "llama3.2", reason, True
    connection.timeline.ended = connection.timeline.accepted + 2
    return connection


def sample(metrics: GatewayMetrics, name: str) -> float:
    lines = generate_latest(metrics.registry).decode().split("\n")
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])


@pytest.mark.parametrize("reason", [*FinishReason, *ConnectionEnd, Code.UPSTREAM_ERROR, Code.INTERNAL])
def test_a_connection_s_end_is_counted_under_its_word(reason: str) -> None:
    metrics = new_metrics()
    metrics.connection_ended(new_connection(reason))

    assert sample(metrics, f'llm_streams_finished_total{{{MODEL},reason="{reason}"}}') == 1


@pytest.mark.parametrize(("admitted", "rejections"), [(False, 1), (True, 0)])
def test_a_refusal_at_the_door_is_counted_there_and_a_proxy_s_is_not(*, admitted: bool, rejections: int) -> None:
    metrics = new_metrics()
    connection = new_connection(Code.OVERLOADED)
    connection.timeline.admitted = connection.timeline.accepted if admitted else None
    metrics.connection_ended(connection)

    assert sample(metrics, 'llm_admission_rejected_total{reason="overloaded"}') == rejections


def test_a_model_that_is_listed_while_its_connection_runs_leaves_no_gauge_behind() -> None:
    metrics, connection = GatewayMetrics(), new_connection("stop")
    connection.label, connection.asks = metrics.stream_began("llama3.2"), True
    metrics.models_listed(["llama3.2"])
    metrics.connection_ended(connection)
    other = 'gen_ai_request_model="_OTHER"'

    assert sample(metrics, f"llm_streams_active{{{other}}}") == sample(metrics, f"llm_streams_active{{{MODEL}}}") == 0
    assert sample(metrics, f'llm_streams_finished_total{{{other},reason="stop"}}') == 1
    assert sample(metrics, f'llm_goodput_requests_total{{{other},good="true"}}') == 1


async def test_what_a_hop_brought_against_the_protocol_is_counted() -> None:
    metrics, hop = new_metrics(), ListHop()
    async with relaying(hop, None) as (scene, task):
        hop.brings(START)
        hop.on_bytes(b"event: done\ndata: 7\n\n")
        await task
        connection = new_connection(scene.relay.end_reason)
        connection.relay = scene.relay
        metrics.connection_ended(connection)

    assert sample(metrics, 'llm_protocol_violations_total{kind="broken_hop",peer="proxy"}') == 1


def test_how_long_a_hop_took_to_close_is_observed() -> None:
    metrics = new_metrics()
    metrics.hop_closed(0.01)

    assert sample(metrics, "llm_upstream_cancel_seconds_count") == 1


def test_every_name_is_declared_once() -> None:
    names = [name for name, _, _ in families()]

    assert len(names) == len(set(names))


# --- the one line of a connection


def test_only_keys_that_were_wished_for_have_series_of_their_own_and_no_more_than_two_hundred() -> None:
    metrics = new_metrics()
    metrics.key_used("a1B2c3D4", 5)
    metrics.show_keys(f"{number:08}" for number in range(MAX_KEYS + 1))
    for key_id in ("00000000", f"{MAX_KEYS:08}"):
        metrics.key_used(key_id, 7)

    assert sample(metrics, 'llm_key_tokens_total{key_id="00000000"}') == 7
    assert sample(metrics, f'llm_key_tokens_total{{key_id="{OTHER_KEY}"}}') == 5 + 7
    assert generate_latest(metrics.registry).count(b"llm_key_tokens_total{") == MAX_KEYS + 1


def test_a_key_that_comes_later_has_series_while_there_is_room_and_those_that_stay_take_it_once() -> None:
    metrics, ids = new_metrics(), [f"{number:08}" for number in range(MAX_KEYS)]
    metrics.show_keys(ids[:-1])
    metrics.show_keys(ids)
    metrics.key_used(ids[-1], 7)

    assert sample(metrics, f'llm_key_tokens_total{{key_id="{ids[-1]}"}}') == 7


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("stop", "ok"),
        ("length", "ok"),
        ("cancelled", "client"),
        ("client_gone", "client"),
        ("slow_client", "client"),
        ("handed_over", "client"),
        (Code.INVALID_REQUEST, "client"),
        (Code.STREAM_GONE, "client"),
        (Code.OVERLOADED, "shed"),
        (Code.QUEUE_TIMEOUT, "shed"),
        (Code.SHUTTING_DOWN, "shed"),
        (Code.CONCURRENCY_LIMITED, "shed"),
        (Code.UPSTREAM_DISCONNECTED, "upstream"),
        (Code.UPSTREAM_UNAVAILABLE, "upstream"),
        (Code.INTERNAL, "internal"),
        ("a_newer_proxy_s_word", "upstream"),
    ],
)
def test_the_one_line_of_a_connection_says_whose_doing_its_end_was(reason: str, outcome: str) -> None:
    with capture_logs() as lines:
        ConnectionLog(new_metrics()).ended(new_connection(reason))

    assert [(line["event"], line["outcome"], line["reason"]) for line in lines] == [
        ("stream.finished", outcome, str(reason))
    ]


async def test_the_one_line_of_a_connection_holds_its_numbers_and_no_word_of_the_answer() -> None:
    """P8, S11."""
    hop = ListHop()
    async with relaying(hop) as (scene, task):
        connection = new_connection()
        connection.relay, connection.timeline = scene.relay, scene.timeline
        timeline = connection.timeline
        timeline.parsed = timeline.admitted = timeline.asked = timeline.accepted
        hop.brings(START, tokens(CANARY), done(3))
        hop.ends()
        await task
        connection.reason = scene.relay.end_reason
        timeline.ended = (timeline.answered or 0) + 0.5
        with capture_logs() as lines:
            report = ConnectionLog(new_metrics())
            report.started(connection)
            report.ended(connection)
    started, finished = lines
    numbers: dict[str, Any] = finished["stages"]

    assert started["log_level"] == "debug"
    assert (finished["tokens_out"], finished["chunks_out"]) == (34, 1)
    assert finished["bytes_out"] == scene.sink.written
    assert finished["proxy_timing"]["prefill_ms"] == 120
    assert sum(numbers.values()) == pytest.approx(finished["dur_ms"], abs=0.1)
    assert CANARY not in json.dumps(lines)
