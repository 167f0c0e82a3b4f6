"""From a hop's bytes to a client's frames: as they are, or translated into another dialect; and what passed.

    PassThrough   native frames, bytes untouched, but for `start` and the end, which get the gateway's own fields
                  (the usual read, one frame of text, is only recognised, and written with the framing it came in)
    Translated    frames -> events -> the frames of a dialect

Both know frames by :class:`services.wire.native.NativeReader`; what is no content is taken out by it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gateway.relay.content_meter import ContentMeter
from services.dialects.dialect import Dialect
from services.wire.events import Content, Event, Failed, Finished, Status, Terminal, Thinking, Token
from services.wire.native import ControlFrame, NativeFrames, NativeReader, control_frame
from services.wire.native_events import decoded, events_of


def _nothing() -> None:
    return


class Passed:
    """What has passed of a stream: its newest number, its content, and its end.

    Args:
        position: the number after which it is read.
    """

    def __init__(self, position: int) -> None:
        self.reader = NativeReader(position)
        self.end: ControlFrame | None = None
        self.model_server: Mapping[str, Any] = {}  # the model server's own last numbers
        self.ended: Callable[[], None] = _nothing  # told of the end before its frame leaves
        self._first_number = position
        self._controls = 0

    @property
    def last_number(self) -> int:
        """The number of the newest event."""
        return self.reader.last_number

    @property
    def chunks(self) -> int:
        """Content events: numbers grow by one for each event, merged or not."""
        return max(0, self.last_number - self._first_number - self._controls)

    @property
    def decode_s(self) -> float | None:
        """How long the model server says that it decoded, None where it did not say."""
        decode_ns = self.model_server.get("eval_duration")
        return None if decode_ns is None else decode_ns / 1e9

    def controlled(self, frame: ControlFrame) -> None:
        """Note a frame that is no content."""
        self._controls += 1
        if frame.is_end:
            self.end = frame
            self.model_server = frame.data.get("model_server", self.model_server)
            self.ended()


class Keeper(Protocol):
    """Who keeps the answer that passes: its end waits a moment for them."""

    async def stored(self) -> bool:
        """Hear that the end is here, and say whether it was written, in a moment at the most."""
        ...


class Passage(Protocol):
    """A client's frames, made of a hop's bytes."""

    passed: Passed
    can_resume: bool

    @property
    def holds_end(self) -> bool:
        """Whether the end is here and its frame is still to come, by :meth:`held_end`."""
        ...

    def passes(self, data: bytes, now: float) -> bool:
        """Take in a read of the hop if it is for the client as it came; on the token path.

        False for any other read: nothing was noted, and :meth:`take` has to make frames of it.
        """
        ...

    def take(self, data: bytes, now: float, frames: list[bytes]) -> None:
        """Append to ``frames`` what a read of the hop is for the client; on the token path.

        Raises:
            HopBroken: what came is not what a proxy writes; what came before it was appended.
        """
        ...

    async def held_end(self) -> bytes:
        """Return the frame of the end that is held."""
        ...

    def close(self, failed: Failed) -> bytes:
        """Return the frame of an end that no proxy said."""
        ...


class PassThrough:
    """Native frames for a client that reads native: most reads are handed on as they came.

    Args:
        began: whether this connection began the stream: only then it is known how long the first token took here.
        start_fields: the gateway's own fields of `start`.
        keeper: who says in the end's frame whether it was written.
    """

    can_resume = True

    def __init__(
        self,
        position: int,
        meter: ContentMeter,
        *,
        request_id: str,
        began: bool,
        start_fields: Mapping[str, Any],
        keeper: Keeper | None = None,
    ) -> None:
        self.passed = Passed(position)
        self._meter = meter
        self._timeline, self._gap_seen = meter.timeline, meter.gap_seen
        self._request_id = request_id
        self._began = began
        self._start_fields = start_fields
        self._keeper = keeper
        self._held: ControlFrame | None = None

    @property
    def holds_end(self) -> bool:
        """Whether the end is here and waits for who keeps it."""
        return self._held is not None

    def passes(self, data: bytes, now: float) -> bool:
        """Whether ``data`` is exactly one frame of text, as nearly every read is: it is noted."""
        kind = self.passed.reader.text_frame(data)
        if kind is None:
            return False
        gap_s = self._timeline.content_came(now, kind is Token)  # not by the meter: a call less for each token
        if gap_s is not None:
            self._gap_seen(gap_s)
        else:
            self._timeline.turn_spoke(now)
        return True

    def take(self, data: bytes, now: float, frames: list[bytes]) -> None:
        """Append the whole frames that ``data`` completes."""
        for run in self.passed.reader.feed(data):
            if isinstance(run, bytes):
                answers = b"event: token\n" in run or b"event: tool_call\n" in run
                if answers or b"event: thinking\n" in run:
                    self._meter.content_came(now, answers=answers)
                frames.append(run)
            elif run.is_end and self._keeper is not None:
                self._held = run
            else:
                frames.append(self._rewritten(run))

    async def held_end(self) -> bytes:
        """Return the end's frame once its keeper has written it, or in a moment."""
        assert self._keeper is not None
        assert self._held is not None
        self._held.data["stored"] = await self._keeper.stored()
        frame, self._held = self._held, None
        return self._rewritten(frame)

    def close(self, failed: Failed) -> bytes:
        """Return the one terminal frame that is in no log."""
        return NativeFrames("", request_id=self._request_id, heartbeat_s=0).close(failed)

    def _rewritten(self, frame: ControlFrame) -> bytes:
        self.passed.controlled(frame)
        if frame.event == "tool_result":
            self._timeline.turn_over()
        if frame.event == "start":
            frame.data.update(self._start_fields)
            self._start_fields = {}  # a stream has one start, and then takes minutes
        elif frame.is_end:
            frame.data.pop("model_server", None)
            ttft_s = self._meter.ttft_s if self._began else None
            if frame.event == "done" and ttft_s is not None:
                frame.data["gateway"] = {"ttft_ms": round(ttft_s * 1000, 1)}
        return control_frame(frame)


class Translated:
    """The same stream in another dialect.

    Attributes:
        end: how it ended: the proxy's own word, or that of :meth:`close`.
    """

    holds_end = False

    def __init__(self, position: int, meter: ContentMeter, dialect: Dialect) -> None:
        self.passed = Passed(position)
        self.can_resume = dialect.can_resume
        self.end: Terminal | None = None
        self._meter = meter
        self._dialect = dialect

    def passes(self, _data: bytes, _now: float) -> bool:
        """Nothing is in this dialect as it came."""
        return False

    def take(self, data: bytes, now: float, frames: list[bytes]) -> None:
        """Append what the events of ``data`` are in the dialect."""
        for run in self.passed.reader.feed(data):
            if isinstance(run, bytes):
                self._take_content(run, now, frames)
            else:
                self.passed.controlled(run)
                if run.event == "tool_result":
                    self._meter.timeline.turn_over()
                frames.extend(self._said(number, event) for number, event in decoded(run.id, run.event, run.data))

    async def held_end(self) -> bytes:
        """Nothing is held."""
        return b""

    def close(self, failed: Failed) -> bytes:
        """Return the dialect's own words for it."""
        self.end = failed
        return self._dialect.close(failed)

    def _take_content(self, run: bytes, now: float, frames: list[bytes]) -> None:
        events = list(events_of(run))
        content = [event for _, event in events if isinstance(event, Content)]
        if content:
            self._meter.content_came(now, answers=any(not isinstance(event, Thinking) for event in content))
        frames.extend(self._said(number, event) for number, event in events)

    def _said(self, number: int, event: Event) -> bytes:
        if isinstance(event, Status):
            return self._dialect.status(event)
        if isinstance(event, Token | Thinking):
            return self._dialect.text(type(event), number, event.content)
        if isinstance(event, Finished | Failed):
            self.end = event
        return self._dialect.frames([(number, event)])
