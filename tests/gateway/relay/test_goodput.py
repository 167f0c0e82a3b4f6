import pytest

from gateway.metrics import GatewayMetrics
from gateway.relay.connection import ClientConnection
from gateway.relay.goodput import MAX_GAP_S, TIME_PER_TOKEN_S, TTFT_S, is_good
from services.telemetry.histogram import GAP_BUCKETS_S, TTFT_BUCKETS_S
from services.wire.events import Code, ConnectionEnd, FinishReason


@pytest.mark.parametrize(
    ("ttft_s", "time_per_token_s", "max_gap_s", "good"),
    [
        (TTFT_S, TIME_PER_TOKEN_S, MAX_GAP_S, True),
        (TTFT_S + 0.001, 0.01, 0.1, False),
        (0.1, TIME_PER_TOKEN_S + 0.001, 0.1, False),
        (0.1, 0.01, MAX_GAP_S + 0.001, False),
        (0.1, None, None, True),
        (None, None, None, True),
    ],
)
def test_an_answer_is_good_when_it_kept_every_limit_that_could_be_measured(
    ttft_s: float | None, time_per_token_s: float | None, max_gap_s: float | None, *, good: bool
) -> None:
    """A limit itself is kept; an answer of one token has no pace and no gap."""
    assert is_good(ttft_s, time_per_token_s, max_gap_s) is good


def test_each_limit_is_a_bound_of_its_histogram() -> None:
    """Else the objective could not be read off the histogram: trap 4 of the metrics' design."""
    assert TTFT_S in TTFT_BUCKETS_S
    assert {TIME_PER_TOKEN_S, MAX_GAP_S} <= set(GAP_BUCKETS_S)


def ended(reason: str, *, asks: bool = True, took_s: float = 0.5) -> ClientConnection:
    """A connection with its first content after ``took_s``."""
    connection = ClientConnection.begin("request-1", "/api/chat/stream", "chat")
    connection.model, connection.reason, connection.asks, connection.began = "llama3.2", reason, asks, asks
    timeline = connection.timeline
    timeline.first_content = timeline.last_content = timeline.accepted + took_s
    timeline.ended = timeline.accepted + 10
    return connection


@pytest.mark.parametrize(
    ("reason", "good"),
    [
        (FinishReason.STOP, True),
        (FinishReason.LENGTH, True),
        (FinishReason.TOOL_CALLS, True),
        (Code.UPSTREAM_ERROR, False),
        (Code.UPSTREAM_TIMEOUT, False),
        (Code.OVERLOADED, False),
        (Code.SHUTTING_DOWN, False),
        (Code.INTERNAL, False),
        (FinishReason.CANCELLED, None),
        (FinishReason.ABANDONED, None),
        (Code.INVALID_REQUEST, None),
        (Code.MODEL_NOT_FOUND, None),
        *((end, None) for end in ConnectionEnd),
    ],
)
def test_what_failed_or_was_shed_is_not_good_and_what_the_client_did_is_not_judged(
    reason: str, *, good: bool | None
) -> None:
    assert ended(reason).record().good is good


def test_a_late_first_token_spoils_a_whole_answer() -> None:
    assert ended(FinishReason.STOP, took_s=2.5).record().good is False


def test_who_follows_an_answer_that_another_asked_for_is_not_judged() -> None:
    """A replay is fast, and one answer has one verdict."""
    assert ended(FinishReason.STOP, asks=False).record().good is None


def test_verdicts_are_counted_by_model() -> None:
    metrics = GatewayMetrics()
    metrics.models_listed(["llama3.2"])
    for connection in (ended("stop"), ended("stop", took_s=3), ended("overloaded"), ended("cancelled")):
        metrics.connection_ended(connection)
    counted = {
        (one.labels["gen_ai_request_model"], one.labels["good"]): one.value
        for family in metrics.goodput.collect()
        for one in family.samples
    }

    assert counted == {
        ("llama3.2", "true"): 1,
        ("llama3.2", "false"): 2,
        ("_OTHER", "true"): 0,
        ("_OTHER", "false"): 0,
    }
