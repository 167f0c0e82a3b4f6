"""Server-sent events: the encoder, the decoder, the response headers and the heartbeat's bytes.

The grammar is the HTML Standard's (https://html.spec.whatwg.org/multipage/server-sent-events.html). The decoder follows
it to the letter; the encoder writes the small part of it in which nothing can be smuggled from one field into another.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

UNBUFFERED: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store, no-transform",  # no-transform: a proxy that compresses would hold tokens back
    "X-Accel-Buffering": "no",  # nginx would gather the answer otherwise
}
"""What keeps whoever stands between from gathering an answer: for every body that is streamed."""
HEADERS: Final[Mapping[str, str]] = {"Content-Type": "text/event-stream; charset=utf-8", **UNBUFFERED}

# One newline: a comment that a blank line follows makes published clients dispatch an event without data once an
# id was seen.
HEARTBEAT: Final = b": hb\n"
MAX_HEARTBEAT_S: Final = 60.0
"""The longest silence that a server may be set to: what stands between gives up on a quiet connection after it."""

# Twice the longest event of ours: a tool call or its result may have 1 MiB.
MAX_EVENT_BYTES: Final = 2 << 20

_NAME: Final = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_LINE_END: Final = re.compile(rb"[\r\n]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# "If the field value consists of only ASCII digits": not int(), which takes +5, 1_000 and Arabic digits. Fifteen of
# them are 30,000 years, and int() refuses 4,300.
_RETRY: Final = re.compile(rb"[0-9]{1,15}")


def encode(
    data: bytes | str,
    *,
    id: str | None = None,  # noqa: A002 - the field's own name
    event: str | None = None,
    retry: int | None = None,
) -> bytes:
    """Return one frame, its fields in the order id, event, retry (milliseconds), data.

    Raises:
        ValueError: ``data`` is more than one line, or ``id`` or ``event`` does not match ``[A-Za-z0-9._~-]{1,64}``.
            A caller's mistake: JSON escapes line ends, and our ids and names are short and plain.
    """
    payload = data.encode() if isinstance(data, str) else data
    if b"\n" in payload or b"\r" in payload:
        raise ValueError("data must be one line")
    head = _field("id", id) + _field("event", event)
    if retry is not None:
        head += f"retry: {retry:d}\n"
    return b"%bdata: %b\n\n" % (head.encode(), payload)


def _field(field: str, value: str | None) -> str:
    if value is None:
        return ""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{field} must match {_NAME.pattern}")
    return f"{field}: {value}\n"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event as an EventSource would dispatch it."""

    type: str
    data: str
    last_event_id: str


class EventTooLong(Exception):
    """An event, or one line of it, exceeds the limit; the decoder that raised it is dead."""


class SseDecoder:
    """Turn the bytes of an event stream into events, wherever they were cut.

    A block that no blank line ends is no event: what is left when the stream ends is dropped, as the standard says,
    unless its reader knows better (:meth:`finish`).

    Args:
        max_event_bytes: the most that the data of one event and the line in hand may have together.
        max_stray_bytes: how much is kept of lines that are no field: the standard's readers ignore them.

    Raises:
        EventTooLong: by iterating, beyond that limit. The events before it were yielded, the buffers are given back,
            and every later call raises it again.

    Attributes:
        retry_ms: the last reconnection time the stream set, or None.
        stray: the lines that are no field, the first of them: some servers write an error without a frame.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES, *, max_stray_bytes: int = 0) -> None:
        self.retry_ms: int | None = None
        self.stray = bytearray()
        self._max_event_bytes = max_event_bytes
        self._max_stray_bytes = max_stray_bytes
        self._buffer = bytearray()
        self._searched = 0  # leading bytes known to hold no line end: feeding stays O(n)
        self._at_start = True
        self._after_cr = False
        self._dead = False
        self._type = ""
        self._data = bytearray()
        self._last_event_id = ""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take in ``chunk``; iterate the result for the events it completes, in order."""
        self._buffer += chunk  # eagerly: a feed() that nobody drains loses nothing
        return self._complete_events()

    def finish(self) -> ServerSentEvent | None:
        """Return the event that lacks its blank line; None where none does.

        It may have been cut: only who can tell by its data that it is whole should take it.
        """
        line = bytes(self._buffer)
        self._buffer.clear()
        if line.strip(b"\r\n"):
            self._take(self._without_byte_order_mark(line))
        return self._dispatched()

    def _complete_events(self) -> Iterator[ServerSentEvent]:
        for line in self._lines():
            if line:
                self._take(line)
            elif event := self._dispatched():
                yield event

    def _lines(self) -> Iterator[bytes]:
        self._check(0)
        while found := _LINE_END.search(self._buffer, self._searched):
            end, line_end = found.start(), found.group()
            self._check(end)
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            # CR ends a line at once, or an event would wait for the next one's first byte; an LF right behind it is
            # the second half of the same line end, even if it comes with a later chunk.
            second_half = self._after_cr and not line and line_end == b"\n"
            self._after_cr = line_end == b"\r"
            if not second_half:
                yield self._without_byte_order_mark(line)
        self._searched = len(self._buffer)
        self._check(self._searched)

    def _without_byte_order_mark(self, line: bytes) -> bytes:
        """Strip the one mark that may lead the stream; elsewhere it is part of a field's name or value."""
        if not self._at_start:
            return line
        self._at_start = False
        return line.removeprefix(_BYTE_ORDER_MARK)

    def _take(self, line: bytes) -> None:
        """Take in one field; a comment is a field without a name, and unknown fields are ignored."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data += value + b"\n"
            case b"event":
                self._type = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._last_event_id = value.decode(errors="replace")
            case b"retry":
                if _RETRY.fullmatch(value):
                    self.retry_ms = int(value)
            case b"" | b"id":
                pass
            case _:
                self.stray += (line + b"\n")[: self._max_stray_bytes - len(self.stray)]

    def _dispatched(self) -> ServerSentEvent | None:
        """Return the event that a blank line completes; without data there is none, but its type is forgotten."""
        event_type, self._type = self._type or "message", ""
        if not self._data:
            return None
        data = self._data[:-1].decode(errors="replace")
        self._data.clear()
        return ServerSentEvent(event_type, data, self._last_event_id)

    def _check(self, line_bytes: int) -> None:
        self._dead = self._dead or len(self._data) + line_bytes > self._max_event_bytes
        if self._dead:
            self._buffer.clear()
            self._data.clear()
            raise EventTooLong(f"an event of more than {self._max_event_bytes} bytes")
