import pytest

from tests.bench.contender import NGINX
from tests.bench.limits import ROWS, Row, Verdict
from tests.bench.results import Results, Spread

AT_MOST = Row("cost", "cost", 2.0, 1.5)
AT_LEAST = Row("speed", "speed", 400, 600, at_least=True)


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        (AT_MOST, 1.5, Verdict.GOAL),
        (AT_MOST, 1.51, Verdict.WITHIN),
        (AT_MOST, 2.0, Verdict.WITHIN),
        (AT_MOST, 2.01, Verdict.BEYOND),
        (AT_LEAST, 600, Verdict.GOAL),
        (AT_LEAST, 400, Verdict.WITHIN),
        (AT_LEAST, 399, Verdict.BEYOND),
        (Row("delay", "delay", 1.1), 0.9, Verdict.WITHIN),
        (Row("delay", "delay"), 1e9, Verdict.NO_LIMIT),
    ],
)
def test_a_figure_is_judged_by_its_goal_then_by_its_limit(row: Row, value: float, verdict: Verdict) -> None:
    assert row.verdict(value) is verdict


def test_what_has_a_reference_is_judged_by_the_ratio_and_everything_else_by_itself() -> None:
    results = Results([NGINX, "Sluice"], {"cost": {NGINX: [30.0], "Sluice": [60.0]}})

    assert Row("cost", "cost", against=NGINX).judged(results, "Sluice") == Spread(2.0, 2.0, 2.0)
    assert Row("cost", "cost").judged(results, "Sluice") == Spread(60.0, 60.0, 60.0)


def test_a_goal_is_never_easier_than_its_limit_and_no_figure_stands_twice() -> None:
    lax = [
        row.figure
        for row in ROWS
        if row.goal is not None
        and (row.limit is None or (row.goal < row.limit if row.at_least else row.goal > row.limit))
    ]

    assert lax == []
    assert len({row.figure for row in ROWS}) == len(ROWS)
