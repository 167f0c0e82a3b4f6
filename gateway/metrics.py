"""What the gateway counts, by methods named for facts."""

from typing import Final

from gateway.connection import ClientConnection
from gateway.timeline import OWN_STAGES
from services.runtime.stream_metrics import Family, StreamMetrics, StreamRecord
from services.wire.events import Code, ConnectionEnd, FinishReason

_AT_THE_DOOR: Final = (Code.OVERLOADED, Code.SHUTTING_DOWN)
_NOT_YET: Final = {Code.UNAUTHORIZED, Code.MODEL_NOT_ALLOWED, Code.RATE_LIMITED, Code.IDEMPOTENCY_CONFLICT}
_NEVER_A_CONNECTIONS: Final = {Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.MISDIRECTED, Code.FORBIDDEN}
_REASONS: Final = (
    *FinishReason,
    *ConnectionEnd,
    *(code for code in Code if code not in _NOT_YET and code not in _NEVER_A_CONNECTIONS),
)


class GatewayMetrics(StreamMetrics):
    """The shared families, counted by connection."""

    def __init__(self) -> None:
        super().__init__(
            provider="sluice",
            upstream="proxy",
            stages=OWN_STAGES,
            reasons=_REASONS,
            rejections=_AT_THE_DOOR,
            retries=("stale", "hop"),
        )
        self.violations.labels("proxy", "broken_hop")

    def connection_ended(self, connection: ClientConnection) -> StreamRecord:
        """A connection is over: count it, and return what there was to count."""
        record = connection.record()
        self.stream_finished(record)
        if connection.relay is not None:
            self.violations.labels("proxy", "broken_hop").inc(connection.relay.violations)
        if record.reason in _AT_THE_DOOR and connection.relay is None and connection.timeline.admitted is None:
            self.rejected.labels(record.reason).inc()
        return record

    def hop_closed(self, seconds: float) -> None:
        """So long after a client left the hop to the proxy was closed."""
        self.cancel.child().observe(seconds)


def families() -> list[Family]:
    """Return the metrics that the gateway declares."""
    return GatewayMetrics().families
