from tests.bench.contender import NGINX
from tests.bench.limits import Verdict
from tests.bench.results import Results, Spread
from tests.bench.table import Line, lines, shown

RESULTS = Results(
    ["direct", NGINX, "Sluice"],
    {
        "token_cpu_us.200": {NGINX: [30.0, 31.0, 30.5], "Sluice": [54.0, 62.0, 61.0]},
        "delay_ms.200.p50": {"Sluice": [0.5]},
        "a figure without a row": {"Sluice": [1.0]},
    },
)


def test_a_row_has_a_cell_for_each_contender_and_the_judgement_by_its_limit() -> None:
    cost, delay = lines(RESULTS, "Sluice", judging=True)

    assert cost == Line(
        "CPU a token, 200 streams at 50/s, µs",
        ["-", "30.5 (30.0-31.0)", "61.0 (54.0-62.0)"],
        "2.00 (1.80-2.00)",
        "≤ 2",
        "≤ 1.5",
        Verdict.WITHIN,
    )
    assert (delay.cells, delay.judged, delay.limit, delay.verdict) == (["-", "-", "0.50"], "", "", Verdict.NO_LIMIT)


def test_nothing_is_judged_where_there_is_nothing_to_judge_by() -> None:
    cost, _ = lines(RESULTS, "Sluice", judging=False)
    (without, *_) = lines(Results([NGINX], {"request_cpu_ms": {NGINX: [0.1]}}), "Sluice", judging=True)

    assert cost.verdict is Verdict.NOT_JUDGED
    assert (without.limit, without.verdict) == ("≤ 1", Verdict.NO_LIMIT)


def test_rounds_that_agree_are_shown_as_one_number_and_thousands_are_parted() -> None:
    assert shown(Spread(1.0, 1.0, 1.0), 1) == "1.0"
    assert shown(Spread(412_345.6, 400_000.0, 420_000.0), 0) == "412,346 (400,000-420,000)"
