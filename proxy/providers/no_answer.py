"""When what a model server sent is no answer, or none that came to its end: the same for every language. Pure."""

from typing import Final

from proxy.streams.log import StreamLog
from services.wire.events import Code, Failed

SKIPPED_LINES_MAX: Final = 8
"""The malformed line that ends the stream: one is an accident, eight are another language."""
TOOL_CALL_BYTES: Final = 1 << 20
"""Longest tool call, as JSON."""

NO_ANSWER: Final = Failed(Code.UPSTREAM_MALFORMED, "The model server sent what is not an answer.")
TRUNCATED: Final = Failed(Code.UPSTREAM_TRUNCATED, "The model server ended its answer without saying it was done.")


def skip(log: StreamLog) -> Failed | None:
    """Leave out what cannot be read; the eighth time it is no answer."""
    log.skipped_lines += 1
    return NO_ANSWER if log.skipped_lines >= SKIPPED_LINES_MAX else None
