"""The cases are data that can be run: each id is a row of docs/faults.md, each injection is there."""

from tests.documents.references import cases
from tests.faults.cases import CASES, Expect
from tests.faults.injections import INJECTIONS
from tests.faults.report import case_lines


def test_each_case_has_a_row_an_injection_and_something_that_is_allowed() -> None:
    assert {case.id for case in CASES} <= cases().keys()
    assert [case.inject for case in CASES] == list(INJECTIONS)
    assert all(case.expect for case in CASES)


def test_a_number_is_judged_by_its_operator() -> None:
    allowed = {op: [Expect("x", op, 2).allows(number) for number in (1, 2, 3)] for op in ("<", "<=", "=", ">=", ">")}

    assert allowed == {
        "<": [True, False, False],
        "<=": [True, True, False],
        "=": [False, True, False],
        ">=": [False, True, True],
        ">": [False, False, True],
    }


def test_the_report_shows_measured_beside_allowed_and_what_went_wrong() -> None:
    case = CASES[0]
    good, *others = case.expect
    lines = list(case_lines(case, {good.metric: good.value - 1, others[0].metric: -1.0}, "the gate was shut"))

    assert lines[0].startswith(case.id)
    assert [line.split()[0] for line in lines[1:]] == ["ok", "NO", *["-"] * (len(others) - 1), "NO"]
    assert f"allowed {good.op}" in lines[1]
