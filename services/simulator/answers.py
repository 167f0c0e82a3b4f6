"""An answer in time: what is said, as Ollama's lines, one gap after another; the clock is an argument."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from services.simulator.lines import MIN_EVAL_NS, Counters, LineMaker
from services.simulator.models import Model
from services.simulator.replies import json_reply
from services.simulator.speech import Piece, speech
from services.simulator.steps import WHOLE, Line, MakerSteps, Steps, Wait, Write
from services.simulator.validation import Ask

_CONTEXT_WORDS: Final = 369  # the recorded models' vocabulary: context is a list of numbers below it


@dataclass(frozen=True)
class Clock:
    """Where the time comes from: nanoseconds since the epoch, and nanoseconds that only grow."""

    wall_ns: Callable[[], int]
    ticks_ns: Callable[[], int]


@dataclass
class AnswerTiming:
    """When an answer passed its stations, in ticks of the clock."""

    received_ns: int
    ready_ns: int = 0  # a runner is assigned: what Ollama calls load ends here
    permitted_ns: int = 0  # its permit is free: the prompt is read from here on
    first_ns: int = 0
    last_ns: int = 0


class Answer:
    """What ``model`` answers to ``ask``, counted and stamped by ``clock`` while it is taken."""

    def __init__(self, model: Model, ask: Ask, timing: AnswerTiming, clock: Clock) -> None:
        self._model = model
        self._ask = ask
        self._timing = timing
        self._clock = clock
        self._lines = LineMaker(ask.endpoint, ask.model)
        self._spent = 0
        self._reason = "stop"

    def streamed(self) -> MakerSteps:
        """Yield the answer line by line."""
        for step in self._paced():
            if isinstance(step, Wait):
                yield step
            elif step.kind != "empty" or self._ask.endpoint == "generate":  # chat has no line for a tag
                yield Line(self._line(step), step.tokens, content=step.kind != "empty")
        now_ns = self._clock.wall_ns()
        yield Line(self._lines.final(self._reason, self.counters(), self.context(), now_ns), final=True)
        yield WHOLE

    def gathered(self, now_s: Callable[[], float]) -> Steps:
        """Yield the answer as one object at its end; the witness counts the tokens on the way."""
        said: dict[str, list[Any]] = {"text": [], "thinking": [], "call": [], "empty": []}
        for step in self._paced():
            if isinstance(step, Wait):
                yield step
                continue
            said[step.kind].append(step.value)
            yield Write(b"", 0, step.tokens)
        whole = {"text": "".join(said["text"]), "thinking": "".join(said["thinking"]), "tool_calls": said["call"]}
        body = self._lines.whole(self._reason, self.counters(), self.context(), self._clock.wall_ns(), whole)
        yield Write(json_reply({})._replace(body=body).encode(now_s()), 1)
        yield WHOLE

    def counters(self) -> Counters:
        """Return the final line's numbers, true at this moment."""
        timing, now_ns = self._timing, self._clock.ticks_ns()
        spent = self._spent + (self._reason == "stop")  # the end token is counted (recording generate_stream)
        return Counters(
            total_duration=now_ns - timing.received_ns,
            load_duration=timing.ready_ns - timing.received_ns,
            prompt_eval_count=self._ask.prompt_tokens,
            prompt_eval_duration=(timing.first_ns or now_ns) - timing.permitted_ns,
            eval_count=spent,
            eval_duration=max(MIN_EVAL_NS, timing.last_ns - timing.first_ns),
        )

    def context(self) -> list[int] | None:
        """Return numbers for the tokens of prompt and answer, as generate's final line has them; None if raw."""
        if self._ask.endpoint == "chat" or self._ask.raw:
            return None
        return [100 + index * 7 % _CONTEXT_WORDS for index in range(self._ask.prompt_tokens + self._spent)]

    def _paced(self) -> Iterator[Wait | Piece]:
        """Yield what is said within num_predict, and the waits before it."""
        script, timing = self._model.script, self._timing
        if script.prefill:
            yield Wait(script.prefill)
        limit = self._ask.num_predict if script.fault != "endless" else float("inf")
        dice, owed_s = Random(script.seed), 0.0  # noqa: S311 a pace, not a secret
        for index, piece in enumerate(speech(self._model, self._ask)):
            if script.rate and (index or piece.tokens > 1):
                owed_s += (piece.tokens if index else piece.tokens - 1) * self._gap_s(dice)
            timing.first_ns = timing.first_ns or self._clock.ticks_ns()  # before the wait: a call is held back
            waits = owed_s > 0 and index % script.burst == 0
            if waits:
                yield Wait(owed_s)
                owed_s = 0.0
            self._spent += piece.tokens
            if self._spent > limit:
                break
            timing.last_ns = self._clock.ticks_ns() if index or waits else timing.first_ns  # one moment, read once
            yield piece
        if self._spent >= limit:
            self._spent, self._reason = int(limit), "length"

    def _gap_s(self, dice: Random) -> float:
        script = self._model.script
        return (1 + script.jitter * (2 * dice.random() - 1)) / script.rate

    def _line(self, piece: Piece) -> bytes:
        now_ns = self._clock.wall_ns()
        if piece.kind == "call":
            return self._lines.call(piece.value, now_ns)
        if piece.kind == "thinking":
            return self._lines.thinking(piece.value, now_ns)
        return self._lines.text(piece.value, now_ns)
