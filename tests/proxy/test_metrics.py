import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client.exposition import generate_latest
from structlog.testing import capture_logs

from proxy import report
from proxy.metrics import ProxyMetrics, families, record_of
from proxy.tools.call_end import CallEnd
from services.wire.events import Code, Completion, ConnectionEnd, Failed, FinishReason, Thinking, Usage
from services.wire.model_names import canonical
from services.wire.request import Message
from tests.proxy.stage import REQUEST, StreamStage, a_stream

WORD = Completion(FinishReason.STOP, Usage(5, 11), load_s=0.5, prefill_s=0.25)
MODEL = 'gen_ai_request_model="llama3.2"'
AT_OLLAMA = f'{MODEL},server="ollama"'
CANARY = "canary-7f3a9"


def lived(stage: StreamStage, end: Completion | Failed | FinishReason) -> None:
    """Give the stream a life of 10 s: in line 1 s, connecting 0.5 s, waiting 2 s, speaking 5 s."""
    timeline = stage.stream.timeline
    start = timeline.accepted
    stage.stream.attempts, stage.stream.label = 1, "llama3.2"
    timeline.parsed, timeline.admitted, timeline.asked = start, start + 1, start + 1.5
    timeline.first_content, timeline.first_answer, timeline.last_content = start + 3.5, start + 4, start + 8.5
    timeline.content_reads = 10
    stage.say("Hel", "lo")
    stage.stream.finish(end)
    timeline.ended = start + 10


def sample(metrics: ProxyMetrics, name: str) -> float:
    lines = generate_latest(metrics.registry).decode().split("\n")
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])


def new_metrics() -> ProxyMetrics:
    metrics = ProxyMetrics()
    metrics.models_listed(["llama3.2"])
    metrics.stream_began("llama3.2")
    return metrics


async def test_a_record_says_what_is_counted_and_its_stages_add_up() -> None:
    async with a_stream() as stage:
        lived(stage, WORD)
        record = record_of(stage.stream)

    assert (record.reason, record.failed, record.chunks) == ("stop", False, 2)
    assert (record.input_tokens, record.output_tokens) == (5, 11)
    assert (record.duration_s, record.ttft_s, record.first_answer_s) == pytest.approx((10, 3.5, 4))
    assert (record.tokens_per_s, record.time_per_token_s) == (2.0, 0.5)
    assert sum(record.stages.values()) == pytest.approx(record.duration_s)
    assert (record.stages["load"], record.stages["prefill"]) == pytest.approx((0.5, 0.25))


async def test_a_stream_without_the_last_word_has_no_tokens_and_no_rate() -> None:
    async with a_stream() as stage:
        lived(stage, Failed(Code.UPSTREAM_TRUNCATED, "words"))
        record = record_of(stage.stream)

    assert (record.reason, record.failed) == ("upstream_truncated", True)
    assert (record.output_tokens, record.tokens_per_s, record.time_per_token_s) == (None, None, None)


ENDS: list[tuple[Completion | Failed | FinishReason, str, str]] = [
    (WORD, "stop", 'llm_usage_source_total{source="usage"}'),
    (FinishReason.CANCELLED, "cancelled", 'llm_usage_source_total{source="none"}'),
    (
        Failed(Code.UPSTREAM_TRUNCATED, "words"),
        "upstream_truncated",
        'llm_protocol_violations_total{kind="truncated",peer="ollama"}',
    ),
    (
        Failed(Code.UPSTREAM_MALFORMED, "words"),
        "upstream_malformed",
        'llm_protocol_violations_total{kind="malformed",peer="ollama"}',
    ),
]


@pytest.mark.parametrize(("end", "reason", "also"), ENDS)
async def test_a_stream_s_end_is_counted_once_under_its_reason(
    end: Completion | Failed | FinishReason, reason: str, also: str
) -> None:
    metrics = new_metrics()
    async with a_stream() as stage:
        lived(stage, end)
        metrics.stream_ended(stage.stream)

    assert sample(metrics, f'llm_streams_finished_total{{{MODEL},reason="{reason}"}}') == 1
    assert sample(metrics, also) == 1
    assert sample(metrics, f"llm_streams_active{{{MODEL}}}") == 0


@pytest.mark.parametrize(("load_s", "loads"), [(None, 0), (0.05, 0), (0.5, 1)])
async def test_a_load_is_what_took_longer_than_a_look_at_a_loaded_model(load_s: float | None, loads: int) -> None:
    metrics = new_metrics()
    async with a_stream() as stage:
        lived(stage, Completion(FinishReason.STOP, None, load_s, None))
        metrics.stream_ended(stage.stream)

    assert sample(metrics, f"ollama_model_loads_total{{{AT_OLLAMA}}}") == loads


@pytest.mark.parametrize(
    ("usage", "source", "tokens"),
    [(Usage(None, 11), "usage", (None, 11)), (Usage(5, None), "none", (5, None)), (None, "none", (None, None))],
)
async def test_a_count_that_was_not_given_is_no_sample(
    usage: Usage | None, source: str, tokens: tuple[int | None, int | None]
) -> None:
    metrics = new_metrics()
    async with a_stream() as stage:
        lived(stage, replace(WORD, usage=usage))
        metrics.stream_ended(stage.stream)

    assert sample(metrics, f'llm_usage_source_total{{source="{source}"}}') == 1
    for kind, count in zip(("input", "output"), tokens, strict=True):
        labels = f'{{{MODEL},type="{kind}"}}'
        assert sample(metrics, f"llm_request_tokens_count{labels}") == (count is not None)
        assert sample(metrics, f"llm_request_tokens_sum{labels}") == (count or 0)
        assert sample(metrics, f"llm_tokens_total{labels}") == (count or 0)


async def test_skipped_lines_are_violations() -> None:
    metrics = new_metrics()
    async with a_stream() as stage:
        stage.stream.log.skipped_lines = 3
        lived(stage, WORD)
        metrics.stream_ended(stage.stream)

    assert sample(metrics, 'llm_protocol_violations_total{kind="skipped_line",peer="ollama"}') == 3


FACTS: list[tuple[Callable[[ProxyMetrics], None], str]] = [
    (lambda metrics: metrics.permit_waited("timeout", 2.0), 'llm_admission_wait_seconds_count{result="timeout"}'),
    (
        lambda metrics: metrics.call_repeated("ollama", "503"),
        'llm_upstream_retries_total{reason="503",server="ollama"}',
    ),
    (lambda metrics: metrics.upstream_closed(0.01), "llm_upstream_cancel_seconds_count"),
]


@pytest.mark.parametrize(("fact", "name"), FACTS, ids=[name for _, name in FACTS])
def test_a_fact_is_counted_under_its_name(fact: Callable[[ProxyMetrics], None], name: str) -> None:
    metrics = new_metrics()
    before = sample(metrics, name)
    fact(metrics)

    assert (before, sample(metrics, name)) == (0, 1)


def test_a_model_in_memory_is_shown_until_it_is_gone() -> None:
    metrics = new_metrics()
    metrics.models_loaded("ollama", {"llama3.2": 42, "nobody-listed": 7})
    loaded = [sample(metrics, f"{name}{{{AT_OLLAMA}}}") for name in ("ollama_model_loaded", "ollama_model_vram_bytes")]
    metrics.models_loaded("ollama", {})
    gone = [sample(metrics, f"{name}{{{AT_OLLAMA}}}") for name in ("ollama_model_loaded", "ollama_model_vram_bytes")]

    assert (loaded, gone) == ([1, 42], [0, 0])


def test_a_wedged_model_is_shown_until_it_is_healed_and_one_that_is_not_listed_as_other() -> None:
    metrics = new_metrics()
    series = [f"llm_model_wedged{{{MODEL}}}", 'llm_model_wedged{gen_ai_request_model="_OTHER"}']
    shown = [(sample(metrics, series[0]), 0.0)]
    for wedged in (["llama3.2:latest", "nobody-listed"], ["nobody-listed"], []):
        metrics.models_wedged(wedged)
        shown.append((sample(metrics, series[0]), sample(metrics, series[1])))

    assert shown == [(0, 0), (1, 1), (0, 1), (0, 0)]


def test_permits_are_shown_by_model_and_of_models_that_nobody_lists_those_of_the_fullest_line() -> None:
    held = {canonical("llama3.2"): 2, canonical("nobody-listed"): 1, canonical("nor-this"): 3}
    metrics = new_metrics()
    series = [
        f"llm_permits_in_use{{{AT_OLLAMA}}}",
        'llm_permits_in_use{gen_ai_request_model="_OTHER",server="ollama"}',
    ]
    before = [sample(metrics, one) for one in series]
    metrics.show_permits("ollama", 4, lambda: held)
    taken = [sample(metrics, one) for one in series]
    held.clear()
    given_back = [sample(metrics, one) for one in series]

    assert (before, taken, given_back) == ([0, 0], [2, 3], [0, 0])


def test_each_of_several_servers_has_its_own_series_and_steps_begin_at_zero() -> None:
    metrics = ProxyMetrics([("gpu1", "ollama"), ("gpu2", "ollama")], [("gpu1", "gpu2")])
    metrics.models_listed(["llama3.2"])
    metrics.models_loaded("gpu2", {"llama3.2": 42})
    metrics.show_permits("gpu2", 3, lambda: {canonical("llama3.2"): 1})
    metrics.show_line("gpu1+gpu2", lambda: 5)

    at = [f'{{{MODEL},server="{name}"}}' for name in ("gpu1", "gpu2")]
    assert sample(metrics, f"ollama_model_vram_bytes{at[1]}") == 42
    assert [sample(metrics, f"llm_permits_in_use{one}") for one in at] == [0, 1]
    assert sample(metrics, 'llm_admission_slots{server="gpu2"}') == 3
    assert sample(metrics, 'llm_admission_queue_length{server="gpu1+gpu2"}') == 5
    assert sample(metrics, 'llm_upstream_retries_total{reason="503",server="gpu2"}') == 0
    assert sample(metrics, 'llm_fallbacks_total{code="refused",from="gpu1",to="gpu2"}') == 0


def test_calls_that_did_not_run_are_counted_by_their_tool_and_those_of_no_tool_of_ours_as_other() -> None:
    metrics = ProxyMetrics()
    metrics.declare_tools({"kitchen": ["oven"]})
    metrics.tool_not_run("oven", CallEnd.REFUSED)
    metrics.tool_not_run(None, CallEnd.NOT_RUN)

    assert sample(metrics, 'llm_tool_calls_total{outcome="refused",tool="oven"}') == 1
    assert sample(metrics, 'llm_tool_calls_total{outcome="expired",tool="oven"}') == 0
    assert sample(metrics, 'llm_tool_calls_total{outcome="not_run",tool="_OTHER"}') == 1
    assert sample(metrics, 'llm_tool_call_duration_seconds_count{tool="oven"}') == 0


def test_a_model_that_is_deleted_does_not_stay_in_memory_for_ever() -> None:
    metrics = new_metrics()
    metrics.models_loaded("ollama", {"llama3.2": 42})
    metrics.models_listed(["another"])
    metrics.models_loaded("ollama", {})

    assert sample(metrics, f"ollama_model_loaded{{{AT_OLLAMA}}}") == 0


@pytest.mark.parametrize(("why", "cuts"), [(None, 0), (ConnectionEnd.CLIENT_GONE, 0), (ConnectionEnd.SLOW_CLIENT, 1)])
async def test_a_reader_that_was_too_slow_is_counted_and_one_that_left_is_not(
    why: ConnectionEnd | None, cuts: int
) -> None:
    metrics = new_metrics()
    async with a_stream() as stage:
        follower = stage.join()
        if why is not None:
            follower.cut(why)
        metrics.follower_left(follower)

    assert sample(metrics, 'llm_followers_cut_total{reason="slow_client"}') == cuts


def test_every_name_is_declared_once() -> None:
    names = [name for name, _, _ in families()]

    assert len(names) == len(set(names))


# --- the one line of a stream


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (WORD, "ok"),
        (FinishReason.CANCELLED, "client"),
        (FinishReason.ABANDONED, "client"),
        (Failed(Code.MODEL_NOT_FOUND, CANARY), "client"),
        (Failed(Code.INVALID_REQUEST, CANARY), "client"),
        (Failed(Code.QUEUE_TIMEOUT, CANARY), "shed"),
        (Failed(Code.UPSTREAM_ERROR, CANARY), "upstream"),
        (Failed(Code.UPSTREAM_TIMEOUT, CANARY), "upstream"),
        (Failed(Code.INTERNAL, CANARY), "internal"),
        (Failed(Code.SHUTTING_DOWN, CANARY), "shed"),
    ],
)
async def test_the_one_line_of_a_stream_says_how_it_ended_and_no_word_of_it(
    end: Completion | Failed | FinishReason, outcome: str
) -> None:
    """P8, S11."""
    asked = replace(REQUEST, messages=(Message("user", CANARY),))
    stage = StreamStage(request=asked)
    stage.stream.log.text(Thinking, CANARY)
    with capture_logs() as lines:
        report.stream_started(stage.stream)
        stage.say(CANARY)
        lived(stage, end)
        record = record_of(stage.stream)
        report.stream_finished(stage.stream, record, "llama3.2")
    started, finished = lines

    assert (started["event"], started["log_level"]) == ("stream.started", "debug")
    assert (finished["event"], finished["outcome"], finished["reason"]) == ("stream.finished", outcome, record.reason)
    assert sum(finished["stages"].values()) == pytest.approx(finished["dur_ms"], abs=0.1)
    assert CANARY not in json.dumps(lines)
