"""Who is asked next, and when: today one server, up to three times. Pure.

Only before the first content: a retry after it would show a second answer as the end of the first.
"""

from typing import Final

from proxy.providers.adapter import AttemptFailed

MAX_ATTEMPTS: Final = 3
FIRST_WAIT_S: Final = 0.25
"""Doubled each time: three refusals are over within the second before the headers leave."""
JITTER: Final = 0.25
LONGEST_RETRY_AFTER_S: Final = 10.0
"""A server that asks for more has ended the attempts: its caller decides better than we do."""
SLOW_FAILURE_S: Final = 2.0
"""A 500 that took longer is a load that failed, most likely: to ask again is to load it again."""


def wait_before_next(
    attempt: int, refusal: AttemptFailed, *, took_s: float, content: bool, chance: float
) -> float | None:
    """Return how long to wait before asking again, in seconds; None means that ``refusal`` is the end.

    Args:
        attempt: how many calls were made, from 1.
        took_s: from asking to the refusal, in seconds.
        content: whether this call has produced content.
        chance: a random number in [0, 1), for the jitter.
    """
    if content or not refusal.again or attempt >= MAX_ATTEMPTS:
        return None
    if refusal.why == "500" and took_s > SLOW_FAILURE_S:
        return None
    if refusal.wait_s is not None:
        return refusal.wait_s if refusal.wait_s <= LONGEST_RETRY_AFTER_S else None
    return FIRST_WAIT_S * 2.0 ** (attempt - 1) * (1 + JITTER * (2 * chance - 1))
