"""Where the time of one stream went. Pure: moments come in, in seconds of one monotonic clock."""

from dataclasses import dataclass
from typing import Final

from services.telemetry.stages import milliseconds, spread
from services.telemetry.timeline import StreamTimeline
from services.wire.events import Completion, Timing

STAGES: Final = ("pre", "admission", "connect", "load", "backend_queue", "prefill", "decode", "post", "unknown")


@dataclass(slots=True)
class Timeline(StreamTimeline):
    """The moments of one stream."""

    def stages(self, last_word: Completion | None) -> dict[str, float]:
        """Return the seconds of each stage; they add up to the total, whatever happened.

        What has no better name is ``unknown``: without the model server's last word nobody can split its wait, and
        the silence in which a stream broke is nobody's decode.
        """
        ended = self.ended or self.accepted
        tail = "post" if last_word else "unknown"
        steps = (
            ("pre", self.parsed),
            ("admission", self.admitted),
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
    def answer_s(self) -> float | None:
        """How long the answer held its permit; None where the model said nothing, or says it still."""
        if self.admitted is None or self.first_content is None or self.ended is None:
            return None
        return self.ended - self.admitted

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
            tokens_per_s=self.rate(last_word),
        )

    def rate(self, last_word: Completion | None) -> float | None:
        """Return the answer's tokens per second, None without the model server's count."""
        if last_word is None or last_word.usage is None:
            return None
        return self.tokens_per_s(last_word.usage.output_tokens, last_word.decode_s)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
