"""Where the time of one stream went. Pure: moments come in, in seconds of one monotonic clock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from services.telemetry.stages import milliseconds, output_rate, spread
from services.telemetry.timeline import Timeline
from services.wire.events import Completion, Timing

STAGES: Final = (
    *("pre", "admission", "connect", "load", "backend_queue", "prefill", "decode", "tools", "post", "unknown"),
)
_OF_ONE_TURN: Final = tuple(stage for stage in STAGES if stage != "tools")


@dataclass(slots=True)
class LaterTurn:
    """The moments of a turn that follows another.

    ``spoken`` is the last content of the turn before, and ``answered`` when the read came that ended it; ``tools_done``
    is when the tools that it called had run, and ``admitted`` when this turn had its permit.
    """

    spoken: float
    answered: float
    tools_done: float | None = None
    admitted: float | None = None
    asked: float | None = None
    first_content: float | None = None


@dataclass(slots=True)
class StreamTimeline(Timeline):
    """The moments of one stream: those of its first turn, and behind them the later turns'.

    ``last_content`` and ``answered`` are of the turn that runs.
    """

    later: list[LaterTurn] = field(default_factory=list)

    def call_asked(self, asked: float) -> None:
        """The request of the call that answers in this turn was written then."""
        if self.later:
            self.later[-1].asked = asked
        else:
            self.asked = asked

    def turn_spoke(self, now: float) -> None:
        """A turn has its first content; of the first turn that is noted on the token path."""
        if self.later:
            self.later[-1].first_content = now

    def next_turn(self) -> None:
        """The turn is answered, and another follows: what adds up is kept of it."""
        assert self.answered is not None
        if self.later and self.later[-1].first_content is None:
            self.later[-1].first_content = self.answered
        self.later.append(LaterTurn(self.last_content or self.answered, self.answered))
        self.last_content = self.answered = None

    def tools_ran(self, now: float) -> None:
        """The tools that the turn before called have run."""
        self.later[-1].tools_done = now

    def turn_admitted(self, now: float) -> None:
        """A turn has its permit."""
        if self.later:
            self.later[-1].admitted = now
        else:
            self.admitted = self.admitted or now

    @property
    def permit_s(self) -> float | None:
        """How long the turn that is over held its permit; None where the model said nothing in it."""
        admitted, spoke = self.admitted, self.first_content
        if self.later:
            admitted, spoke = self.later[-1].admitted, self.later[-1].first_content
        until = self.ended or self.answered
        return None if admitted is None or spoke is None or until is None else until - admitted

    @property
    def tools_s(self) -> float:
        """How long tools ran, or waited for somebody's approval, while no turn did."""
        over = self.ended or self.accepted
        return sum((over if turn.tools_done is None else turn.tools_done) - turn.answered for turn in self.later)

    @property
    def upstream_s(self) -> float | None:
        """How long the calls that answered took, one a turn; None where none was made."""
        until = self.answered or self.ended
        if self.asked is None or until is None:
            return None
        took_s, asked = 0.0, self.asked
        for turn in self.later:
            took_s += turn.answered - asked
            asked = until if turn.asked is None else turn.asked
        return took_s + until - asked

    @property
    def turn_first_content(self) -> float | None:
        """When this turn's first content came."""
        return self.later[-1].first_content if self.later else self.first_content

    def stages(self, last_word: Completion | None) -> dict[str, float]:
        """Return the seconds of each stage; they add up to the total, whatever happened.

        What has no better name is ``unknown``: without the model server's last word nobody can split its wait, and
        the silence in which a stream broke is nobody's decode.
        """
        ended = self.ended or self.accepted
        stages = STAGES if self.later else _OF_ONE_TURN  # in an answer of one turn no tool ran
        spent = spread(self.accepted, ended, self._steps(ended, "post" if last_word else "unknown"), stages)
        if last_word is not None:
            self._as_it_says(spent, last_word)
        return spent

    def _steps(self, ended: float, tail: str) -> Iterator[tuple[str, float | None]]:
        yield "pre", self.parsed
        yield "admission", self.admitted
        yield "connect", self.asked
        first_spoke = self.first_content
        if self.later and (first_spoke is None or first_spoke > self.later[0].spoken):
            first_spoke = self.later[0].spoken  # a turn without content
        yield "unknown", first_spoke
        for turn in self.later:
            yield "decode", turn.spoken
            yield "post", turn.answered
            yield "tools", turn.tools_done
            yield "admission", turn.admitted
            yield "connect", turn.asked
            yield "unknown", turn.first_content
        yield "decode", self.last_content
        yield tail, ended

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
        silent_s = sum(turn.answered - turn.spoken for turn in self.later)
        if self.answered is None or self.last_content is None:
            return silent_s
        return silent_s + max(0.0, self.answered - self.last_content)

    def timing(self, last_word: Completion | None, *, with_tools: bool = False) -> Timing:
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
            tools_ms=_ms(self.tools_s) if with_tools else None,
        )

    def rate(self, last_word: Completion | None) -> float | None:
        """Return the answer's tokens per second, None without the model server's count."""
        if last_word is None or last_word.usage is None:
            return None
        usage = last_word.usage
        if not self.later:
            return self.tokens_per_s(usage.output_tokens, last_word.decode_s, usage.reasoning_tokens)
        between_s = sum((turn.first_content or turn.spoken) - turn.spoken for turn in self.later)
        first = None if self.first_content is None else self.first_content + between_s
        return output_rate(
            self.shown_tokens(usage.output_tokens, usage.reasoning_tokens),
            first,
            self.last_content or self.later[-1].spoken,
            pieces=self.content_reads,
            decode_s=last_word.decode_s,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
