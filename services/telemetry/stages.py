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


def output_rate(
    tokens: int | None, first: float | None, last: float | None, *, pieces: int, decode_s: float | None
) -> float | None:
    """Return an answer's tokens per second: as its content came, or, where it was held back, as the model server says.

    Content that comes in a burst shows how it was passed on and not how it was made: fewer than half as many pieces as
    tokens, or all of them within half of the time that the model server decoded (PROTOCOL.md, "The numbers of `done`").

    Args:
        tokens: as the model server counted them.
        first, last: the moments of the first and the last content.
        pieces: reads that brought content.
        decode_s: how long the model server says that it decoded.

    Returns:
        (tokens - 1) / (last - first); of a burst tokens / decode_s; None below two tokens or where it cannot be known.
    """
    if tokens is None or tokens < 2:
        return None
    span_s = 0.0 if first is None or last is None else last - first
    if 2 * pieces >= tokens and span_s > (decode_s or 0.0) / 2:
        return round((tokens - 1) / span_s, 2)
    return round(tokens / decode_s, 2) if decode_s else None


def milliseconds(seconds: float | None) -> float | None:
    """Return milliseconds to a tenth, None for None."""
    return None if seconds is None else round(seconds * 1000, 1)
