"""The one line of a stream: what became of it and where its time went. Never a word of prompt or answer."""

import structlog

from proxy.streams.stream import Stream
from services.telemetry.stream_record import StreamRecord
from services.wire.events import outcome_of

log = structlog.get_logger()


def stream_started(stream: Stream) -> None:
    """Write the line of a stream's start, at debug."""
    log.debug(
        "stream.started",
        stream_id=stream.id,
        request_id=stream.caller.request_id,
        operation=stream.request.kind,
        dropped_fields=stream.wishes.dropped,
    )


def stream_finished(stream: Stream, record: StreamRecord, model: str) -> None:
    """Write the line of a stream's end; the stages add up to ``dur_ms``.

    Args:
        model: as the model server lists it: a name that only a client knows is the client's word, and only measured.
    """
    log.info(
        "stream.finished",
        tier="proxy",
        stream_id=stream.id,
        request_id=stream.caller.request_id,
        trace_id=stream.caller.trace and stream.caller.trace.id,
        model=model,
        model_raw_len=len(stream.model),
        outcome=outcome_of(record.reason),
        attempts=stream.attempts,
        **({} if stream.tools is None else {"turns": stream.turns}),
        **({} if stream.server is None else {"server": stream.server, "provider": stream.provider}),
        **record.log_fields(),
        usage_source="none" if record.output_tokens is None else "usage",
        chunks_in=record.chunks,
        bytes_in=stream.log.text_bytes,
        skipped_lines=stream.log.skipped_lines,
        tokens_after_disconnect=stream.log.late,
    )
