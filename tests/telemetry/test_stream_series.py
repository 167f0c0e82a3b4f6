from services.telemetry.counter import LoopCounterChild
from services.telemetry.histogram import BisectChild
from services.telemetry.stream_record import StreamRecord
from services.telemetry.stream_series import StreamSeries

BOUNDS = (1.0, 2.0)


def test_what_a_stream_was_not_measured_by_is_in_no_series() -> None:
    """A refused stream has no first token, and no count of its model server's."""
    stage, measured, counted = BisectChild(BOUNDS), BisectChild(BOUNDS), LoopCounterChild()
    series = StreamSeries(
        duration=measured,
        upstream_duration=measured,
        ttft=measured,
        first_answer=measured,
        time_per_token=measured,
        first_chunk=measured,
        gaps=measured,
        rate=measured,
        max_gap=measured,
        stages=(("pre", stage),),
        chunks=counted,
        input_tokens=counted,
        output_tokens=counted,
    )
    record = StreamRecord(
        kind="chat",
        model="m",
        reason="overloaded",
        failed=True,
        duration_s=0.5,
        ttft_s=None,
        first_answer_s=None,
        tokens_per_s=None,
        stages={"pre": 0.5},
        chunks=0,
        input_tokens=None,
        output_tokens=None,
    )

    series.add(record)

    assert (sum(measured.counts), counted.value) == (0, 0.0)
    assert sum(stage.counts) == 1
