"""What the gateway counts, by methods named for facts."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from gateway.conversations.writer import Loss
from gateway.relay.connection import ClientConnection
from gateway.relay.timeline import OWN_STAGES
from services.dialects.dialect import DialectName
from services.telemetry.families import Family
from services.telemetry.histogram import TTFT_BUCKETS_S
from services.telemetry.stream_metrics import MODEL, StreamMetrics
from services.telemetry.stream_record import StreamRecord
from services.wire.events import Code, ConnectionEnd, FinishReason
from services.wire.model_names import canonical

MAX_KEYS: Final = 200
"""Series by key: an operator's own people, not a stranger's words."""
OTHER_KEY: Final = "_OTHER"
"""Of a key without a series: nobody asked for them, or there are too many."""
DIALECT: Final = "dialect"
"""Which language an answer was given in; on families of its own: beside every model it would be six times as much."""
DIALECT_ENDS: Final = (DIALECT, "reason")
_PROXY: Final = "proxy"
"""What every proxy is called in labels: however many there are."""
_AT_THE_DOOR: Final = (Code.OVERLOADED, Code.SHUTTING_DOWN, Code.CONCURRENCY_LIMITED)
_NEVER_A_CONNECTIONS: Final = {Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.MISDIRECTED, Code.FORBIDDEN}
_REASONS: Final = (
    *FinishReason,
    *ConnectionEnd,
    *(code for code in Code if code not in _NEVER_A_CONNECTIONS),
)


class GatewayMetrics(StreamMetrics):
    """The shared families, counted by connection."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}
        super().__init__(
            canonical=canonical,
            provider="sluice",
            upstream=_PROXY,
            stages=OWN_STAGES,
            reasons=_REASONS,
            rejections=_AT_THE_DOOR,
            retries=("stale", "hop", "elsewhere"),
        )
        self.violations.labels(_PROXY, "broken_hop")
        self.slots = self.gauge("llm_admission_slots", "connections with a stream, at most")
        self.goodput = self.counter("llm_goodput_requests", "new answers asked for, by verdict", [MODEL, "good"])
        self.unsent_max = self.gauge("llm_client_unsent_bytes_max", "of the client that has most still to take")
        self.dialect_ends = self.counter(
            "llm_dialect_streams_finished", "connections, by the language of their answer and their end", DIALECT_ENDS
        )
        ttft = self.histogram(
            "llm_dialect_time_to_first_token_seconds",
            "accepted to first content, by language",
            TTFT_BUCKETS_S,
            [DIALECT],
        )
        self._dialect_ttft = {str(name): ttft.child(name) for name in DialectName}
        for name in DialectName:
            self.dialect_ends.labels(name, FinishReason.STOP)
        self._keys_not_read = self.counter(
            "llm_keys_reload_failed", "times that a changed keys file could not be read", []
        )
        self.limits_degraded = self.gauge("llm_limits_degraded", "1 while Valkey is away and each gateway counts alone")
        self._store_away = self.gauge("llm_store_degraded", "1 while the database of conversations is away")
        self._store_pending = self.gauge("llm_store_pending_bytes", "of rows that wait for the database")
        self._store_lost = self.counter(
            "llm_store_lost", "questions, and ends of answers, that were not written, by why", ["reason"]
        )
        for loss in Loss:
            self._store_lost.labels(loss)
        self._key_tokens = self.counter("llm_key_tokens", "of answers, by the id of the key that asked", ["key_id"])
        self._key_tokens.labels(OTHER_KEY)
        self._browser_ttft = self.histogram(
            "llm_browser_time_to_first_token_seconds", "Send to first text painted, as pages told", TTFT_BUCKETS_S
        ).child()
        self._made_with_models(self._make_verdicts)

    def connection_ended(self, connection: ClientConnection) -> StreamRecord:
        """A connection is over: count it, and return what there was to count."""
        record = connection.record()
        label = self.stream_finished(record, connection.label)
        self.blocked.inc(connection.timeline.blocked_s)
        self.dialect_ends.labels(connection.dialect, record.reason).inc()
        if record.ttft_s is not None:
            self._dialect_ttft[connection.dialect].observe(record.ttft_s)
        if record.good is not None:
            self.goodput.labels(label, str(record.good).lower()).inc()
        if connection.relay is not None:
            self.violations.labels(_PROXY, "broken_hop").inc(connection.relay.violations)
        if record.reason in _AT_THE_DOOR and connection.relay is None and connection.timeline.admitted is None:
            self.rejected.labels(record.reason).inc()
        return record

    def keys_not_read(self) -> None:
        """The keys file was changed and cannot be used."""
        self._keys_not_read.inc()

    def store_away(self, away: bool) -> None:
        """The database of conversations is away, or back."""
        self._store_away.set(away)

    def show_pending(self, size: Callable[[], int]) -> None:
        """Let the scrape see how many bytes wait for the database of conversations."""
        self._store_pending.set_function(size)

    def row_lost(self, why: Loss) -> None:
        """A question, or the end of an answer, is not written."""
        self._store_lost.labels(why).inc()

    def show_keys(self, ids: Iterable[str]) -> None:
        """Let these keys have series of their own, as far as there is room; a key that is gone keeps its own."""
        self._keys = dict.fromkeys(islice(dict.fromkeys([*self._keys, *ids]), MAX_KEYS))
        for key_id in self._keys:
            self._key_tokens.labels(key_id)

    def key_used(self, key_id: str, tokens: int) -> None:
        """An answer that a key asked for is booked."""
        self._key_tokens.labels(key_id if key_id in self._keys else OTHER_KEY).inc(tokens)

    def show_unsent(self, most: Callable[[], int]) -> None:
        """Let the scrape see the most that a client has still to take, in bytes."""
        self.unsent_max.set_function(most)

    def page_painted(self, seconds: float) -> None:
        """A page told how long its person waited for the first text."""
        self._browser_ttft.observe(seconds)

    def hop_repeated(self, why: str) -> None:
        """A proxy is asked once more: a pooled connection was stale, a hop broke, or the first did not take it."""
        self.retries.labels(_PROXY, why).inc()

    def hop_closed(self, seconds: float) -> None:
        """So long after a client left the hop to the proxy was closed."""
        self.cancel.child().observe(seconds)

    def _make_verdicts(self, model: str) -> None:
        for good in ("true", "false"):
            self.goodput.labels(model, good)


def families() -> list[Family]:
    """Return the metrics that the gateway declares."""
    return GatewayMetrics().families
