"""The numbered, byte-bounded events of one stream. Pure.

Text is kept as runs: the UTF-8 of neighbouring parts of one kind, and the end offset of each part, so that 1 MiB
holds some 80,000 tokens and merging is slicing. Event objects are made when somebody asks for them.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from services.wire.events import (
    Failed,
    Finished,
    Logged,
    Signature,
    Started,
    Terminal,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
)
from services.wire.ids import BadPosition
from services.wire.native import Numbered, TextKind

RUN_BYTES: Final = 10_240
"""Most text of a run, and so of a merged frame: escaped by JSON at six to one it still fits 64 KiB."""
PART_BYTES: Final = 65_536
"""Longest part; longer text becomes several events."""
BATCH_BYTES: Final = 65_536
"""Most text that one call of :meth:`StreamLog.after` returns, so that who catches up writes in bounded pieces."""
_OFFSET_BYTES: Final = 4
_EVENT_BYTES: Final = 256
"""What an event that is not text is taken to weigh; a tool call adds its arguments."""
_NEVER: Final = 1 << 62
"""A number that no event reaches; not infinity, which is no int: compiled code tells them apart."""

NotText = Started | Signature | ToolCall | ToolResult | Terminal
"""What a log holds as it is: one by one, and by its kind."""


class LeftTheLog(Exception):
    """The number that is asked for has left the log: there would be a gap."""


@dataclass(slots=True)
class _TextRun:
    first: int
    kind: TextKind
    text: bytearray = field(default_factory=bytearray)
    ends: "array[int]" = field(default_factory=lambda: array("I"))

    @property
    def last(self) -> int:
        return self.first + len(self.ends) - 1

    @property
    def weight(self) -> int:
        return len(self.text) + _OFFSET_BYTES * len(self.ends)

    def after(self, position: int) -> Numbered:
        start = self.ends[position - self.first] if position >= self.first else 0
        return self.last, self.kind(self.text[start:].decode())


@dataclass(slots=True)
class _Single:
    first: int
    event: NotText
    weight: int

    @property
    def last(self) -> int:
        return self.first

    def after(self, _position: int) -> Numbered:
        return self.first, self.event


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a log holds, put together; ``text_from`` and ``thinking_from`` count the characters that have left it."""

    text: str
    thinking: str
    tool_calls: list[ToolCall]
    tool_results: list[ToolResult]
    text_from: int
    thinking_from: int


class StreamLog:
    """Numbers events from 1, replays them after any number it still holds, and decides which terminal event is first.

    Args:
        max_bytes: how much is held; when it is full the oldest run goes, and who needs it has been too slow.

    Attributes:
        kept_after: events after this number stay whatever they weigh, for nobody has had the chance to read them yet;
            what one read of the model server can bring is bounded by the longest line.
        on_call: makes what is told of a call that the model makes, where not every call is the client's.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._runs: list[_TextRun | _Single] = []  # an empty deque alone holds 760 bytes
        self._left_text = self._left_thinking = 0  # characters that are no longer held
        self._open_run: _TextRun | None = None  # the newest, if more text may join it
        self.newest_text: str | None = None  # the newest event, where it is text: as it was told
        self.newest_kind: TextKind = Token
        self.last = 0  # the number of the newest event
        self.size = 0  # bytes held
        self.chunks = 0  # content events, exact
        self.text_bytes = 0  # UTF-8 bytes of Thinking and Token, exact
        self.thinking_chunks = 0
        self.tool_calls = 0
        self.skipped_lines = 0  # lines of the model server of which something could not be read
        self.late = 0  # events that came after the terminal one, and were dropped
        self.end: Terminal | None = None
        self.kept_after = _NEVER
        self.on_call: Callable[[ToolCall], ToolCall] | None = None

    def text(self, kind: TextKind, part: str) -> None:
        """Append a part of the answer; empty text is no event, and text over 64 KiB is several."""
        data = part.encode()
        size = len(data)
        if size > PART_BYTES:
            for piece in _pieces(data):
                self.text(kind, piece.decode())
            return
        if not data:
            return
        if self.end is not None:
            self.late += 1
            return
        run = self._open_run
        if run is None or run.kind is not kind or len(run.text) + size > RUN_BYTES:
            run = self._open_run = _TextRun(self.last + 1, kind)
            self._runs.append(run)
        run.text += data
        run.ends.append(len(run.text))
        self.newest_text, self.newest_kind = part, kind
        self.last += 1
        self.chunks += 1
        if kind is Thinking:
            self.thinking_chunks += 1
        self.text_bytes += size
        self.size += size + _OFFSET_BYTES
        if self.size > self._max_bytes:
            self._make_room()

    def append(self, event: NotText, weight: int = 0) -> bool:
        """Append an event that is not text; False if the log has ended: the first terminal event wins, here.

        Args:
            weight: the bytes it holds beyond a small event's (a tool call's arguments).
        """
        if self.end is not None:
            self.late += 1
            return False
        self.last += 1
        match event:
            case Finished() | Failed():
                self.end = event
            case ToolCall():
                if self.on_call is not None:
                    event = self.on_call(event)
                self.chunks += 1
                self.tool_calls += 1
            case Started() | Signature() | ToolResult():  # no content
                pass
            case _:
                assert_never(event)
        self._runs.append(_Single(self.last, event, _EVENT_BYTES + weight))
        self._open_run = self.newest_text = None
        self.size += _EVENT_BYTES + weight
        self._make_room()
        return True

    def delivered(self) -> None:
        """Every reader has been handed what there is, or could have been: it may go when room is needed."""
        self.kept_after = self.last
        self._make_room()

    def after(self, position: int) -> list[Numbered]:
        """Return what follows ``position``, neighbouring text merged; empty when there is nothing yet.

        Raises:
            LeftTheLog: the next number is no longer held.
        """
        if position >= self.last:
            return []
        newest = self._runs[-1]
        if newest.first <= position + 1:  # a live follower's case
            return [newest.after(position)]
        if position + 1 < self.first:
            raise LeftTheLog
        return self._batch(position)

    def held(self, position: int) -> list[Logged]:
        """Return all that is held and follows ``position``, in order; what has left the log is missing from it."""
        return [run.after(position)[1] for run in self._runs if run.last > position]

    def snapshot(self) -> Snapshot:
        """Return what is held, text and thinking each in one piece."""
        parts: dict[TextKind, list[str]] = {Token: [], Thinking: []}
        calls: list[ToolCall] = []
        results: list[ToolResult] = []
        for run in self._runs:
            if isinstance(run, _TextRun):
                parts[run.kind].append(run.text.decode())
                continue
            match run.event:
                case ToolCall():
                    calls.append(run.event)
                case ToolResult():
                    results.append(run.event)
                case Started() | Signature() | Finished() | Failed():  # its status tells of the end
                    pass
                case _:
                    assert_never(run.event)
        text, thinking = "".join(parts[Token]), "".join(parts[Thinking])
        return Snapshot(text, thinking, calls, results, self._left_text, self._left_thinking)

    def check_position(self, position: int) -> None:
        """Refuse a position from which nobody could go on without a gap.

        Raises:
            BadPosition: it lies ahead of what there is.
            LeftTheLog: what follows it is no longer held.
        """
        if position > self.last:
            raise BadPosition("This position lies ahead of the answer.")
        if position + 1 < self.first:
            raise LeftTheLog

    @property
    def first(self) -> int:
        """The oldest number that is held."""
        return self._runs[0].first if self._runs else self.last + 1

    def _batch(self, position: int) -> list[Numbered]:
        batch: list[Numbered] = []
        weight = 0
        for run in self._runs:
            if run.last > position and weight < BATCH_BYTES:
                batch.append(run.after(position))
                weight += run.weight
        return batch

    def _make_room(self) -> None:
        while self.size > self._max_bytes and len(self._runs) > 1 and self._runs[0].last <= self.kept_after:
            oldest = self._runs.pop(0)
            self.size -= oldest.weight
            if isinstance(oldest, _TextRun):
                characters = len(oldest.text.decode())
                if oldest.kind is Thinking:
                    self._left_thinking += characters
                else:
                    self._left_text += characters


def _pieces(data: bytes) -> list[bytes]:
    """Cut UTF-8 into pieces of at most PART_BYTES, never inside a character."""
    pieces = []
    while data:
        cut = min(len(data), PART_BYTES)
        while cut < len(data) and data[cut] & 0xC0 == 0x80:
            cut -= 1
        pieces.append(data[:cut])
        data = data[cut:]
    return pieces
