"""One call of a model server, from its request to its outcome: bytes in, parts of the answer into the log, no await.

A call is not an answer: it shows content, and tells by a callback how it came out. What that means for the answer is
the producer's to say, in the same turn of the loop.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from proxy.providers.adapter import Adapter, AttemptFailed, Outcome
from proxy.streams.stream import Stream
from proxy.upstream.retry import STALE
from services.http.connection import ResponseEnd
from services.telemetry.stream_metrics import CHUNKS_PER_SAMPLE
from services.wire.events import Code, Completion, Failed, Stage

logger = structlog.get_logger()

REFUSAL_BYTES: Final = 65_536
"""Most of an error body that is read: its first line is all that is told."""

_BROKE_OFF: Final = Failed(Code.UPSTREAM_DISCONNECTED, "The model server's answer broke off.")
INTERNAL: Final = Failed(Code.INTERNAL, "Something went wrong here. Ask the operator to read the log.")
_NOT_HTTP: Final = Failed(Code.UPSTREAM_MALFORMED, "The model server sent what is not HTTP.")
_CODING: Final = re.compile(r"[a-z0-9-]{1,32}", re.IGNORECASE)
"""A content coding's name (RFC 9110, 8.4.1), in so far as it may be repeated to a stranger."""


_WHY: Final[Mapping[Code, str]] = {
    Code.UPSTREAM_TIMEOUT: "first_token",
    Code.UPSTREAM_MALFORMED: "malformed",
    Code.UPSTREAM_TRUNCATED: "eof",
    Code.UPSTREAM_DISCONNECTED: "reset",
}


class UpstreamCall:
    """Reads one call (it is the connection's ``Reader``) and tells its outcome once.

    Args:
        told: the callback that takes the outcome, in the turn of the read that brought it: what it ends leaves in the
            same write as the last token.
        gap_seen: told the seconds between two chunks with content.
        chunk_passed: told the seconds from a read to the return of the last reader's write, of one chunk in sixteen.
        patience: how many times longer than others it may be silent.
        goes_on: whether somebody else may be asked: a failure before the first content is then an attempt's.
        spoke: told once, with the first content.
    """

    def __init__(
        self,
        stream: Stream,
        adapter: Adapter,
        told: Callable[[Outcome], None],
        gap_seen: Callable[[float], None],
        chunk_passed: Callable[[float], None],
        *,
        patience: int = 1,
        goes_on: bool = False,
        spoke: Callable[[], None] = lambda: None,
    ) -> None:
        self._stream = stream
        self._adapter = adapter
        self._told = told
        self._gap_seen = gap_seen
        self._chunk_passed = chunk_passed
        self.patience = patience
        self._goes_on = goes_on
        self._spoke = spoke
        self._chunks_before = stream.log.chunks
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._refusal_body = bytearray()
        self.asked_at = time.monotonic()
        self.last_byte_at: float | None = None
        self.whole = False  # nothing more comes on the connection
        self.outcome: Outcome | None = None

    @property
    def has_content(self) -> bool:
        """Whether this call has produced content."""
        return self._stream.log.chunks > self._chunks_before

    @property
    def first_content_at(self) -> float | None:
        """When its first content came, in seconds."""
        return self._stream.timeline.turn_first_content if self.has_content else None

    @property
    def content_at(self) -> float | None:
        """When its last content came so far, in seconds."""
        return self._stream.timeline.last_content if self.has_content else None

    @property
    def is_closed_early(self) -> bool:
        """Whether neither the connection nor the model server's last word has ended it: who closes it now is early."""
        return not self.whole and not isinstance(self.outcome, Completion)

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers came: with the first line, in every stream that Ollama was seen to send."""
        self._status, self._headers = status, headers
        coding = headers.get("content-encoding", "").strip().lower()
        if status == 200 and coding not in {"", "identity"}:
            self._tell(_encoded(coding))

    def on_bytes(self, data: bytes, _framed: bytes = b"") -> None:
        """The token path: from one read of the socket to the sinks of all live followers."""
        now = self.last_byte_at = time.monotonic()
        log = self._stream.log
        if self.outcome is not None:  # what follows the last word is nobody's
            if log.end is not None:
                log.late += 1
            return
        if self._status != 200:
            self._refusal_body += data[: REFUSAL_BYTES - len(self._refusal_body)]
            return
        try:
            chunks = log.chunks
            end = self._adapter.feed(data, log)
            if log.chunks != chunks:
                self._note_content(now)
            if end is not None:
                self._tell(end, now)
                return
            self._stream.deliver()
            if not chunks % CHUNKS_PER_SAMPLE and log.chunks != chunks:
                self._handed_on(now)
        except Exception as exc:  # noqa: BLE001 logged there
            self._fail(exc)

    def on_end(self, end: ResponseEnd) -> None:
        """The connection's word that the answer is over."""
        self.whole = True
        if self.outcome is not None:
            return
        try:
            self._tell(self._outcome_by(end))
        except Exception as exc:  # noqa: BLE001 logged there
            self._fail(exc)

    @property
    def has_finished(self) -> bool:
        """Whether nothing more is to come but what the end of the body would bring, too."""
        return self.outcome is None and self._adapter.has_finished

    def end_here(self) -> None:
        """The body does not end though the answer has: take it for ended."""
        if self.outcome is None:
            self._tell(self._outcome_by(ResponseEnd.COMPLETE))

    def time_out(self, failed: Failed) -> None:
        """A deadline has passed: a first-token time-out is not repeated, since closing kills the model's load."""
        self._tell(failed)

    def give_up(self, failed: AttemptFailed) -> None:
        """The call is closed on purpose, so that another can be made; without effect where it has its outcome."""
        self._tell(failed)

    def _outcome_by(self, end: ResponseEnd) -> Outcome:
        if end is ResponseEnd.MALFORMED:
            return _NOT_HTTP
        if end is ResponseEnd.STALE:
            return AttemptFailed(_BROKE_OFF, STALE)
        if self._status not in {0, 200}:
            return self._adapter.refused(self._status, self._headers, bytes(self._refusal_body))
        broke_off = end is ResponseEnd.DISCONNECTED
        chunks = self._stream.log.chunks
        word = self._adapter.end(self._stream.log, broke_off=broke_off)
        if self._stream.log.chunks != chunks:  # what no line end completed, or all of an answer that came whole
            self._note_content(time.monotonic())
        if not (isinstance(word, Failed) and word.code is Code.UPSTREAM_TRUNCATED):
            return word
        if broke_off:
            return AttemptFailed(_BROKE_OFF, "reset")
        return AttemptFailed(word, "eof", again=self._adapter.silent)

    def _note_content(self, now: float) -> None:
        log = self._stream.log
        gap_s = self._stream.timeline.content_came(now, log.chunks > log.thinking_chunks)
        if gap_s is not None:
            self._gap_seen(gap_s)
        else:
            self._begin_content(now)

    def _begin_content(self, now: float) -> None:
        self._stream.timeline.call_asked(self.asked_at)
        self._stream.timeline.turn_spoke(now)
        self._stream.content_began()
        self._spoke()

    def _handed_on(self, read_at: float) -> None:
        """One chunk in sixteen, and the first: what it took from the read to the write, if somebody reads."""
        if self._stream.is_read_live:
            self._stream.note_written()
            self._chunk_passed(time.monotonic() - read_at)

    def _tell(self, outcome: Outcome, read_at: float | None = None) -> None:
        """The call has its outcome; the first one stands."""
        if self.outcome is not None:
            return
        if self._goes_on and isinstance(outcome, Failed) and not self.has_content:
            outcome = _attempt_failed(outcome)
        self.outcome = outcome
        if not isinstance(outcome, AttemptFailed):
            self._stream.timeline.answered = read_at or time.monotonic()
            self._stream.timeline.call_asked(self.asked_at)
        self._told(outcome)

    def _fail(self, exc: Exception) -> None:
        """A failure of ours, told as ours: raised out of a read it would break the connection and pass for its end."""
        stream = self._stream
        logger.error("producer.failed", stream_id=stream.id, request_id=stream.caller.request_id, exc_info=exc)
        self._tell(INTERNAL)


def _attempt_failed(failed: Failed) -> Outcome:
    """Return a failure before the first content as that of one attempt: the server is not asked again, another may be.

    Not where it is ours, or time is over for the whole answer.
    """
    if failed.code is Code.INTERNAL or failed.stage is Stage.TOTAL:
        return failed
    return AttemptFailed(failed, _WHY.get(failed.code, "error"), again=False)


def _encoded(coding: str) -> Failed:
    """Return the failure of a body in a content coding: we ask for none, and it would be read as an answer's bytes."""
    name = coding if _CODING.fullmatch(coding) else "unknown"
    return Failed(Code.UPSTREAM_MALFORMED, f"The model server encoded its answer ({name}), which was not asked for.")
