"""A slope is what it is an hour, and nothing without two moments."""

import pytest

from tests.faults.trend import slope


def test_a_line_has_its_slope_and_noise_around_it_changes_nothing() -> None:
    times = [0.0, 900.0, 1800.0, 2700.0]

    assert slope(times, [1.0, 2.0, 3.0, 4.0]) == pytest.approx(4.0)
    assert slope(times, [1.0, -1.0, -1.0, 1.0]) == pytest.approx(0.0)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0]])
def test_no_time_is_no_slope(times: list[float]) -> None:
    assert slope(times, [5.0] * len(times)) == 0.0
