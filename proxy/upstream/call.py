"""One call of a model server, from its request to its end: bytes in, parts of the answer into the log, no await."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from proxy.providers.adapter import Adapter, AttemptFailed
from proxy.streams.stream import Stream
from services.http.connection import ResponseEnd
from services.telemetry.stream_metrics import CHUNKS_PER_SAMPLE
from services.wire.events import Code, Completion, Failed

REFUSAL_BYTES: Final = 65_536
"""Most of an error body that is read: its first line is all that is told."""

_BROKE_OFF: Final = Failed(Code.UPSTREAM_DISCONNECTED, "The model server's answer broke off.")
_NOT_HTTP: Final = Failed(Code.UPSTREAM_MALFORMED, "The model server sent what is not HTTP.")
_CODING: Final = re.compile(r"[a-z0-9-]{1,32}", re.IGNORECASE)
"""A content coding's name (RFC 9110, 8.4.1), in so far as it may be repeated to a stranger."""


class UpstreamCall:
    """Reads one call (it is the connection's ``Reader``) and says once, by ``over``, how it came out.

    ``over`` resolves with None when the stream has its end, and with an AttemptFailed when the call broke: whether
    another may follow is ``retry``'s to say. A ``stale`` refusal is a pooled connection's death before any byte.

    Args:
        gap_seen: told the seconds between two chunks with content.
        chunk_passed: told the seconds from a read to the return of the last reader's write, of one chunk in sixteen.
        patience: how many times longer than others it may be silent.
    """

    def __init__(
        self,
        stream: Stream,
        adapter: Adapter,
        gap_seen: Callable[[float], None],
        chunk_passed: Callable[[float], None],
        *,
        patience: int = 1,
    ) -> None:
        self._stream = stream
        self._adapter = adapter
        self._gap_seen = gap_seen
        self._chunk_passed = chunk_passed
        self.patience = patience
        self._chunks_before = stream.log.chunks
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._refusal_body = bytearray()
        self.asked_at = time.monotonic()
        self.last_byte_at: float | None = None
        self.whole = False  # nothing more comes on the connection
        self.settled_at: float | None = None
        self.over: asyncio.Future[AttemptFailed | None] = asyncio.get_running_loop().create_future()

    @property
    def has_content(self) -> bool:
        """Whether this call has produced content."""
        return self._stream.log.chunks > self._chunks_before

    @property
    def first_content_at(self) -> float | None:
        """When its first content came, in seconds."""
        return self._stream.timeline.first_content if self.has_content else None

    @property
    def content_at(self) -> float | None:
        """When its last content came so far, in seconds."""
        return self._stream.timeline.last_content if self.has_content else None

    @property
    def is_closed_early(self) -> bool:
        """Whether neither the connection nor the model server's last word has ended it: who closes it now is early."""
        return not self.whole and self._stream.last_word is None

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers came: with the first line, in every stream that Ollama was seen to send."""
        self._status, self._headers = status, headers
        coding = headers.get("content-encoding", "").strip().lower()
        if status == 200 and coding not in {"", "identity"}:
            self._settle(_encoded(coding))

    def on_bytes(self, data: bytes) -> None:
        """The token path: from one read of the socket to the sinks of all live followers."""
        now = self.last_byte_at = time.monotonic()
        if self.settled_at is not None:  # what follows the last word is nobody's
            self._stream.log.late += 1
            return
        if self._status != 200:
            self._refusal_body += data[: REFUSAL_BYTES - len(self._refusal_body)]
            return
        log = self._stream.log
        chunks = log.chunks
        end = self._adapter.feed(data, log)
        if log.chunks != chunks:
            gap_s = self._stream.timeline.content_came(now, log.chunks > log.thinking_chunks)
            if gap_s is not None:
                self._gap_seen(gap_s)
            else:
                self._stream.timeline.asked = self.asked_at
                self._stream.content_began()
        if end is not None:
            self._settle(end, now)
            return
        self._stream.deliver()
        if not chunks % CHUNKS_PER_SAMPLE and log.chunks != chunks:
            self._handed_on(now)

    def on_end(self, end: ResponseEnd) -> None:
        """The connection's word that the answer is over."""
        self.whole = True
        if self.over.done():
            return
        if end is ResponseEnd.MALFORMED:
            self._settle(_NOT_HTTP)
        elif end is ResponseEnd.STALE:
            self.give_up(AttemptFailed(_BROKE_OFF, "stale"))
        elif self._status not in {0, 200}:
            self._refused()
        else:
            self._body_ended(end)

    def time_out(self, failed: Failed) -> None:
        """A deadline has passed: a first-token time-out is not repeated, since closing kills the model's load."""
        self._settle(failed)

    def give_up(self, refusal: AttemptFailed) -> None:
        """The call came to nothing."""
        if not self.over.done():
            self.over.set_result(refusal)

    def _body_ended(self, end: ResponseEnd) -> None:
        broke_off = end is ResponseEnd.DISCONNECTED
        word = self._adapter.end(self._stream.log, broke_off=broke_off)
        if not (isinstance(word, Failed) and word.code is Code.UPSTREAM_TRUNCATED):
            self._settle(word)
        elif broke_off:
            self.give_up(AttemptFailed(_BROKE_OFF, "reset"))
        else:
            self.give_up(AttemptFailed(word, "eof", again=self._adapter.silent))

    def _refused(self) -> None:
        refusal = self._adapter.refused(self._status, self._headers, bytes(self._refusal_body))
        self.give_up(refusal)

    def _handed_on(self, read_at: float) -> None:
        """One chunk in sixteen, and the first: what it took from the read to the write, if somebody reads."""
        if self._stream.is_read_live:
            self._stream.note_written()
            self._chunk_passed(time.monotonic() - read_at)

    def _settle(self, end: Completion | Failed, read_at: float | None = None) -> None:
        """The stream has its end, by the model server's word or by ours about it."""
        self.settled_at = time.monotonic()
        self._stream.timeline.answered = read_at or self.settled_at
        self._stream.timeline.asked = self.asked_at
        self._stream.finish(end)
        if not self.over.done():
            self.over.set_result(None)


def _encoded(coding: str) -> Failed:
    """Return the failure of a body in a content coding: we ask for none, and it would be read as an answer's bytes."""
    name = coding if _CODING.fullmatch(coding) else "unknown"
    return Failed(Code.UPSTREAM_MALFORMED, f"The model server encoded its answer ({name}), which was not asked for.")
