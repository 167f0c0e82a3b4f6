"""The table of the figures, for a terminal and for a page. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.limits import ROWS, Row, Verdict
from tests.bench.results import Results, Spread

ABSENT: Final = "-"


@dataclass(frozen=True)
class Line:
    """A row of the table in words; ``cells`` has one for each contender."""

    label: str
    cells: Sequence[str]
    judged: str
    limit: str
    goal: str
    verdict: Verdict


def lines(results: Results, ours: str, *, judging: bool) -> Iterator[Line]:
    """Return the rows that were measured.

    Args:
        ours: the contender whose figures are judged.
        judging: whether there is something to judge by: an optimised Python.
    """
    for row in ROWS:
        spreads = [results.spread(row.figure, contender) for contender in results.contenders]
        if not any(spreads):
            continue
        cells = [ABSENT if spread is None else shown(spread, row.digits) for spread in spreads]
        yield Line(row.label, cells, *_judgement(row, row.judged(results, ours), judging=judging))


def shown(spread: Spread, digits: int) -> str:
    """Return a median and between which values it lies."""
    if spread.least == spread.most:
        return _number(spread.middle, digits)
    return f"{_number(spread.middle, digits)} ({_number(spread.least, digits)}-{_number(spread.most, digits)})"


def _judgement(row: Row, judged: Spread | None, *, judging: bool) -> tuple[str, str, str, Verdict]:
    ratio = "" if row.against is None or judged is None else shown(judged, 2)
    if row.limit is None:
        return ratio, "", "", Verdict.NO_LIMIT
    sign = "≥ " if row.at_least else "≤ "
    limit, goal = ("" if bound is None else f"{sign}{_number(bound, None)}" for bound in (row.limit, row.goal))
    if judged is None:
        return ratio, limit, goal, Verdict.NO_LIMIT
    return ratio, limit, goal, row.verdict(judged.middle) if judging else Verdict.NOT_JUDGED


def _number(value: float, digits: int | None) -> str:
    return f"{value:,g}" if digits is None else f"{value:,.{digits}f}"
