"""What both tiers' timelines are computed by. Pure: seconds of one monotonic clock in, seconds out."""

from collections.abc import Iterable, Sequence


def spread(
    start: float, end: float, steps: Iterable[tuple[str, float | None]], stages: Sequence[str]
) -> dict[str, float]:
    """Return the seconds of each of ``stages``; they add up to ``end - start``, whatever happened.

    Args:
        steps: the stages as they follow each other, each with the moment at which it ended; None has not happened,
            and what is left belongs to that stage. A stage may come twice.
    """
    spent = dict.fromkeys(stages, 0.0)
    at = start
    for stage, until in steps:
        spent[stage] += max(0.0, (end if until is None else until) - at)
        if until is None:
            break
        at = until
    return spent


def since(start: float, moment: float | None) -> float | None:
    """Return the seconds from ``start`` to ``moment``; None where it has not come."""
    return None if moment is None else moment - start


def output_rate(output_tokens: int | None, first: float | None, last: float | None) -> float | None:
    """Return (output tokens - 1) / (last - first content) per second; None below two tokens or without a count."""
    if output_tokens is None or output_tokens < 2 or first is None or last is None or last <= first:
        return None
    return round((output_tokens - 1) / (last - first), 2)


def milliseconds(seconds: float | None) -> float | None:
    """Return milliseconds to a tenth, None for None."""
    return None if seconds is None else round(seconds * 1000, 1)
