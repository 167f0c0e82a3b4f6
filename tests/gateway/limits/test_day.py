from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.limits.day import Day

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "name", "left_h"),
    [
        ("2026-11-28T22:30:00+00:00", "2026-11-28", 0.5),
        ("2026-11-28T23:00:00+00:00", "2026-11-29", 24.0),
        ("2026-03-28T23:00:00+00:00", "2026-03-29", 23.0),
        ("2026-10-24T22:00:00+00:00", "2026-10-25", 25.0),
    ],
)
def test_a_day_is_the_operator_s_and_as_long_as_the_clocks_make_it(now: str, name: str, left_h: float) -> None:
    assert Day.at(datetime.fromisoformat(now).astimezone(UTC), BERLIN) == Day(name, left_h * 3600)


def test_without_a_zone_of_one_s_own_it_ends_at_midnight_utc() -> None:
    assert Day.at(datetime(2026, 11, 28, 23, 59, 30, tzinfo=UTC), UTC) == Day("2026-11-28", 30.0)
