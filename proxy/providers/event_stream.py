"""The body of an answer in the languages of the clouds, taken apart: frames of server-sent events, or one JSON. Pure.

    bytes -> EventStream -> frames -> EventStreamAdapter -> what a language makes of one: _said, or _whole

A model server that was asked for a stream may answer with one JSON body all the same, an error or a whole answer: what
its first byte shows. So a server that does not stream needs no other reader.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from proxy.providers.adapter import AttemptFailed, Outcome, Question, UpstreamRequest
from proxy.providers.fields import Malformed
from proxy.providers.no_answer import NO_ANSWER, TRUNCATED, skip
from proxy.streams.log import StreamLog
from services.wire import json_text
from services.wire.events import Completion
from services.wire.sse import EventTooLong, SseDecoder

BODY_BYTES: Final = 8 << 20
"""Longest frame, and longest answer that comes as one body: as a line of Ollama."""
STRAY_BYTES: Final = 64 << 10
"""Most that is kept of what stands between frames: an error of Gemini may, on many lines."""
_JSON_BEGINS: Final = (b"{", b"[")


class Frame(NamedTuple):
    """What a body says at once.

    Attributes:
        event: its event's name; "" for a body that is no stream of events.
        data: JSON, most likely.
        ended: whether it was ended as it should be; what was cut may be half of it.
    """

    event: str
    data: bytes | str
    ended: bool = True

    @property
    def is_body(self) -> bool:
        """Whether it is the whole of a body, or what stood in it beside the frames."""
        return not self.event


class EventStream:
    """Turns the bytes of a body into frames, wherever they were cut.

    Raises:
        EventTooLong: by iterating; a frame or a body exceeds BODY_BYTES.
    """

    def __init__(self) -> None:
        self._decoder = SseDecoder(BODY_BYTES, max_stray_bytes=STRAY_BYTES)
        self._body: bytearray | None = None  # of an answer that is one JSON
        self.is_empty = True  # blank lines aside

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Take in ``chunk``; iterate the result for the frames that it completes."""
        if self.is_empty and (begins := chunk.lstrip()):
            self.is_empty = False
            if begins.startswith(_JSON_BEGINS):
                self._body = bytearray()
        if self._body is None:
            for event in self._decoder.feed(chunk):
                yield Frame(event.type, event.data)
        elif len(self._body) + len(chunk) > BODY_BYTES:
            raise EventTooLong(f"a body of more than {BODY_BYTES} bytes")
        else:
            self._body += chunk

    def finish(self) -> Iterator[Frame]:
        """Return what is left at the end: a body, a frame without its blank line, what stood beside the frames."""
        if self._body is not None:
            yield Frame("", bytes(self._body))
            return
        if (last := self._decoder.finish()) is not None:
            yield Frame(last.type, last.data, ended=False)
        if self._decoder.stray.lstrip().startswith(_JSON_BEGINS):
            yield Frame("", bytes(self._decoder.stray), ended=False)


class EventStreamAdapter(ABC):
    """One call in a language whose answers are streams of events."""

    name: ClassVar[str]

    def __init__(self, question: Question) -> None:
        self._question = question
        self._body = EventStream()
        self._understood = False  # a frame was in this language
        self._left_out = False  # something of the frame in hand, a call, could not be read

    def feed(self, chunk: bytes, log: StreamLog) -> Outcome | None:
        """Put what ``chunk`` completes into ``log``; return the answer's end when it is there."""
        return self._read(self._body.feed(chunk), log)

    def end(self, log: StreamLog, *, broke_off: bool = False) -> Outcome:
        """Return what the end of the body means; a last frame that is whole counts without its blank line."""
        outcome = self._read(self._body.finish(), log) or self._completion()
        if outcome is not None:
            return outcome
        return TRUNCATED if self._understood or self._body.is_empty or broke_off else NO_ANSWER

    @property
    def silent(self) -> bool:
        """Always: what comes before the first content is no part of an answer, and after it nobody is asked again."""
        return True

    @property
    def has_finished(self) -> bool:
        """Whether only the end of the body is awaited."""
        return self._completion() is not None

    @abstractmethod
    def request(self) -> UpstreamRequest:
        """Return what asks the model."""

    @abstractmethod
    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer that is no stream means."""

    @abstractmethod
    def _said(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        """Put what one frame says into ``log``; return the answer's end when it is there.

        Raises:
            Malformed: a field has the wrong type; nothing more of the frame can be trusted.
        """

    @abstractmethod
    def _whole(self, value: dict[str, Any], log: StreamLog) -> Outcome | None:
        """Likewise of an answer that came in one piece."""

    @abstractmethod
    def _completion(self) -> Completion | None:
        """Return the end of the answer if the server has said it, and only its usage or the body's end may follow."""

    @abstractmethod
    def _lost(self) -> None:
        """Note that something could not be read, and may have been a part of what is not whole yet."""

    def _read(self, frames: Iterator[Frame], log: StreamLog) -> Outcome | None:
        try:
            for frame in frames:
                if (outcome := self._frame(frame, log)) is not None:
                    return outcome
        except EventTooLong:
            return NO_ANSWER
        return None

    def _frame(self, frame: Frame, log: StreamLog) -> Outcome | None:
        value = object_in(frame.data)
        if value is None and (frame.is_body or not frame.ended):
            return None
        if value is None:
            self._lost()
            return skip(log)
        outcome, self._left_out = None, False
        try:
            outcome = self._whole(value, log) if frame.is_body else self._said(value, log)
        except Malformed:
            self._lost()
            self._left_out = True
        no_more = skip(log) if self._left_out else None  # once a frame, however much of it
        return outcome or no_more


def object_in(data: bytes | str) -> dict[str, Any] | None:
    """Return the JSON object that ``data`` is, or the first of a list, in which some servers wrap an error; or None."""
    try:
        value = json_text.loads(data)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else None
