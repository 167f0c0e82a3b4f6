"""The moments of a stream that both tiers note, and what can be told by them. Pure: moments come in, in seconds."""

from dataclasses import dataclass
from typing import TypedDict

from services.telemetry.stages import output_rate, since


class Spans(TypedDict):
    """What a timeline tells of a stream's end, in seconds: the fields of the same names of a ``StreamRecord``."""

    duration_s: float
    upstream_s: float | None
    ttft_s: float | None
    first_answer_s: float | None
    max_gap_s: float | None
    first_chunk_s: float | None
    added_first_token_s: float | None
    added_total_s: float | None


@dataclass(slots=True)
class Timeline:
    """When what happened at one tier, by one monotonic clock; None has not happened.

    ``StreamTimeline`` of the proxy and ``ConnectionTimeline`` of the gateway add what only one tier can know, and split
    the whole into its own stages. A base class and no part of one: the moments of content are noted for each token, and
    a look through a second object costs more.

    ``asked`` is when the request of the next server was written: at the proxy that of the call that answered, so that
    calls that were refused before it, and the waits between them, count as ``connect``. ``first_written`` and
    ``last_written`` are when the first content, and the end, had been handed to a reader's socket; ``answered`` is when
    the read came that brought the end.
    """

    accepted: float
    parsed: float | None = None
    admitted: float | None = None
    asked: float | None = None
    first_content: float | None = None
    first_answer: float | None = None  # the first content that is no thinking
    first_written: float | None = None
    last_content: float | None = None
    answered: float | None = None
    last_written: float | None = None
    ended: float | None = None
    content_reads: int = 0
    max_gap_s: float = 0.0  # between two reads with content

    def content_came(self, now: float, answers: bool) -> float | None:
        """Note a read with content, on the token path; return the seconds since the one before, None of a turn's first.

        Args:
            answers: content came that is no thinking. By position, which is 40 ns a token cheaper than by name.
        """
        if answers and self.first_answer is None:
            self.first_answer = now
        last, self.last_content = self.last_content, now
        self.content_reads += 1
        if last is None:
            if self.first_content is None:  # else the first of another turn
                self.first_content = now
            return None
        gap_s = now - last
        if gap_s > self.max_gap_s:  # noqa: PLR1730 a call of max() for each token costs more
            self.max_gap_s = gap_s
        return gap_s

    @property
    def first_came(self) -> float | None:
        """When the first content reached this tier; another than ``first_content`` where that waited to be noted."""
        return self.first_content

    @property
    def first_chunk_s(self) -> float | None:
        """From asking the next server to its first content; None where none came."""
        return None if self.first_came is None or self.asked is None else self.first_came - self.asked

    @property
    def upstream_s(self) -> float | None:
        """How long the call of the next server took; None where none was made."""
        until = self.answered or self.ended
        return None if self.asked is None or until is None else until - self.asked

    @property
    def added_first_token_s(self) -> float | None:
        """What this tier itself added to the first token: before it asked, the admission left out, and on its way.

        None where no token was written.
        """
        if self.first_written is None or self.first_came is None:
            return None
        return self._before_asking_s() + self.first_written - self.first_came

    @property
    def added_total_s(self) -> float | None:
        """What this tier itself added to the whole answer; None where the next server did not end it.

        Readers that lag add nothing: the proxy's read its log, and while a client holds the gateway's hop up the end is
        not read either, so that time is the call's.
        """
        if self.answered is None or self.last_written is None:
            return None
        return self._before_asking_s() + self.last_written - self.answered

    def tokens_per_s(
        self, output_tokens: int | None, decode_s: float | None, reasoning_tokens: int | None = None
    ) -> float | None:
        """Return the rate of the answer as it came here, None without the model server's count.

        Args:
            decode_s: how long the model server says that it decoded.
            reasoning_tokens: those of the output that were thought.
        """
        shown = self.shown_tokens(output_tokens, reasoning_tokens)
        return output_rate(shown, self.first_content, self.last_content, pieces=self.content_reads, decode_s=decode_s)

    def shown_tokens(self, output_tokens: int | None, reasoning_tokens: int | None) -> int | None:
        """Return how many tokens came here: what was thought is output, and not every model server shows it."""
        thought_was_shown = self.first_answer is None or self.first_answer != self.first_content
        if output_tokens is None or reasoning_tokens is None or thought_was_shown:
            return output_tokens
        return output_tokens - reasoning_tokens

    def spans(self, *, from_start: bool = True) -> Spans:
        """Return what is counted and logged of it; None where there is no such number.

        Args:
            from_start: this tier saw the stream begin; of a replay only its own length and its call are told.
        """
        return Spans(
            duration_s=(self.ended or self.accepted) - self.accepted,
            upstream_s=self.upstream_s,
            ttft_s=since(self.accepted, self.first_content) if from_start else None,
            first_answer_s=since(self.accepted, self.first_answer) if from_start else None,
            max_gap_s=self.max_gap_s or None if from_start else None,
            first_chunk_s=self.first_chunk_s if from_start else None,
            added_first_token_s=self.added_first_token_s if from_start else None,
            added_total_s=self.added_total_s if from_start else None,
        )

    def _before_asking_s(self) -> float:
        queued = 0.0 if self.admitted is None or self.parsed is None else self.admitted - self.parsed
        return (self.asked or self.accepted) - self.accepted - queued
