"""Newline-delimited JSON: the lines of a model server, and of our own answers in its shape.

A line that is no JSON is a value like any other (:class:`BadLine`), not an exception: how many of them end a stream is
the reader's rule, and the lines behind it are still good.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import orjson

from services.wire import json_text

# The longest line Ollama itself accepts of its runner and its Go client of Ollama; the `context` of a long
# conversation on the last line of /api/generate comes to some 700 KB.
MAX_LINE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of ``size`` bytes that is not JSON; its text is somebody's answer and is not kept."""

    size: int


class LineTooLong(Exception):
    """No line end came within the limit; the decoder that raised it is dead."""


class NdjsonDecoder:
    """Turn the bytes of an NDJSON stream into values, wherever they were cut.

    Args:
        max_line_bytes: the longest accepted line, its newline excluded.

    Raises:
        LineTooLong: by iterating, when a line exceeds ``max_line_bytes``. The values before it were yielded, the buffer
            is given back, and every later call raises it again.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._unended = bytearray()
        self._dead = False

    def feed(self, chunk: bytes) -> Iterable[object]:
        """Return the values that ``chunk`` completes, in order, a BadLine among them; drain it before the next call."""
        if chunk.endswith(b"\n") and not self._unended and len(chunk) <= self._max_line_bytes and not self._dead:
            # Ollama flushes after every line, so nearly every chunk is whole lines: nothing to keep, none too long.
            if chunk.find(b"\n") == len(chunk) - 1:  # and nearly always one, for which an iterator is too much
                return _values_of(chunk)
            return chain.from_iterable(map(_values_of, chunk[:-1].split(b"\n")))
        return self._joined(chunk)

    def finish(self) -> object | None:
        """Return the value of an unterminated last line, a BadLine included, or None where there is none.

        A single JSON object without a newline is how Ollama sends some whole answers.
        """
        last = bytes(self._unended)
        self._unended.clear()
        return next(iter(_values_of(last)), None)

    def _joined(self, chunk: bytes) -> Iterator[object]:
        *ends, rest = chunk.split(b"\n")  # what came before holds no newline and is not searched again: O(n)
        for end in ends:
            self._append(end)
            line = bytes(self._unended)
            self._unended.clear()
            yield from _values_of(line)
        self._append(rest)

    def _append(self, piece: bytes) -> None:
        self._dead = self._dead or len(self._unended) + len(piece) > self._max_line_bytes
        if self._dead:
            self._unended.clear()
            raise LineTooLong(f"no line end within {self._max_line_bytes} bytes")
        self._unended += piece


def _values_of(line: bytes) -> tuple[object, ...]:
    """Return the line's one value, or nothing for a blank line (a keep-alive, not a value)."""
    try:
        return (orjson.loads(line),)
    except orjson.JSONDecodeError:
        return _second_look(line)


def _second_look(line: bytes) -> tuple[object, ...]:
    """Read the line again as a lenient reader does: no byte order mark, U+FFFD for what is not UTF-8 or half a pair.

    "Implementations that parse JSON texts MAY ignore the presence of a byte order mark rather than treating it as an
    error" (RFC 8259, 8.1): so it is ignored before any line, and the usual path need not look for one.
    """
    text = line.decode("utf-8-sig", "replace").strip()
    try:
        return (json_text.loads(text),) if text else ()
    except orjson.JSONDecodeError:
        return (BadLine(len(line)),)
