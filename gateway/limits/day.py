"""Which day it is for the operator, and how long it lasts. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the operator's time zone.

    Attributes:
        name: as ISO 8601 writes it.
        left_s: until its end, in seconds; a day has 23 hours, or 25, where clocks are changed.
    """

    name: str
    left_s: float

    @classmethod
    def at(cls, now: datetime, zone: tzinfo) -> "Day":
        """Return the day in ``zone`` that ``now`` is in."""
        date = now.astimezone(zone).date()
        end = datetime.combine(date + timedelta(days=1), time.min, zone)
        return cls(date.isoformat(), (end.astimezone(UTC) - now.astimezone(UTC)).total_seconds())
