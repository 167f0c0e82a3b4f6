from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from services.telemetry.log_metrics import DROPPED, EVENTS
from services.telemetry.metrics import OTHER_MODEL
from services.telemetry.stream_metrics import StreamMetrics
from services.telemetry.stream_record import StreamRecord

STAGES = ("pre", "post")
RECORD = StreamRecord(
    kind="chat",
    model="llama3.2",
    reason="stop",
    failed=False,
    duration_s=2.0,
    ttft_s=0.5,
    first_answer_s=0.75,
    tokens_per_s=20.0,
    stages={"pre": 0.25, "post": 0.5, "another tier's": 1.25},
    chunks=30,
    input_tokens=12,
    output_tokens=31,
)
OP = 'gen_ai_operation_name="chat",gen_ai_provider_name="ollama",gen_ai_request_model="llama3.2"'
MODEL = 'gen_ai_request_model="llama3.2"'


def new_metrics() -> StreamMetrics:
    metrics = StreamMetrics(
        canonical=str.lower,
        provider="ollama",
        upstream="ollama",
        stages=STAGES,
        reasons=("stop", "cancelled", "upstream_error"),
        rejections=("overloaded",),
        retries=("refused",),
    )
    metrics.models_listed(["llama3.2"])
    return metrics


@pytest.fixture
def metrics() -> StreamMetrics:
    return new_metrics()


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """The exposition, as a scrape reads it."""
    lines = generate_latest(registry).decode().split("\n")
    return {name: float(value) for name, _, value in map(_parted, lines) if name}


def _parted(line: str) -> tuple[str, str, str]:
    return ("", "", "") if line.startswith("#") else line.rpartition(" ")


def changed(metrics: StreamMetrics, record: StreamRecord) -> dict[str, float]:
    """What a finished stream adds, the statistics of the process left out."""
    before = samples(metrics.registry)
    metrics.stream_finished(record, None)
    after = samples(metrics.registry)
    ours = (name for name in after if name.startswith(("llm_", "gen_ai_")) and "_bucket" not in name)
    return {name: after[name] - before.get(name, 0) for name in ours if after[name] != before.get(name, 0)}


def test_a_finished_stream_is_counted_once_in_every_family_it_has_a_number_for(metrics: StreamMetrics) -> None:
    added = changed(metrics, RECORD)

    assert added == {
        f'llm_streams_finished_total{{{MODEL},reason="stop"}}': 1,
        f"llm_chunks_total{{{MODEL}}}": 30,
        f'llm_tokens_total{{{MODEL},type="input"}}': 12,
        f'llm_tokens_total{{{MODEL},type="output"}}': 31,
        f'gen_ai_server_request_duration_seconds_count{{error_type="",{OP}}}': 1,
        f'gen_ai_server_request_duration_seconds_sum{{error_type="",{OP}}}': 2,
        f"gen_ai_server_time_to_first_token_seconds_count{{{OP}}}": 1,
        f"gen_ai_server_time_to_first_token_seconds_sum{{{OP}}}": 0.5,
        f"llm_time_to_first_answer_seconds_count{{{OP}}}": 1,
        f"llm_time_to_first_answer_seconds_sum{{{OP}}}": 0.75,
        f"gen_ai_server_time_per_output_token_seconds_count{{{OP}}}": 1,
        f"gen_ai_server_time_per_output_token_seconds_sum{{{OP}}}": pytest.approx(0.05),
        f"llm_output_tokens_per_second_count{{{MODEL}}}": 1,
        f"llm_output_tokens_per_second_sum{{{MODEL}}}": 20,
        f'llm_stage_duration_seconds_count{{{MODEL},stage="pre"}}': 1,
        f'llm_stage_duration_seconds_sum{{{MODEL},stage="pre"}}': 0.25,
        f'llm_stage_duration_seconds_count{{{MODEL},stage="post"}}': 1,
        f'llm_stage_duration_seconds_sum{{{MODEL},stage="post"}}': 0.5,
    }


def test_what_is_not_known_is_not_counted(metrics: StreamMetrics) -> None:
    """An estimate would be a lie: without the model server's count there are no tokens and no rate."""
    unknown = replace(
        RECORD,
        ttft_s=None,
        first_answer_s=None,
        tokens_per_s=None,
        input_tokens=None,
        output_tokens=None,
    )

    added = changed(metrics, unknown)

    assert not [name for name in added if "token" in name.partition("{")[0] or "first" in name]
    assert added[f"llm_chunks_total{{{MODEL}}}"] == 30


def test_a_failed_stream_s_duration_stands_under_its_error(metrics: StreamMetrics) -> None:
    added = changed(metrics, replace(RECORD, reason="upstream_error", failed=True))

    assert added[f'gen_ai_server_request_duration_seconds_count{{error_type="upstream_error",{OP}}}'] == 1
    assert f'gen_ai_server_request_duration_seconds_count{{error_type="",{OP}}}' not in added
    assert added[f'llm_streams_finished_total{{{MODEL},reason="upstream_error"}}'] == 1


def test_a_cancelled_stream_is_no_error(metrics: StreamMetrics) -> None:
    added = changed(metrics, replace(RECORD, reason="cancelled"))

    assert added[f'gen_ai_server_request_duration_seconds_count{{error_type="",{OP}}}'] == 1


def test_a_model_that_nobody_listed_shares_one_label(metrics: StreamMetrics) -> None:
    """S9, T20: random names make no series."""
    before = len(samples(metrics.registry))
    for number in range(300):
        label = metrics.stream_began(f"random-{number}")
        metrics.gap_observer(label)(0.1)
        metrics.stream_finished(replace(RECORD, model=f"random-{number}"), label)
    after = samples(metrics.registry)

    assert len(after) == before
    assert after[f'llm_streams_finished_total{{gen_ai_request_model="{OTHER_MODEL}",reason="stop"}}'] == 300
    assert after[f'llm_streams_active{{gen_ai_request_model="{OTHER_MODEL}"}}'] == 0


def test_a_deleted_model_s_series_go_when_another_needs_the_place(metrics: StreamMetrics) -> None:
    """Twenty models at most have series, however many come and go."""
    for number in range(200):
        name = f"m{number}"
        metrics.models_listed([name])
        metrics.stream_finished(replace(RECORD, model=name), metrics.stream_began(name))
    seen = samples(metrics.registry)
    labels = {name.partition('request_model="')[2].partition('"')[0] for name in seen if 'request_model="' in name}

    assert labels == {OTHER_MODEL, *(f"m{number}" for number in range(180, 200))}
    assert seen['llm_streams_finished_total{gen_ai_request_model="m199",reason="stop"}'] == 1


def test_a_model_that_is_deleted_while_its_stream_runs_keeps_its_series(metrics: StreamMetrics) -> None:
    label = metrics.stream_began("llama3.2")
    metrics.models_listed([f"m{number}" for number in range(20)])
    running = samples(metrics.registry)[f"llm_streams_active{{{MODEL}}}"]
    metrics.stream_finished(RECORD, label)
    left = samples(metrics.registry)[f"llm_streams_active{{{MODEL}}}"]
    metrics.models_listed([f"m{number}" for number in range(20)])

    assert (running, left) == (1, 0)
    assert f"llm_streams_active{{{MODEL}}}" not in samples(metrics.registry)


def test_what_runs_is_counted_up_and_down(metrics: StreamMetrics) -> None:
    name = f"llm_streams_active{{{MODEL}}}"
    metrics.stream_began("llama3.2")
    label = metrics.stream_began("llama3.2")
    both = samples(metrics.registry)[name]
    metrics.stream_finished(RECORD, label)

    assert (both, samples(metrics.registry)[name]) == (2, 1)


def test_a_model_that_is_listed_while_its_stream_runs_is_counted_under_the_label_it_began_with(
    metrics: StreamMetrics,
) -> None:
    """Looked up again at the end, the gauges stood at 1 and at -1 for ever."""
    label = metrics.stream_began("new")
    metrics.models_listed(["llama3.2", "new"])
    metrics.stream_finished(replace(RECORD, model="new"), label)
    seen = samples(metrics.registry)

    assert {value for name, value in seen.items() if name.startswith("llm_streams_active")} == {0}
    assert seen[f'llm_streams_finished_total{{gen_ai_request_model="{OTHER_MODEL}",reason="stop"}}'] == 1


@pytest.mark.parametrize(("kind", "operation"), [("chat", "chat"), ("generate", "text_completion")])
def test_gaps_are_observed_under_the_operation_s_otel_name(metrics: StreamMetrics, kind: str, operation: str) -> None:
    observe = metrics.gap_observer("llama3.2", kind)
    observe(0.02)
    observe(0.03)
    op = OP.replace('"chat"', f'"{operation}"')

    assert samples(metrics.registry)[f"gen_ai_client_operation_time_per_output_chunk_seconds_count{{{op}}}"] == 2


def test_closed_label_sets_begin_at_zero(metrics: StreamMetrics) -> None:
    """A graph is never empty for lack of an event."""
    seen = samples(metrics.registry)

    for reason in ("stop", "cancelled", "upstream_error"):
        assert seen[f'llm_streams_finished_total{{{MODEL},reason="{reason}"}}'] == 0
    assert seen['llm_admission_rejected_total{reason="overloaded"}'] == 0
    assert seen['llm_upstream_retries_total{reason="refused",server="ollama"}'] == 0
    assert seen['llm_upstream_up{upstream="ollama"}'] == 0
    assert seen['llm_admission_wait_seconds_count{result="timeout"}'] == 0


def test_every_family_that_is_declared_is_on_the_page_under_its_type(metrics: StreamMetrics) -> None:
    """But for the log's own: they are registered by the lifecycle, which has the log."""
    text = generate_latest(metrics.registry).decode()
    declared = [family for family in metrics.families if family not in (EVENTS, DROPPED)]
    missing = [name for name, kind, _ in declared if f"# TYPE {name} {kind}\n" not in text]

    assert missing == []
    assert len({name for name, _, _ in declared}) == len(declared) > 15
