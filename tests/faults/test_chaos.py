"""`make chaos` in the CI: the cases, and 500 random runs from a fixed number."""

import pytest

from tests.faults.arena import running_arena
from tests.faults.cases import CASES, Case
from tests.faults.injections import INJECTIONS
from tests.faults.report import failure_lines, walk_lines
from tests.faults.walk import walk
from tests.machine import lacking

SEED = 20_000
RUNS = 500
CASE_TIMEOUT_S = 240
WALK_TIMEOUT_S = 600


@pytest.mark.chaos
@pytest.mark.timeout(CASE_TIMEOUT_S)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_is_within_what_is_allowed(case: Case) -> None:
    if reason := lacking(*case.needs):
        pytest.skip(reason)
    measured = INJECTIONS[case.inject].run()

    beyond = [one for one in case.expect if not one.allows(measured[one.metric])]

    assert beyond == [], measured


@pytest.mark.chaos
@pytest.mark.timeout(WALK_TIMEOUT_S)
def test_five_hundred_random_runs_keep_every_promise() -> None:
    with running_arena() as arena:
        walked = walk(arena, SEED, RUNS)

    wrong = [line for judged in walked.failures for line in failure_lines(judged)]
    assert not walked.failed, "\n".join([*walk_lines(walked), *wrong])
