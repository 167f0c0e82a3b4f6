"""Requests a minute, by the generic cell rate algorithm: exact at every moment, one number a principal. Pure.

The number is the theoretical arrival time (TAT) of the next request, were all as far apart as the rate says. Who has
asked less than that may ask ``burst`` at once; at no moment are more let in than burst + rate x time.
https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

import math
from dataclasses import dataclass
from typing import Final

_ROUNDING_S: Final = 1e-6
"""Sums of fractions of a second are not exact; a microsecond is nobody's wait."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How somebody stands with their requests a minute.

    Attributes:
        limit: requests a minute.
        remaining: how many may come at once now.
        reset_s: when the whole burst may, in seconds.
        wait_s: when the next one may, in seconds.
    """

    limit: int
    remaining: int
    reset_s: float
    wait_s: float

    @classmethod
    def standing(cls, per_minute: float, burst: int, ahead_s: float) -> "Rate":
        """Return how somebody stands whose TAT is ``ahead_s`` from now."""
        interval_s = 60.0 / per_minute
        remaining = math.floor(burst - (ahead_s - _ROUNDING_S) / interval_s)
        wait_s = ahead_s + interval_s - burst * interval_s
        return cls(int(per_minute), max(0, min(burst, remaining)), ahead_s, max(0.0, wait_s))


def arrived(tat: float, now: float, per_minute: float, burst: int) -> float | None:
    """Return the TAT behind a request that comes at ``now``, or None if it comes too early, which changes nothing."""
    interval_s = 60.0 / per_minute
    after = max(tat, now) + interval_s
    return after if after - burst * interval_s <= now + _ROUNDING_S else None
