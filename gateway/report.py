"""The one line of a connection: what became of it and where its time went. Never a word of prompt or answer."""

import structlog

from gateway.metrics import GatewayMetrics
from gateway.relay.connection import ClientConnection

log = structlog.get_logger()


class ConnectionLog:
    """Writes the lines of connections, and has each counted at its end."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        self._metrics = metrics

    @staticmethod
    def started(connection: ClientConnection) -> None:
        """Write the line of a connection's start, at debug."""
        log.debug("stream.started", tier="gateway", stream_id=connection.stream_id, request_id=connection.request_id)

    def ended(self, connection: ClientConnection) -> None:
        """Count a connection and write its line; the stages add up to ``dur_ms``."""
        record = self._metrics.connection_ended(connection)
        relay = connection.relay
        log.info(
            "stream.finished",
            tier="gateway",
            request_id=connection.request_id,
            trace_id=connection.trace and connection.trace.id,
            key_id=connection.principal.key.id or None,
            stream_id=connection.stream_id or None,
            conversation_id=connection.conversation_id,
            route=connection.route,
            dialect=connection.dialect,
            model=self._metrics.models.listed_as(connection.model),
            model_raw_len=len(connection.model),
            outcome=connection.outcome,
            slo_good=record.good,
            **record.log_fields(),
            proxy_timing=relay.end.data.get("timing") if relay is not None and relay.end is not None else None,
            chunks_out=record.chunks,
            bytes_out=relay.bytes_out if relay is not None else 0,
        )
