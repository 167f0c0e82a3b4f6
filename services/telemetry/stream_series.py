"""The series to which the streams of one model and kind add, looked up once: a stream adds to some twenty of them."""

from dataclasses import dataclass

from services.telemetry.counter import LoopCounterChild
from services.telemetry.histogram import BisectChild
from services.telemetry.stream_record import StreamRecord


@dataclass(frozen=True, slots=True)
class StreamSeries:
    """One model's and kind's; those of both durations are of streams that did not fail."""

    duration: BisectChild
    upstream_duration: BisectChild
    ttft: BisectChild
    first_answer: BisectChild
    time_per_token: BisectChild
    first_chunk: BisectChild
    gaps: BisectChild
    rate: BisectChild
    max_gap: BisectChild
    stages: tuple[tuple[str, BisectChild], ...]
    chunks: LoopCounterChild
    input_tokens: LoopCounterChild
    output_tokens: LoopCounterChild

    def add(self, record: StreamRecord) -> None:
        """Count what a stream came to, but for its durations."""
        self.chunks.inc(record.chunks)
        if record.input_tokens is not None:
            self.input_tokens.inc(record.input_tokens)
        if record.output_tokens is not None:
            self.output_tokens.inc(record.output_tokens)
        observe(self.ttft, record.ttft_s)
        observe(self.first_answer, record.first_answer_s)
        observe(self.time_per_token, record.time_per_token_s)
        observe(self.first_chunk, record.first_chunk_s)
        observe(self.rate, record.tokens_per_s)
        observe(self.max_gap, record.max_gap_s)
        for stage, series in self.stages:
            series.observe(record.stages[stage])


def observe(series: BisectChild, value: float | None) -> None:
    """Count ``value`` where there is one."""
    if value is not None:
        series.observe(value)
