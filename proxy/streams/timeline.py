"""The moments of one stream, and where its time went. Pure: moments come in, in seconds of one monotonic clock."""

from dataclasses import dataclass
from typing import Final

from services.telemetry.stages import milliseconds, output_rate, spread
from services.wire.events import Completion, Timing

STAGES: Final = ("pre", "admission", "connect", "load", "backend_queue", "prefill", "decode", "post", "unknown")


@dataclass(slots=True)
class Timeline:
    """What happened when; None has not happened.

    ``asked`` is when the request of the call that answered was written; calls that were refused before it, and the
    waits between them, count as ``connect``. ``first_written`` and ``last_written`` are when the first content, and the
    end, had been handed to a reader's socket; ``answered`` is when the read came that brought the end.
    """

    accepted: float
    entered: float | None = None
    permitted: float | None = None
    asked: float | None = None
    first_content: float | None = None
    first_answer: float | None = None  # the first content that is no thinking
    first_written: float | None = None
    last_content: float | None = None
    answered: float | None = None
    ended: float | None = None
    last_written: float | None = None
    content_reads: int = 0
    max_gap_s: float = 0.0  # between two reads with content

    def stages(self, last_word: Completion | None) -> dict[str, float]:
        """Return the seconds of each stage; they add up to the total, whatever happened.

        What has no better name is ``unknown``: without the model server's last word nobody can split its wait, and
        the silence in which a stream broke is nobody's decode.
        """
        ended = self.ended or self.accepted
        tail = "post" if last_word else "unknown"
        steps = (
            ("pre", self.entered),
            ("admission", self.permitted),
            ("connect", self.asked),
            ("unknown", self.first_content),
            ("decode", self.last_content),
            (tail, ended),
        )
        spent = spread(self.accepted, ended, steps, STAGES)
        if last_word is not None:
            self._as_it_says(spent, last_word)
        return spent

    def _as_it_says(self, spent: dict[str, float], last_word: Completion) -> None:
        """Split the wait for the first content as the model server says; what it does not name is its own queue.

        What it decoded longer than content came it held back: behind the last content as long as it went on, else
        before the first.
        """
        wait, spent["unknown"] = spent["unknown"], 0.0
        spent["load"] = min(last_word.load_s or 0.0, wait)
        spent["prefill"] = min(last_word.prefill_s or 0.0, wait - spent["load"])
        spent["backend_queue"] = wait - spent["load"] - spent["prefill"]
        held_back = max(0.0, (last_word.decode_s or 0.0) - spent["decode"])
        behind = min(held_back, self._silent_end_s(), spent["post"])
        before = min(held_back - behind, spent["backend_queue"])
        spent["post"] -= behind
        spent["backend_queue"] -= before
        spent["decode"] += behind + before

    def _silent_end_s(self) -> float:
        """How long the model server said nothing between its last content and its last word."""
        return (
            0.0 if self.answered is None or self.last_content is None else max(0.0, self.answered - self.last_content)
        )

    @property
    def added_first_token_s(self) -> float | None:
        """What the proxy itself added to the first token: before it asked, the wait in line left out, and on its way.

        None where no token was written.
        """
        if self.first_written is None or self.first_content is None:
            return None
        return self._before_asking_s() + self.first_written - self.first_content

    @property
    def added_total_s(self) -> float | None:
        """What the proxy itself added to the whole answer; None where the model server did not end it.

        Readers that are behind add nothing: they read the log, and the model server is not held up for them.
        """
        if self.answered is None or self.last_written is None:
            return None
        return self._before_asking_s() + self.last_written - self.answered

    @property
    def upstream_s(self) -> float | None:
        """How long the call that answered took; None where none did."""
        until = self.answered or self.ended
        return None if self.asked is None or until is None else until - self.asked

    @property
    def answer_s(self) -> float | None:
        """How long the answer held its permit; None where the model said nothing, or says it still."""
        if self.permitted is None or self.first_content is None or self.ended is None:
            return None
        return self.ended - self.permitted

    def _before_asking_s(self) -> float:
        queued = 0.0 if self.permitted is None or self.entered is None else self.permitted - self.entered
        return (self.asked or self.accepted) - self.accepted - queued

    def timing(self, last_word: Completion | None) -> Timing:
        """Return the `timing` of a `done` frame."""
        spent = self.stages(last_word)
        ended = self.ended or self.accepted
        return Timing(
            queue_ms=_ms(spent["admission"]),
            load_ms=_ms(spent["load"]) if last_word and last_word.load_s is not None else None,
            prefill_ms=_ms(spent["prefill"]) if last_word and last_word.prefill_s is not None else None,
            decode_ms=milliseconds(last_word.decode_s) if last_word else None,
            ttft_ms=None if self.first_content is None else _ms(self.first_content - self.accepted),
            total_ms=_ms(ended - self.accepted),
            tokens_per_s=self.tokens_per_s(last_word),
        )

    def tokens_per_s(self, last_word: Completion | None) -> float | None:
        """Return the rate of the answer, None without the model server's count."""
        if last_word is None or last_word.usage is None:
            return None
        return output_rate(
            last_word.usage.output_tokens,
            self.first_content,
            self.last_content,
            pieces=self.content_reads,
            decode_s=last_word.decode_s,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
