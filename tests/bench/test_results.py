import pytest

from tests.bench.results import Results, Spread


@pytest.fixture
def results() -> Results:
    found = Results(["direct", "two nginx", "Sluice"])
    for cost, nginx in ((60.0, 30.0), (90.0, 36.0), (50.0, 25.0)):
        found.add("two nginx", {"cost": nginx})
        found.add("Sluice", {"cost": cost})
    return found


def test_of_several_rounds_the_median_is_told_and_between_which_values_it_lies(results: Results) -> None:
    assert results.spread("cost", "Sluice") == Spread(60.0, 50.0, 90.0)


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_round_does_not_count(results: Results) -> None:
    assert results.ratio("cost", "Sluice", "two nginx") == Spread(2.0, 2.0, 2.5)


def test_what_was_not_measured_has_neither(results: Results) -> None:
    results.add("direct", {"cost": 0.0})

    assert results.spread("memory", "Sluice") is None
    assert results.ratio("cost", "Sluice", "haproxy") is None
    assert results.ratio("cost", "Sluice", "direct") is None
