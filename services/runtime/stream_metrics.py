"""The metrics of streams that both tiers have, told apart by the scrape's job label; OTel names where OTel has one.

One place for names, buckets and labels. Each tier's ``metrics.py`` adds what only it can know, and says what happened
by methods named for facts. Series of closed label sets are made as soon as a model is known, so that a graph is never
empty for lack of an event.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Gauge

from services.runtime.histogram import (
    DURATION_BUCKETS_S,
    GAP_BUCKETS_S,
    LAG_BUCKETS_S,
    OWN_LATENCY_BUCKETS_S,
    QUEUE_BUCKETS_S,
    RATE_BUCKETS,
    STAGE_BUCKETS_S,
    TTFT_BUCKETS_S,
    BisectHistogram,
)
from services.runtime.metrics import OTHER_MODEL, LoopLag, ModelLabels, process_registry
from services.runtime.version import REVISION, VERSION

OPERATIONS: Final[Mapping[str, str]] = {"chat": "chat", "generate": "text_completion"}
"""Our kinds in OTel's words (gen_ai.operation.name)."""
PREPARED_MODELS: Final = 5
"""Models whose series are made before anybody asks for them: each costs some 430 samples of a scrape's 5,000."""
OP: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
MODEL: Final = "gen_ai_request_model"

Family = tuple[str, str, tuple[str, ...]]
"""A metric's name as a scrape shows it, its type, and its labels."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What one tier knows of one stream at its end; times in seconds, None where there is no such number.

    ``stages`` add up to ``duration_s``. The rate and the time per token are None without the model server's count.
    """

    kind: str
    model: str
    reason: str
    failed: bool
    duration_s: float
    ttft_s: float | None
    first_answer_s: float | None
    time_per_token_s: float | None
    tokens_per_s: float | None
    stages: Mapping[str, float]
    chunks: int
    input_tokens: int | None
    output_tokens: int | None


class StreamMetrics:
    """The families of table (a) that both tiers have.

    Args:
        provider: the value of ``gen_ai_provider_name``.
        upstream: the name of the server that this tier asks.
        stages: the stages that this tier owns.
        reasons: every word a stream, or a connection, of this tier can end by.
        rejections: the codes by which it refuses at the door.
        retries: the reasons of its retries.

    Attributes:
        families: what this tier declares; the statistics of the process stand beside it. README's table is held to it.
    """

    def __init__(
        self,
        *,
        provider: str,
        upstream: str,
        stages: Sequence[str],
        reasons: Sequence[str],
        rejections: Sequence[str],
        retries: Sequence[str],
    ) -> None:
        self.registry = process_registry()
        self.models = ModelLabels()
        self.families: list[Family] = []
        self._prepared: set[str] = set()
        self._provider, self._stages, self._reasons = provider, stages, reasons
        self._declare_streams()
        self._declare_admission()
        self._declare_process()
        for code in rejections:
            self.rejected.labels(code)
        for why in retries:
            self.retries.labels(why)
        self.upstream_up = self._gauge("llm_upstream_up", "1 while the upstream server answers", ["upstream"]).labels(
            upstream
        )
        self._with_model(OTHER_MODEL)

    def watch_loop(self) -> None:
        """Begin to measure the running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))  # counted by the scrape, in its thread
        self._loop_lag.start()

    def close(self) -> None:
        """Measure no more."""
        self._loop_lag.stop()

    # --- facts

    def models_listed(self, names: Sequence[str]) -> None:
        """The model server lists these: they may be label values, and the first ones' series begin at zero."""
        self.models.update(names)
        for name in names[:PREPARED_MODELS]:
            self._with_model(self.models.label(name))

    def stream_began(self, model: str) -> None:
        """A stream, or a connection, was accepted: the series of a model begin at zero here at the latest."""
        label = self.models.label(model)
        self._with_model(label)
        self.active.labels(label).inc()

    def stream_left(self, model: str) -> None:
        """It has given everything back."""
        self.active.labels(self.models.label(model)).dec()

    def stream_finished(self, record: StreamRecord) -> None:
        """It ended; called exactly once for each, the refused ones too. Of its stages this tier's own are counted."""
        model = self.models.label(record.model)
        self.finished.labels(model, record.reason).inc()
        self.chunks.labels(model).inc(record.chunks)
        if record.input_tokens is not None:
            self.tokens.labels(model, "input").inc(record.input_tokens)
        if record.output_tokens is not None:
            self.tokens.labels(model, "output").inc(record.output_tokens)
        op = self._op(record.kind, model)
        self.duration.child(*op, record.reason if record.failed else "").observe(record.duration_s)
        self._observe(self.ttft, op, record.ttft_s)
        self._observe(self.first_content, op, record.first_answer_s)
        self._observe(self.time_per_token, op, record.time_per_token_s)
        self._observe(self.rate, (model,), record.tokens_per_s)
        for stage in self._stages:
            self.stage.child(model, stage).observe(record.stages[stage])

    def gap_observer(self, model: str, kind: str = "chat") -> Callable[[float], None]:
        """Return who is told the seconds between two chunks with content: looked up once a stream."""
        return self.gaps.child(*self._op(kind, self.models.label(model))).observe

    # --- declarations

    def _declare_streams(self) -> None:
        histogram, counter = self._histogram, self._counter
        self.duration = histogram(
            "gen_ai_server_request_duration_seconds", "whole streams", DURATION_BUCKETS_S, (*OP, "error_type")
        )
        self.ttft = histogram(
            "gen_ai_server_time_to_first_token_seconds", "accepted to first content", TTFT_BUCKETS_S, OP
        )
        self.first_content = histogram(
            "llm_time_to_first_content_seconds", "accepted to first content that is no thinking", TTFT_BUCKETS_S, OP
        )
        self.time_per_token = histogram(
            "gen_ai_server_time_per_output_token_seconds", "first to last token, over tokens - 1", GAP_BUCKETS_S, OP
        )
        self.gaps = histogram(
            "gen_ai_client_operation_time_per_output_chunk_seconds", "between reads with content", GAP_BUCKETS_S, OP
        )
        self.stage = histogram(
            "llm_stage_duration_seconds", "time that this tier owns, by stage", STAGE_BUCKETS_S, (MODEL, "stage")
        )
        self.rate = histogram("llm_output_tokens_per_second", "per stream, with usage only", RATE_BUCKETS, (MODEL,))
        self.tokens = counter("llm_tokens", "as the model server counted them", [MODEL, "type"])
        self.chunks = counter("llm_chunks", "content events, exact", [MODEL])
        self.finished = counter("llm_streams_finished", "by finish reason or error code", [MODEL, "reason"])
        self.active = self._gauge("llm_streams_active", "running now", [MODEL])
        self.cancel = histogram(
            "llm_upstream_cancel_seconds", "told to stop until the upstream connection is closed", OWN_LATENCY_BUCKETS_S
        )
        self.retries = counter("llm_upstream_retries", "attempts beyond the first", ["reason"])
        self.violations = counter("llm_protocol_violations", "what a peer sent against the protocol", ["peer", "kind"])

    def _declare_admission(self) -> None:
        self.admission_wait = self._histogram(
            "llm_admission_wait_seconds", "in line for a permit", QUEUE_BUCKETS_S, ("result",)
        )
        for result in ("admitted", "timeout", "client_gone"):
            self.admission_wait.child(result)
        self.queue_length = self._gauge("llm_admission_queue_length", "waiting now")
        self.slots = self._gauge("llm_admission_slots", "how many may run at once")
        self.rejected = self._counter("llm_admission_rejected", "refused at the door, by code", ["reason"])

    def _declare_process(self) -> None:
        lag = self._histogram("llm_event_loop_lag_seconds", "how late a 100 ms timer fires", LAG_BUCKETS_S)
        self._loop_lag = LoopLag(lag.child())
        self._tasks = self._gauge("llm_event_loop_tasks", "tasks alive: it comes back to where it was, or one leaks")
        build = self._gauge("llm_build_info", "1, by version", ["version", "revision"])
        build.labels(VERSION, REVISION).set(1)
        self.ready = self._gauge("llm_ready", "1 while /readyz says ready")

    def _with_model(self, model: str) -> None:
        if model in self._prepared:
            return
        self._prepared.add(model)
        for kind in OPERATIONS:
            op = self._op(kind, model)
            self.duration.child(*op, "")
            for family in (self.ttft, self.first_content, self.time_per_token, self.gaps):
                family.child(*op)
        self.rate.child(model)
        for stage in self._stages:
            self.stage.child(model, stage)
        for reason in self._reasons:
            self.finished.labels(model, reason)
        for kind in ("input", "output"):
            self.tokens.labels(model, kind)
        self.chunks.labels(model)
        self.active.labels(model)

    def _op(self, kind: str, model: str) -> tuple[str, str, str]:
        return OPERATIONS[kind], self._provider, model

    @staticmethod
    def _observe(family: BisectHistogram, labels: tuple[str, ...], value: float | None) -> None:
        if value is not None:
            family.child(*labels).observe(value)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> BisectHistogram:
        self.families.append((name, "histogram", tuple(labels)))
        family = BisectHistogram(name, text, buckets, labels, registry=self.registry)
        if not labels:
            family.child()
        return family

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        self.families.append((f"{name}_total", "counter", tuple(labels)))
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        self.families.append((name, "gauge", tuple(labels)))
        return Gauge(name, text, labels, registry=self.registry)
