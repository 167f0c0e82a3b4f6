"""`make test`: which part a test is in, and the one closing line."""

import pytest

from tests.architecture.arrows import PURE
from tests.architecture.source import ROOT
from tests.suite import NOTHING_COLLECTED, Results, covered, covering


def test_the_tests_of_pure_modules_are_found_by_the_name_of_what_they_test() -> None:
    assert covering(["services.wire"]) == ["tests/wire"]
    assert covering(["proxy.upstream.ending"]) == ["tests/proxy/upstream/test_ending.py"]
    assert all((ROOT / path).exists() for path in covering())


def test_every_pure_module_is_covered_and_nothing_else() -> None:
    assert covered(["services.wire", "gateway.relay.goodput"]) == ["services/wire/*", "gateway/relay/goodput.py"]
    assert len(covered()) == len(PURE)
    assert all((ROOT / path.removesuffix("/*")).exists() for path in covered())


def results_of(*parts: tuple[str, int]) -> Results:
    results = Results()
    for line, code in parts:
        results.add(["tests/a.py ....\n", line + "\n"], code)
    return results


def test_the_parts_have_one_closing_line() -> None:
    results = results_of(
        ("======= 2 passed, 1 skipped in 3.00s =======", 0),
        ("\x1b[31m===== \x1b[31m\x1b[1m1 failed\x1b[0m, 5 passed, 2 errors in 61.00s (0:01:01)\x1b[0m =====\x1b[0m", 1),
        ("======= 9 deselected in 0.10s =======", NOTHING_COLLECTED),
    )

    assert results.failed
    assert results.closing(64.1).strip("= ") == "1 failed, 2 error, 7 passed, 1 skipped in 64.10s"


def test_a_suite_without_a_failure_has_not_failed() -> None:
    results = results_of(("==== 2 passed in 3.00s ====", 0), ("==== 3 deselected in 1.00s ====", NOTHING_COLLECTED))

    assert not results.failed
    assert results.closing(4.0).strip("= ") == "2 passed in 4.00s"


@pytest.mark.parametrize("line", ["Coverage failure: total of 99 is less than fail-under=100", "Aborted", ""])
def test_a_part_that_fails_without_a_closing_line_is_an_error(line: str) -> None:
    results = results_of(("==== 2 passed in 3.00s ====", 0), (line, 2))

    assert results.failed
    assert results.closing(3.0).strip("= ") == "1 error, 2 passed in 3.00s"
