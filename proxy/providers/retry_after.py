"""How long a model server asks to be left alone: by its headers, or by its words. Pure.

A moment is told against the server's own ``Date``: its clock need not be ours.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_DURATION: Final = re.compile(
    r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?",
    re.ASCII,
)
"""A duration as Go writes it: ``6m0s``, ``7.66s``, ``12ms``."""
_UNITS_S: Final[Mapping[str, float]] = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_DURATION_CHARACTERS: Final = 32
_SAID: Final = re.compile(r"\btry again in ([0-9dhms.]{1,32})", re.ASCII | re.IGNORECASE)
_LIMITS: Final = (
    *(("x-ratelimit-{}-requests", "x-ratelimit-{}-tokens")),
    *(f"anthropic-ratelimit-{what}-{{}}" for what in ("requests", "tokens", "input-tokens", "output-tokens")),
)
"""Headers of limits; in the braces ``remaining`` and ``reset``."""


def wait_s(headers: Mapping[str, str], words: str = "") -> float | None:
    """Return how long to wait, in seconds; None where nobody says.

    ``Retry-After`` counts before the limits that are used up, and those before what the message says.
    """
    if (given := _number(headers.get("retry-after-ms", ""))) is not None:
        return given / 1000
    if (given := _moment_s(headers.get("retry-after", ""), headers)) is not None:
        return given
    if resets := list(_resets_s(headers)):
        return max(resets)
    said = _SAID.search(words)
    return None if said is None else duration_s(said[1].rstrip("."))


def duration_s(text: str) -> float | None:
    """Return a duration such as ``34.4s`` or ``6m0s``, in seconds; None where it is none."""
    parts = _DURATION.fullmatch(text) if 0 < len(text) <= _DURATION_CHARACTERS else None
    if parts is None:
        return None
    return sum(float(number) * _UNITS_S[unit] for unit, number in parts.groupdict().items() if number)


def _resets_s(headers: Mapping[str, str]) -> Iterator[float]:
    for limit in _LIMITS:
        if headers.get(limit.format("remaining"), "").strip() == "0":
            reset = headers.get(limit.format("reset"), "").strip()
            given = duration_s(reset) if reset else None
            given = _moment_s(reset, headers) if given is None else given
            if given is not None:
                yield given


def _moment_s(text: str, headers: Mapping[str, str]) -> float | None:
    """Return how far off a number of seconds, or a moment by either standard, is; a moment that is past is now."""
    if (given := _number(text)) is not None:
        return given
    moment, now = _time(text), _time(headers.get("date", ""))
    return None if moment is None or now is None else max(0.0, (moment - now).total_seconds())


def _number(text: str) -> float | None:
    return float(text) if _SECONDS.fullmatch(text.strip()) else None


def _time(text: str) -> datetime | None:
    """Return a moment as HTTP writes it (RFC 9110, 5.6.7), or as RFC 3339 does."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return moment if moment.tzinfo is not None else None
    return None
