"""What the proxy counts of a stream beyond its end: moments of writing, sizes, readers that let it wait, late words."""

import time

import pytest
from prometheus_client.exposition import generate_latest

from proxy.metrics import ProxyMetrics, record_of
from services.wire.events import Completion, FinishReason, Token, Usage
from tests.proxy.stage import ListSink, StreamStage, a_stream, turns

MODEL = 'gen_ai_request_model="llama3.2"'
WORD = Completion(FinishReason.STOP, Usage(5, 300), load_s=0.0, prefill_s=0.25)


@pytest.fixture
def metrics() -> ProxyMetrics:
    metrics = ProxyMetrics()
    metrics.models_listed(["llama3.2"])
    return metrics


def sample(metrics: ProxyMetrics, name: str) -> float:
    lines = generate_latest(metrics.registry).decode().split("\n")
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])


def spoke(stage: StreamStage) -> None:
    stage.stream.timeline.first_content = time.monotonic()
    stage.say("Hel")


# --- when the first content was written


async def test_a_reader_that_comes_after_the_first_content_has_it_when_it_is_written_to_it() -> None:
    """Its headers wait for the content: the moment is the reader's, not that of the read."""
    async with a_stream() as stage:
        spoke(stage)
        before = stage.stream.timeline.first_written
        await stage.reading(stage.join(), ListSink())
        timeline = stage.stream.timeline

        assert before is None
        assert timeline.first_content is not None
        assert timeline.first_written is not None
        assert timeline.first_written >= timeline.first_content


async def test_a_stream_that_nobody_reads_has_no_such_moment() -> None:
    async with a_stream() as stage:
        spoke(stage)
        stage.stream.finish(WORD)

        assert not stage.stream.is_read_live
        assert record_of(stage.stream).added_first_token_s is None


async def test_what_is_written_before_any_content_is_not_the_first_token() -> None:
    async with a_stream() as stage:
        await stage.reading(stage.join(), ListSink())

        assert stage.stream.is_read_live
        assert stage.stream.timeline.first_written is None


async def test_only_the_first_of_many_readers_sets_the_moment() -> None:
    async with a_stream() as stage:
        spoke(stage)
        await stage.reading(stage.join(), ListSink())
        first = stage.stream.timeline.first_written
        await stage.reading(stage.join(), ListSink())

        assert stage.stream.timeline.first_written == first


async def test_the_end_is_written_after_it_was_appended() -> None:
    async with a_stream() as stage:
        stage.stream.finish(WORD)
        timeline = stage.stream.timeline

        assert timeline.ended is not None
        assert timeline.last_written is not None
        assert timeline.last_written >= timeline.ended


# --- what is counted


async def test_the_time_a_reader_took_nothing_is_its_follower_s_and_adds_up(metrics: ProxyMetrics) -> None:
    async with a_stream() as stage:
        follower, sink = stage.join(), ListSink(room=1)
        since = time.monotonic()  # before its first write, which may be the one that blocks
        await stage.reading(follower, sink)
        stage.say("Hel")
        await turns()
        sink.take()
        await turns()
        took_s = time.monotonic() - since
        metrics.follower_left(follower)

        assert 0 < follower.blocked_s <= took_s
        assert sample(metrics, "llm_client_blocked_seconds_total") == pytest.approx(follower.blocked_s)


async def test_the_sizes_of_a_request_are_distributed_by_model_and_type(metrics: ProxyMetrics) -> None:
    async with a_stream() as stage:
        stage.stream.label = metrics.stream_began("llama3.2")
        stage.stream.finish(WORD)
        metrics.stream_ended(stage.stream)

    for kind, tokens, bound in (("input", 5, "16.0"), ("output", 300, "1024.0")):
        assert sample(metrics, f'llm_request_tokens_sum{{{MODEL},type="{kind}"}}') == tokens
        assert sample(metrics, f'llm_request_tokens_bucket{{{MODEL},le="{bound}",type="{kind}"}}') == 1


async def test_content_that_comes_when_a_stream_is_over_is_counted_with_it(metrics: ProxyMetrics) -> None:
    async with a_stream() as stage:
        stage.stream.label = metrics.stream_began("llama3.2")
        stage.stream.finish(FinishReason.CANCELLED)
        stage.stream.log.text(Token, "too late")
        metrics.stream_ended(stage.stream)

    assert sample(metrics, "llm_tokens_after_disconnect_total") == 1


async def test_a_model_that_is_listed_while_its_stream_runs_leaves_no_gauge_behind(metrics: ProxyMetrics) -> None:
    async with a_stream() as stage:
        stage.stream.model, stage.stream.label = "new", metrics.stream_began("new")
        metrics.models_listed(["llama3.2", "new"])
        stage.stream.finish(WORD)
        metrics.stream_ended(stage.stream)

    assert sample(metrics, 'llm_streams_active{gen_ai_request_model="_OTHER"}') == 0
    assert sample(metrics, 'llm_request_tokens_sum{gen_ai_request_model="_OTHER",type="output"}') == 300


@pytest.mark.parametrize(
    "spelled", ["mistral", "MISTRAL", "library/mistral", "registry.ollama.ai/library/mistral:latest"]
)
async def test_a_model_has_one_label_as_it_is_listed_however_it_is_asked_for(
    metrics: ProxyMetrics, spelled: str
) -> None:
    metrics.models_listed(["mistral:latest"])
    metrics.stream_began(spelled)

    assert sample(metrics, 'llm_streams_active{gen_ai_request_model="mistral:latest"}') == 1


# --- what /api/ps says


def test_graphics_memory_is_shown_while_a_model_holds_it(metrics: ProxyMetrics) -> None:
    name = f'ollama_model_vram_bytes{{{MODEL},server="ollama"}}'
    metrics.models_loaded("ollama", {"LLAMA3.2:latest": 4 << 30, "not-listed": 1})
    held = sample(metrics, name)
    metrics.models_loaded("ollama", {})

    assert (held, sample(metrics, name)) == (4 << 30, 0)


# --- tools


async def test_the_stage_of_tools_is_counted_of_those_streams_alone_that_had_some(metrics: ProxyMetrics) -> None:
    count = f'llm_stage_duration_seconds_count{{{MODEL},stage="tools"}}'
    for tools_ran in (False, True):
        async with a_stream() as stage:
            stream, timeline = stage.stream, stage.stream.timeline
            stream.label = metrics.stream_began(stream.model)
            assert count not in generate_latest(metrics.registry).decode()
            if tools_ran:
                timeline.answered = time.monotonic()
                timeline.next_turn()
                timeline.tools_ran(time.monotonic())
            stream.finish(WORD)
            metrics.stream_finished(record_of(stream), stream.label)

    assert sample(metrics, count) == 1
