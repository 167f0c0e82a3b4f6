"""The one line of a stream: what became of it and where its time went. Never a word of prompt or answer."""

import structlog

from proxy.stream import Stream
from services.runtime.stream_record import StreamRecord
from services.wire.events import Code, FinishReason

log = structlog.get_logger()

_CLIENTS_DOING = frozenset({FinishReason.CANCELLED, FinishReason.ABANDONED})
_OURS = frozenset({Code.INTERNAL, Code.SHUTTING_DOWN})


def stream_started(stream: Stream) -> None:
    """Write the line of a stream's start, at debug."""
    log.debug(
        "stream.started",
        stream_id=stream.id,
        request_id=stream.caller.request_id,
        operation=stream.request.kind,
        dropped_fields=stream.request.dropped,
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
        model=model,
        model_raw_len=len(stream.model),
        outcome=_outcome(record),
        attempts=stream.attempts,
        **record.log_fields(),
        usage_source="none" if record.output_tokens is None else "usage",
        chunks_in=record.chunks,
        bytes_in=stream.log.text_bytes,
        skipped_lines=stream.skipped_lines,
        tokens_after_disconnect=stream.log.late,
    )


def _outcome(record: StreamRecord) -> str:
    if record.reason in _CLIENTS_DOING or record.reason in {Code.INVALID_REQUEST, Code.MODEL_NOT_FOUND}:
        return "client"
    if not record.failed:
        return "ok"
    if record.reason == Code.QUEUE_TIMEOUT:
        return "shed"
    return "internal" if record.reason in _OURS else "upstream"
