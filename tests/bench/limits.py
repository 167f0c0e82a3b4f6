"""What the figures may be at most, or must be at least: one table, and the judgement by it. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.bench.contender import NGINX
from tests.bench.results import Results, Spread


class Verdict(StrEnum):
    """How a figure stands to its limit."""

    GOAL = "✓✓"
    WITHIN = "✓"
    BEYOND = "✗"
    NOT_JUDGED = "not judged"
    NO_LIMIT = ""


@dataclass(frozen=True)
class Row:
    """A figure of the table.

    Args:
        figure: its name in the results.
        label: what a reader is told that it is, with its unit.
        limit, goal: None where there is none; a goal that is reached is a limit that is kept.
        at_least: the limit and the goal are the least, not the most.
        against: a contender's name: judged is the figure divided by that one's.
        digits: after the point.
    """

    figure: str
    label: str
    limit: float | None = None
    goal: float | None = None
    at_least: bool = False
    against: str | None = None
    digits: int = 2

    def judged(self, results: Results, contender: str) -> Spread | None:
        """Return what of ``contender`` is compared with the limit; None where it was not measured."""
        if self.against is None:
            return results.spread(self.figure, contender)
        return results.ratio(self.figure, contender, self.against)

    def verdict(self, value: float) -> Verdict:
        """Judge by the limit and the goal."""
        if self.limit is None:
            return Verdict.NO_LIMIT
        if self.goal is not None and self._within(value, self.goal):
            return Verdict.GOAL
        return Verdict.WITHIN if self._within(value, self.limit) else Verdict.BEYOND

    def _within(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


ROWS: Final = (
    Row("token_cpu_us.10", "CPU a token, 10 streams at 50/s, µs", against=NGINX, digits=1),
    Row("token_cpu_us.50", "CPU a token, 50 streams at 50/s, µs", 2.0, 1.5, against=NGINX, digits=1),
    Row("token_cpu_us.200", "CPU a token, 200 streams at 50/s, µs", 2.0, 1.5, against=NGINX, digits=1),
    Row("token_cpu_us.500", "CPU a token, 500 streams at 50/s, µs", 2.0, 1.5, against=NGINX, digits=1),
    Row("added_ms.beside.200.p50", "added to the first token beside 200 streams, p50, ms", 2, 1),
    Row("added_ms.beside.200.p99", "added to the first token beside 200 streams, p99, ms", 5, 3),
    Row("added_ms.opening.200.p50", "the same while 200 open in 2 s, p50, ms", 2, 1),
    Row("added_ms.opening.200.p99", "the same while 200 open in 2 s, p99, ms", 5, 3),
    Row("added_ms.back_to_back.p50", "the same alone, back to back, p50, ms", 2, 1),
    Row("added_ms.back_to_back.p99", "the same alone, back to back, p99, ms", 5, 3),
    Row("added_ms.pausing.p50", "the same alone, 20 ms between, p50, ms", 2, 1),
    Row("added_ms.pausing.p99", "the same alone, 20 ms between, p99, ms", 5, 3),
    Row("delay_ms.200.p50", "delay of a token, 200 streams, p50, ms"),
    Row("delay_ms.200.p99", "delay of a token, 200 streams, p99, ms", 3, 2),
    Row("gap_ms.200.p99", "gap between tokens (20 ms at the source), p99, ms"),
    Row("request_cpu_ms", "CPU of a request of two tokens, ms", 1.0, 0.5, digits=3),
    Row("resident_kib", "memory of a waiting stream, 1,000 streams, KiB", 40, 30, digits=1),
    Row("firehose_tokens_per_core_s", "firehose, tokens/s and core of the slower hop", 400e3, 600e3, True, digits=0),
    Row("gone_ms.prefill.p50", "client gone → model server's socket closed, prefill, p50, ms"),
    Row("gone_ms.prefill.p99", "client gone → model server's socket closed, prefill, p99, ms", 20, 5),
    Row("gone_ms.decode.p50", "client gone → model server's socket closed, decode, p50, ms"),
    Row("gone_ms.decode.p99", "client gone → model server's socket closed, decode, p99, ms", 20, 5),
    Row("idle_cpu_ms_per_s", "CPU of 500 idle streams, ms a second", 10, 5),
    Row("slow_reader.p99_ratio", "one slow reader of 200: the others' delay p99, during ÷ before", 1.1),
    Row("slow_reader.growth_kib", "one slow reader of 200: memory that it holds, KiB", 1536, digits=0),
    Row("length_ratio", "CPU a token at 10,000 tokens ÷ at 100", 1.1),
    Row("long.first_ms", "a long answer, of 10,000 tokens: first token, ms", 500),
    Row("long.added_ms", "a long answer: of which ours, ms", 5),
    Row("long.tokens_per_s", "a long answer: tokens a second", 100, at_least=True, digits=0),
    Row("long.growth_kib", "a long answer: memory, KiB", 50 << 10, digits=0),
    Row("long.core_share", "a long answer: share of a core at 50 tokens/s", 0.1, digits=4),
    Row("headroom.kept", "load and model server alone at 5 times the tokens: share of them that came", digits=4),
    Row("headroom.delay_ms.p99", "load and model server alone at 5 times the tokens: delay p99, ms"),
    Row("firehose_tokens_per_s", "firehose, tokens a second", digits=0),
    Row("requests_per_s", "requests of two tokens a second", digits=0),
)
"""The rows of the table, in its order; a figure that no row names is in the JSON only."""
