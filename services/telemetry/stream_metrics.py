"""The metrics of streams that both tiers have, told apart by the scrape's job label; OTel names where OTel has one.

One place for names, buckets and labels. Each tier's ``metrics.py`` adds what only it can know, and says what happened
by methods named for facts. Series of closed label sets are made as soon as a model is known, so that a graph is never
empty for lack of an event.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
)
from services.telemetry.http_metrics import METHOD, HttpMetrics
from services.telemetry.log_metrics import DROPPED, EVENTS
from services.telemetry.metrics import OTHER_MODEL, ModelLabels
from services.telemetry.process_metrics import ProcessMetrics
from services.telemetry.stream_record import StreamRecord
from services.telemetry.stream_series import StreamSeries, observe

OPERATIONS: Final[Mapping[str, str]] = {"chat": "chat", "generate": "text_completion"}
"""Our kinds in OTel's words (gen_ai.operation.name)."""
PREPARED_MODELS: Final = 1
"""Models whose series are made before anybody asks: the first one listed is what most ask for. Another's begin with its
first stream: each costs some 420 samples, and 160 more where both kinds are asked."""
PREPARED_KIND: Final = "chat"
"""The kind whose series are made with a model's."""
TOOLS: Final = "tools"
"""The stage that few streams have: its series begin with the first, or a scrape of many models would be too long."""
CHUNKS_PER_SAMPLE: Final = 16
"""One chunk in so many is timed on its way through: the others need no second look at the clock."""
OP: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
MODEL: Final = "gen_ai_request_model"
SERVER: Final = "server"
"""An upstream server, by the name that it has in this tier's configuration."""


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
        self._series: dict[tuple[str, str, str], StreamSeries] = {}  # by label, kind and provider
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
            self._series_of(OTHER_MODEL, kind)

    # --- facts

    def models_listed(self, names: Sequence[str]) -> None:
        """The model server lists these: they may be label values, and the first ones' series begin at zero."""
        for label in self.models.update(names, busy=+self._running):
            self._prepared.discard(label)
            self.forget(MODEL, label)
            for key in [key for key in self._series if key[0] == label]:
                del self._series[key]
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
        if model == OTHER_MODEL and record.model:
            self.dropped_labels.labels(MODEL).inc()
        self.finished.labels(model, record.reason).inc()
        series = self._series_of(model, record.kind, record.provider)
        series.add(record)
        if (tools_s := record.stages.get(TOOLS)) is not None:
            self.stage.child(model, TOOLS).observe(tools_s)
        duration, upstream_duration = series.duration, series.upstream_duration
        if record.failed:
            by_error = (*self._op(record.kind, model, record.provider), record.reason)
            duration, upstream_duration = self.duration.child(*by_error), self.upstream_duration.child(*by_error)
        duration.observe(record.duration_s)
        observe(upstream_duration, record.upstream_s)
        observe(self._added_first_token, record.added_first_token_s)
        observe(self._added_total, record.added_total_s)
        return model

    def gap_observer(self, label: str, kind: str = PREPARED_KIND, provider: str = "") -> Callable[[float], None]:
        """Return who is told the seconds between two chunks with content: looked up once a stream."""
        return self._series_of(label, kind, provider).gaps.observe

    def upstream_answers(self, up: bool) -> None:
        """The upstream server was asked whether it is there."""
        self.up.labels(self._upstream).set(up)

    def show_connections(self, count: Callable[[], Connections], server: str = "") -> None:
        """Let the scrape count the connections to an upstream server."""
        name = server or self._upstream
        self.connections.labels(name, "active").set_function(lambda: count().active)
        self.connections.labels(name, "idle").set_function(lambda: count().idle)
        self.connections.labels(name, "waiting").set_function(lambda: count().waiting)

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
        self._added_first_token, self._added_total = self.added.child("first_token"), self.added.child("total")
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
        self.retries = counter("llm_upstream_retries", "attempts beyond the first", [SERVER, "reason"])
        for why in retries:
            self.retries.labels(upstream, why)
        self.violations = counter("llm_protocol_violations", "what a peer sent against the protocol", ["peer", "kind"])
        self.up = self.gauge("llm_upstream_up", "1 while the upstream server answers", ["upstream"])
        self.up.labels(upstream)
        self.connections = self.gauge("llm_upstream_connections", "to the upstream server, now", [SERVER, "state"])

    def _declare_admission(self, rejections: Sequence[str]) -> None:
        self.admission_wait = self.histogram(
            "llm_admission_wait_seconds", "in line for a permit", QUEUE_BUCKETS_S, ("result",)
        )
        for result in ("admitted", "timeout", "client_gone"):
            self.admission_wait.child(result)
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
        self._series_of(model, kind)
        if model not in self._prepared:
            self._prepared.add(model)
            for make in self._makers:
                make(model)

    def _series_of(self, model: str, kind: str, provider: str = "") -> StreamSeries:
        found = self._series.get((model, kind, provider))
        if found is None:
            found = self._series[model, kind, provider] = self._make_series(model, self._op(kind, model, provider))
        return found

    def _make_series(self, model: str, op: tuple[str, str, str]) -> StreamSeries:
        return StreamSeries(
            duration=self.duration.child(*op, ""),
            upstream_duration=self.upstream_duration.child(*op, ""),
            ttft=self.ttft.child(*op),
            first_answer=self.first_answer.child(*op),
            time_per_token=self.time_per_token.child(*op),
            first_chunk=self.first_chunk.child(*op),
            gaps=self.gaps.child(*op),
            rate=self.rate.child(model),
            max_gap=self.max_gap.child(model),
            stages=tuple((stage, self.stage.child(model, stage)) for stage in self._stages if stage != TOOLS),
            chunks=self.chunks.labels(model),
            input_tokens=self.tokens.labels(model, "input"),
            output_tokens=self.tokens.labels(model, "output"),
        )

    def _make_streams(self, model: str) -> None:
        for reason in self._reasons:
            self.finished.labels(model, reason)
        self.active.labels(model).set_function(partial(self._running.__getitem__, model))

    def _op(self, kind: str, model: str, provider: str = "") -> tuple[str, str, str]:
        return OPERATIONS[kind], provider or self._provider, model
