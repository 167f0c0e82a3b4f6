import pytest

from proxy.upstream.retry_budget import FEWEST, WINDOW_S, RetryBudget


def repeats_within(budget: RetryBudget, *, asked: int, now: float = 0.0, tries: int = 100) -> int:
    """Return how many of so many tries are allowed."""
    for _ in range(asked):
        budget.asked(now)
    allowed = 0
    for _ in range(tries):
        if budget.allows(now):
            budget.repeated(now)
            allowed += 1
    return allowed


@pytest.mark.parametrize(("asked", "allowed"), [(0, 3), (1, 3), (30, 3), (31, 4), (40, 4), (500, 50), (2000, 100)])
def test_a_tenth_may_be_repeated_and_three_always(asked: int, allowed: int) -> None:
    """O11: so a server that fails gets at most 1.1 times what is asked of it, and three."""
    assert repeats_within(RetryBudget(), asked=asked) == allowed


@pytest.mark.parametrize(("later_s", "allowed"), [(WINDOW_S - 0.1, 0), (WINDOW_S, FEWEST), (1000.0, FEWEST)])
def test_what_is_ten_seconds_ago_counts_no_more(later_s: float, allowed: int) -> None:
    budget = RetryBudget()
    repeats_within(budget, asked=100)

    assert repeats_within(budget, asked=0, now=later_s) == allowed


def test_a_storm_over_a_minute_never_passes_its_tenth_in_any_ten_seconds() -> None:
    budget, repeated = RetryBudget(), []
    for tick in range(600):
        now = tick / 10
        for _ in range(7):
            budget.asked(now)
            if budget.allows(now):
                budget.repeated(now)
                repeated.append(now)

    for end in range(10, 60):
        assert sum(end - 10 < at <= end for at in repeated) <= 0.1 * 7 * 100 + FEWEST
