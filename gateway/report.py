"""The one line of a connection: what became of it and where its time went. Never a word of prompt or answer."""

import structlog

from gateway.connection import ClientConnection
from gateway.metrics import GatewayMetrics

log = structlog.get_logger()


def connection_started(connection: ClientConnection) -> None:
    """Write the line of a connection's start, at debug."""
    log.debug("stream.started", tier="gateway", stream_id=connection.stream_id, request_id=connection.request_id)


def connection_ended(connection: ClientConnection, metrics: GatewayMetrics) -> None:
    """Count a connection and write its line; the stages add up to ``dur_ms``."""
    record = metrics.connection_ended(connection)
    relay = connection.relay
    log.info(
        "stream.finished",
        tier="gateway",
        request_id=connection.request_id,
        stream_id=connection.stream_id or None,
        conversation_id=connection.conversation_id,
        route=connection.route,
        operation=record.kind,
        model=metrics.models.label(connection.model),
        model_raw_len=len(connection.model),
        outcome=connection.outcome,
        reason=record.reason,
        dur_ms=_ms(record.duration_s),
        ttft_ms=_ms(record.ttft_s),
        ttfc_ms=_ms(record.first_answer_s),
        tpot_ms=_ms(record.time_per_token_s),
        max_gap_ms=_ms(record.max_gap_s),
        rate_tps=record.tokens_per_s,
        added_first_ms=_ms(record.added_first_token_s),
        added_total_ms=_ms(record.added_total_s),
        slo_good=record.good,
        stages={f"{stage}_ms": round(seconds * 1000, 3) for stage, seconds in record.stages.items()},
        proxy_timing=relay.end.data.get("timing") if relay is not None and relay.end is not None else None,
        tokens_in=record.input_tokens,
        tokens_out=record.output_tokens,
        chunks_out=record.chunks,
        bytes_out=relay.bytes_out if relay is not None else 0,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
