"""How one answer is followed over connections that break: ask, read, resume with backoff, or give up. Pure.

    nothing heard   ask, and ask again with the same Idempotency-Key: it joins the answer, if there is one
    an id           follow after the last number: no gap, no duplicate
    `done`, `error` over; without one only the connection is (PROTOCOL.md, "Rules of every stream")

Times are in seconds by a clock that only grows; ``chance`` is a random number in [0, 1).
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.termchat.answer_events import (
    AnswerEnd,
    AnswerEvent,
    AnswerFailed,
    AnswerFinished,
    AnswerStarted,
    event_of,
    object_of,
)
from services.wire.events import Thinking, Token, ToolCall
from services.wire.ids import BadPosition, is_stream_id, number_of
from services.wire.sse import ServerSentEvent

MOST_TRIES: Final = 5
"""In a row without a new frame between."""
SILENT_TRIES: Final = 3
"""A resume that is back so soon is not worth a word."""
FIRST_DELAY_S: Final = 0.25
DEFAULT_WINDOW_S: Final = 30.0  # a `continue` answer waits so long for its reader, until `start` says it
DEFAULT_HEARTBEAT_S: Final = 10.0
DEAD_AFTER_HEARTBEATS: Final = 3
HEADERS_S: Final = 20.0
"""Headers come within a second of being accepted; the hop behind the gateway may take six more."""
KEEP_CHARACTERS: Final = 1 << 20
"""Of an answer's text, for the conversation: as much as the proxy's log holds of it."""
UNREACHABLE: Final = "unreachable"
INTERRUPTED: Final = "interrupted"
STOPPED: Final = "stopped"
UNTRUSTED: Final = "untrusted"
STRANGER: Final = "malformed"
"""How a call fails (`TransportError.how`) which asking again does not mend."""
_WITHOUT_ID: Final = ("status", "error", "done")
"""The first is never in the log; an error may be the gateway's own; and no end was heard before the end."""
_BROKE_OFF: Final = "The connection broke, and the answer could not be resumed."


def why_unreached(how: str = "", whom: str = "The gateway", at: str = "") -> str:
    """Return why a server was not reached, and what to do where that is known.

    Args:
        how: as the call failed.
        at: where it was looked for, if that is to be said.
    """
    if how == UNTRUSTED:
        return f"{whom}'s certificate is not trusted; --cacert names the one that is."
    if how == STRANGER:
        return "What answers there speaks no HTTP. Is the address right?"
    return f"{whom}{at and f' at {at}'} cannot be reached."


class Heard(NamedTuple):
    """An event that was not heard before: its data, and what they say where that is known."""

    data: Mapping[str, Any]
    event: AnswerEvent | None


class Following:
    """One answer, from its question to its end.

    Attributes:
        stream_id: by which it is taken up again and stopped; None until the gateway has said it.
        rows: the ids of its question and of itself, where the gateway keeps them.
        last: the number of the last event that was heard; 0 for none.
        end: how it ended; None while it has not.
        end_was_heard: whether that was the answer's own last word, and not ours for a connection that is gone.
        stop_asked: whether it was to stop.
        tries: how often in a row it was taken up without anything new.
        asked_at, first_at, heard_at: when it was asked for, when its first content came, when anything came last.
    """

    def __init__(self, now: float) -> None:
        self.stream_id: str | None = None
        self.model = ""
        self.rows = ("", "")
        self.last = 0
        self.end: AnswerEnd | None = None
        self.end_was_heard = False
        self.stop_asked = False
        self.tries = 0
        self.asked_at = now
        self.first_at: float | None = None
        self.heard_at = now
        self._pieces: list[str] = []
        self._characters = 0
        self._window_s = DEFAULT_WINDOW_S
        self._heartbeat_s = DEFAULT_HEARTBEAT_S
        self._was_sent = False  # the question may have reached the gateway
        self._lost_at: float | None = None

    @property
    def text(self) -> str:
        """The answer as far as it was heard, and kept."""
        return "".join(self._pieces)

    @property
    def is_reconnecting(self) -> bool:
        """Whether it is time to tell the person that the connection is lost."""
        return self.tries > SILENT_TRIES

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because it was to stop; one that was over before is whole."""
        end = self.end
        return self.stop_asked and (end.reason == "cancelled" if isinstance(end, AnswerFinished) else True)

    @property
    def mark(self) -> str:
        """What is to be said of its text where that is not whole; "" where it is."""
        if self.was_stopped:
            return "stopped"
        if isinstance(self.end, AnswerFinished):
            return self.end.reason if self.end.reason in {"cancelled", "abandoned"} else ""
        return INTERRUPTED

    def opened(self, stream_id: str, now: float) -> None:
        """Note that a connection's headers came."""
        self.heard_at = now
        self._was_sent = True
        if is_stream_id(stream_id):
            self.stream_id = stream_id

    def heard(self, event: ServerSentEvent, now: float) -> Heard | None:
        """Take in an event; return what it says, None where it was heard before."""
        self.heard_at = now
        data = object_of(event.data)
        if not self._is_new(event, data.get("type")):
            return None
        self.tries, self._lost_at = 0, None
        said = event_of(data)
        if isinstance(said, Token) and self._characters < KEEP_CHARACTERS:
            self._pieces.append(said.content)
            self._characters += len(said.content)
        match said:
            case AnswerStarted(stream_id, model, window_s, heartbeat_s, message_id, parent):
                self.opened(stream_id, now)
                self.model = model
                self.rows = (parent, message_id)
                self._window_s = DEFAULT_WINDOW_S if window_s is None else window_s
                self._heartbeat_s = heartbeat_s or DEFAULT_HEARTBEAT_S
            case Thinking() | Token() | ToolCall() if self.first_at is None:
                self.first_at = now
            case AnswerFinished() | AnswerFailed() if self.end is None:
                self.end, self.end_was_heard = said, True
            case _:
                pass
        return Heard(data, said)

    @property
    def dead_at(self) -> float:
        """When a connection on which nothing came since is given up."""
        return self.heard_at + DEAD_AFTER_HEARTBEATS * self._heartbeat_s

    def not_reached(self, now: float, chance: float, *, is_untrusted: bool = False) -> float | None:
        """Note that no connection came up; return how long to wait before the next try, or None: it is over.

        Args:
            is_untrusted: one did, but its other end's certificate is not trusted.
        """
        if is_untrusted:
            self.end = AnswerFailed(UNREACHABLE, why_unreached(UNTRUSTED))
            return None
        if not self._was_sent:  # nothing was started: a person would rather know at once
            self.end = AnswerFailed(UNREACHABLE, why_unreached(), retryable=True)
            return None
        return self._again(now, chance)

    def disconnected(self, now: float, chance: float) -> float | None:
        """Note that a connection ended without the answer's end; return as :meth:`not_reached` does."""
        self._was_sent = True
        return self._again(now, chance)

    def refused(self, status: int, failed: AnswerFailed, now: float, chance: float) -> float | None:
        """Note that a status other than 200 came; return as :meth:`not_reached` does."""
        if self.stream_id is not None and (status == 429 or status >= 500):
            return self._again(now, chance, failed.retry_after_s or 0.0)
        if self.stream_id is None:
            self.end = failed
        else:  # 204 and 410: it was over, and its last word cannot be had
            words = failed.message or _BROKE_OFF
            self.end = AnswerFailed(INTERRUPTED, words, retryable=True, request_id=failed.request_id)
        return None

    def met_a_stranger(self) -> None:
        """Note that what answered speaks another protocol: it will not learn ours by being asked again."""
        self.end = AnswerFailed(UNREACHABLE, why_unreached(STRANGER))

    def stop(self) -> None:
        """Note that it was stopped here, whatever becomes of it there; its own last word, if it has come, stands."""
        if self.end is None:
            self.end = AnswerFailed(STOPPED, "")

    def _is_new(self, event: ServerSentEvent, kind: object) -> bool:
        """Whether it was not heard before; what has no id of its own bears the last one's, as the standard says."""
        try:
            number = number_of(event.last_event_id)
        except BadPosition:
            number = self.last
        is_new = number > self.last or kind in _WITHOUT_ID
        self.last = max(self.last, number)
        return is_new

    def _again(self, now: float, chance: float, at_least_s: float = 0.0) -> float | None:
        if self._lost_at is None:
            self._lost_at = now
        wait_s = max(FIRST_DELAY_S * 2.0**self.tries * (0.75 + chance / 2), at_least_s)
        if self.tries >= MOST_TRIES or now + wait_s - self._lost_at > self._window_s:
            code = UNREACHABLE if self.stream_id is None else INTERRUPTED
            self.end = AnswerFailed(code, _BROKE_OFF, retryable=True)
            return None
        self.tries += 1
        return wait_s
