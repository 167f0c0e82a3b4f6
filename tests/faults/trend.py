"""A slope through samples. Pure."""

from collections.abc import Sequence


def slope(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the least squares' line, in the values' unit an hour; 0 for fewer than two moments."""
    count = len(times_s)
    if count < 2:
        return 0.0
    mean_t, mean_v = sum(times_s) / count, sum(values) / count
    spread = sum((at - mean_t) ** 2 for at in times_s)
    if not spread:
        return 0.0
    return 3600 * sum((at - mean_t) * (value - mean_v) for at, value in zip(times_s, values, strict=True)) / spread
