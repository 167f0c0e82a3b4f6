"""The metrics of streams that both tiers have, told apart by the scrape's job label; OTel names where OTel has one.

One place for names, buckets and labels. Each tier's ``metrics.py`` adds what only it can know, and says what happened
by methods named for facts. Series of closed label sets are made as soon as a model is known, so that a graph is never
empty for lack of an event.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.http.client import Connections
from services.telemetry.families import Families
from services.telemetry.histogram import (
    DURATION_BUCKETS_S,
    GAP_BUCKETS_S,
    OWN_LATENCY_BUCKETS_S,
    QUEUE_BUCKETS_S,
    RATE_BUCKETS,
    STAGE_BUCKETS_S,
    TTFT_BUCKETS_S,
    BisectHistogram,
)
from services.telemetry.http_metrics import METHOD, HttpMetrics
from services.telemetry.log_metrics import DROPPED, EVENTS
from services.telemetry.metrics import OTHER_MODEL, ModelLabels
from services.telemetry.process_metrics import ProcessMetrics
from services.telemetry.stream_record import StreamRecord

OPERATIONS: Final[Mapping[str, str]] = {"chat": "chat", "generate": "text_completion"}
"""Our kinds in OTel's words (gen_ai.operation.name)."""
PREPARED_MODELS: Final = 1
"""Models whose series are made before anybody asks: the first one listed is what most ask for. Another's begin with its
first stream: each costs some 420 samples, and 160 more where both kinds are asked."""
PREPARED_KIND: Final = "chat"
"""The kind whose series are made with a model's."""
CHUNKS_PER_SAMPLE: Final = 16
"""One chunk in so many is timed on its way through: the others need no second look at the clock."""
OP: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
MODEL: Final = "gen_ai_request_model"


class StreamMetrics(Families):
    """The families of table (a) that both tiers have.

    Args:
        canonical: gives the one name of a model's many spellings.
        provider: the value of ``gen_ai_provider_name``.
        upstream: the name of the server that this tier asks.
        stages: the stages that this tier owns.
        reasons: every word a stream, or a connection, of this tier can end by.
        rejections: the codes by which it refuses at the door.
        retries: the reasons of its retries.
    """

    def __init__(
        self,
        *,
        canonical: Callable[[str], str],
        provider: str,
        upstream: str,
        stages: Sequence[str],
        reasons: Sequence[str],
        rejections: Sequence[str],
        retries: Sequence[str],
    ) -> None:
        super().__init__()
        self.models = ModelLabels(canonical)
        self._running: Counter[str] = Counter()
        self._makers: list[Callable[[str], None]] = []
        self._prepared = {OTHER_MODEL}
        self._provider, self._upstream, self._stages, self._reasons = provider, upstream, stages, reasons
        self._declare_streams()
        self._declare_upstream(upstream, retries)
        self._declare_admission(rejections)
        self.dropped_labels = self.counter("llm_telemetry_dropped_labels", "values that became _OTHER", ["label"])
        for label in (MODEL, METHOD):
            self.dropped_labels.labels(label)
        self.http = HttpMetrics(self, self.dropped_labels)
        self.process = ProcessMetrics(self)
        self.families += [EVENTS, DROPPED]  # registered by the lifecycle, which has the log
        self._made_with_models(self._make_streams)
        for kind in OPERATIONS:
            self._make_operation(OTHER_MODEL, kind)

    # --- facts

    def models_listed(self, names: Sequence[str]) -> None:
        """The model server lists these: they may be label values, and the first ones' series begin at zero."""
        for label in self.models.update(names, busy=+self._running):
            self._prepared.discard(label)
            self.forget(MODEL, label)
        for name in names[:PREPARED_MODELS]:
            self._with_model(self.models.label(name), PREPARED_KIND)

    def stream_began(self, model: str, kind: str = PREPARED_KIND) -> str:
        """A stream, or a connection, was accepted: the series of a model begin at zero here at the latest.

        Returns:
            The label under which all of it is counted. Looked up again it could be another: models are listed and
            deleted while it runs.
        """
        label = self.models.label(model)
        self._with_model(label, kind)
        self._running[label] += 1
        self.active.labels(label).inc()
        return label

    def stream_finished(self, record: StreamRecord, label: str | None) -> str:
        """It ended; called exactly once for each, the refused ones too. Of its stages this tier's own are counted.

        Args:
            label: what :meth:`stream_began` said; None if it was refused before.

        Returns:
            The label under which it was counted.
        """
        model = self.models.label(record.model) if label is None else label
        if label is not None:
            self._running[label] -= 1
            self.active.labels(label).dec()
        if model == OTHER_MODEL and record.model:
            self.dropped_labels.labels(MODEL).inc()
        self.finished.labels(model, record.reason).inc()
        self.chunks.labels(model).inc(record.chunks)
        if record.input_tokens is not None:
            self.tokens.labels(model, "input").inc(record.input_tokens)
        if record.output_tokens is not None:
            self.tokens.labels(model, "output").inc(record.output_tokens)
        self._observe_operation(record, self._op(record.kind, model, record.provider))
        self._observe(self.rate, (model,), record.tokens_per_s)
        self._observe(self.max_gap, (model,), record.max_gap_s)
        self._observe(self.added, ("first_token",), record.added_first_token_s)
        self._observe(self.added, ("total",), record.added_total_s)
        for stage in self._stages:
            self.stage.child(model, stage).observe(record.stages[stage])
        return model

    def gap_observer(self, label: str, kind: str = PREPARED_KIND, provider: str = "") -> Callable[[float], None]:
        """Return who is told the seconds between two chunks with content: looked up once a stream."""
        return self.gaps.child(*self._op(kind, label, provider)).observe

    def upstream_answers(self, up: bool) -> None:
        """The upstream server was asked whether it is there."""
        self.up.labels(self._upstream).set(up)

    def show_connections(self, count: Callable[[], Connections]) -> None:
        """Let the scrape count the connections to the upstream server."""
        self.connections.labels("active").set_function(lambda: count().active)
        self.connections.labels("idle").set_function(lambda: count().idle)
        self.connections.labels("waiting").set_function(lambda: count().waiting)

    # --- declarations

    def _declare_streams(self) -> None:
        histogram, counter = self.histogram, self.counter
        self.duration = histogram(
            "gen_ai_server_request_duration_seconds", "whole streams", DURATION_BUCKETS_S, (*OP, "error_type")
        )
        self.ttft = histogram(
            "gen_ai_server_time_to_first_token_seconds", "accepted to first content", TTFT_BUCKETS_S, OP
        )
        self.first_answer = histogram(
            "llm_time_to_first_answer_seconds", "accepted to first content that is no thinking", TTFT_BUCKETS_S, OP
        )
        self.time_per_token = histogram(
            "gen_ai_server_time_per_output_token_seconds", "first to last token, over tokens - 1", GAP_BUCKETS_S, OP
        )
        self.max_gap = histogram(
            "llm_stream_max_gap_seconds", "longest silence between reads with content", GAP_BUCKETS_S, (MODEL,)
        )
        self.stage = histogram(
            "llm_stage_duration_seconds", "time that this tier owns, by stage", STAGE_BUCKETS_S, (MODEL, "stage")
        )
        self.added = histogram(
            "llm_added_latency_seconds",
            f"what this tier itself takes; per_chunk is of every {CHUNKS_PER_SAMPLE}th chunk",
            OWN_LATENCY_BUCKETS_S,
            ("path",),
        )
        self.chunk_passed = self.added.child("per_chunk").observe
        for path in ("first_token", "total"):
            self.added.child(path)
        self.rate = histogram("llm_output_tokens_per_second", "per stream, with usage only", RATE_BUCKETS, (MODEL,))
        self.tokens = counter("llm_tokens", "as the model server counted them", [MODEL, "type"])
        self.chunks = counter("llm_chunks", "content events, exact", [MODEL])
        self.finished = counter("llm_streams_finished", "by finish reason or error code", [MODEL, "reason"])
        self.active = self.gauge("llm_streams_active", "running now", [MODEL])
        self.blocked = counter("llm_client_blocked_seconds", "for which readers let us wait, all added up")

    def _declare_upstream(self, upstream: str, retries: Sequence[str]) -> None:
        histogram, counter = self.histogram, self.counter
        self.upstream_duration = histogram(
            "gen_ai_client_operation_duration_seconds",
            "calls of the next server",
            DURATION_BUCKETS_S,
            (*OP, "error_type"),
        )
        self.first_chunk = histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds", "asked to first content", TTFT_BUCKETS_S, OP
        )
        self.gaps = histogram(
            "gen_ai_client_operation_time_per_output_chunk_seconds", "between reads with content", GAP_BUCKETS_S, OP
        )
        self.cancel = histogram(
            "llm_upstream_cancel_seconds", "told to stop until the upstream connection is closed", OWN_LATENCY_BUCKETS_S
        )
        self.retries = counter("llm_upstream_retries", "attempts beyond the first", ["reason"])
        for why in retries:
            self.retries.labels(why)
        self.violations = counter("llm_protocol_violations", "what a peer sent against the protocol", ["peer", "kind"])
        self.up = self.gauge("llm_upstream_up", "1 while the upstream server answers", ["upstream"])
        self.up.labels(upstream)
        self.connections = self.gauge("llm_upstream_connections", "to the upstream server, now", ["state"])

    def _declare_admission(self, rejections: Sequence[str]) -> None:
        self.admission_wait = self.histogram(
            "llm_admission_wait_seconds", "in line for a permit", QUEUE_BUCKETS_S, ("result",)
        )
        for result in ("admitted", "timeout", "client_gone"):
            self.admission_wait.child(result)
        self.queue_length = self.gauge("llm_admission_queue_length", "waiting now")
        self.slots = self.gauge("llm_admission_slots", "how many may run at once")
        self.rejected = self.counter("llm_admission_rejected", "refused at the door, by code", ["reason"])
        for code in rejections:
            self.rejected.labels(code)

    # --- series

    def _made_with_models(self, make: Callable[[str], None]) -> None:
        """Have ``make`` called once for each model whose series begin, first for those that no server lists."""
        self._makers.append(make)
        for model in self._prepared:
            make(model)

    def _with_model(self, model: str, kind: str) -> None:
        self._make_operation(model, kind)
        if model not in self._prepared:
            self._prepared.add(model)
            for make in self._makers:
                make(model)

    def _make_operation(self, model: str, kind: str) -> None:
        op = self._op(kind, model)
        for family in (self.duration, self.upstream_duration):
            family.child(*op, "")
        for family in (self.ttft, self.first_answer, self.time_per_token, self.first_chunk, self.gaps):
            family.child(*op)

    def _make_streams(self, model: str) -> None:
        self.rate.child(model)
        self.max_gap.child(model)
        for stage in self._stages:
            self.stage.child(model, stage)
        for reason in self._reasons:
            self.finished.labels(model, reason)
        for kind in ("input", "output"):
            self.tokens.labels(model, kind)
        self.chunks.labels(model)
        self.active.labels(model)

    def _op(self, kind: str, model: str, provider: str = "") -> tuple[str, str, str]:
        return OPERATIONS[kind], provider or self._provider, model

    def _observe_operation(self, record: StreamRecord, op: tuple[str, str, str]) -> None:
        error_type = record.reason if record.failed else ""
        self._observe(self.duration, (*op, error_type), record.duration_s)
        self._observe(self.upstream_duration, (*op, error_type), record.upstream_s)
        self._observe(self.ttft, op, record.ttft_s)
        self._observe(self.first_answer, op, record.first_answer_s)
        self._observe(self.time_per_token, op, record.time_per_token_s)
        self._observe(self.first_chunk, op, record.first_chunk_s)

    @staticmethod
    def _observe(family: BisectHistogram, labels: tuple[str, ...], value: float | None) -> None:
        if value is not None:
            family.child(*labels).observe(value)
