import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.rate import Rate, arrived

PER_MINUTE, BURST = 600, 20  # ten a second


def allowed(gaps_s: list[float], per_minute: float, burst: int) -> tuple[int, float]:
    """Let a request come after each gap; return how many were let in, and after how long the last came."""
    tat, now, count = 0.0, 0.0, 0
    for gap_s in gaps_s:
        now += gap_s
        after = arrived(tat, now, per_minute, burst)
        if after is not None:
            tat, count = after, count + 1
    return count, now


def test_ten_a_second_with_a_burst_of_twenty_are_a_hundred_and_twenty_in_ten_seconds() -> None:
    count, _ = allowed([0.0, *[0.001] * 10_000], PER_MINUTE, BURST)

    assert count == 120


@given(
    st.lists(st.floats(0, 20), max_size=200),
    st.sampled_from([1, 7, 60, 600, 100_000]),
    st.integers(1, 30),
)
def test_at_no_moment_more_are_let_in_than_the_burst_and_the_rate_allow(
    gaps_s: list[float], per_minute: int, burst: int
) -> None:
    count, passed_s = allowed([0.0, *gaps_s], per_minute, burst)

    assert count <= burst + passed_s * per_minute / 60 + 1e-3


def test_who_comes_too_early_changes_nothing() -> None:
    assert arrived(60.0, 0.0, 1, 1) is None
    assert arrived(60.0, 60.0, 1, 1) == 120.0


@pytest.mark.parametrize(
    ("ahead_s", "standing"),
    [
        (0.0, Rate(60, 3, 0.0, 0.0)),
        (1.0, Rate(60, 2, 1.0, 0.0)),
        (2.5, Rate(60, 0, 2.5, 0.5)),
        (3.0, Rate(60, 0, 3.0, 1.0)),
    ],
)
def test_how_somebody_stands_is_told_by_how_far_ahead_they_are(ahead_s: float, standing: Rate) -> None:
    assert Rate.standing(60, 3, ahead_s) == standing


@given(st.lists(st.floats(0, 5), min_size=1, max_size=50), st.integers(1, 200), st.integers(1, 10))
def test_what_is_told_is_true(gaps_s: list[float], per_minute: int, burst: int) -> None:
    """As many as remain are let in at once and no more; after the wait one is, and after the reset the whole burst."""
    tat = now = 0.0
    for gap_s in gaps_s:
        now += gap_s
        tat = arrived(tat, now, per_minute, burst) or tat
    told = Rate.standing(per_minute, burst, max(0.0, tat - now))

    def let_in(at: float) -> int:
        following, count = tat, 0
        while (after := arrived(following, at, per_minute, burst)) is not None:
            following, count = after, count + 1
        return count

    assert let_in(now) == told.remaining
    assert let_in(now + told.wait_s) >= 1
    assert let_in(now + told.reset_s) == burst
