"""Who is asked next, and when: retry and backoff. Pure.

Only before the first content: a retry after it would show a second answer as the end of the first.

Today a route has one server, which is asked up to three times; who is asked after it, of a longer one, is to be said
here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from proxy.providers.adapter import AttemptFailed

MAX_ATTEMPTS: Final = 3
FIRST_WAIT_S: Final = 0.25
"""Doubled each time: three refusals are over within the second before the headers leave."""
JITTER: Final = 0.25
LONGEST_RETRY_AFTER_S: Final = 10.0
"""A server that asks for more has ended the attempts: its caller decides better than we do."""
SLOW_FAILURE_S: Final = 2.0
"""A 500 that took longer is a load that failed, most likely: to ask again is to load it again."""
STALE: Final = "stale"
"""Why an attempt failed whose pooled connection had died unseen: the model server never saw it."""

Server = TypeVar("Server")


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Server]):
    """The next call of a turn.

    Args:
        number: which attempt of the turn it is, from 1; a call that is repeated for a stale connection keeps its own.
        wait_s: the backoff before it, in seconds.
        fresh: whether it needs a new connection, since a pooled one may have died unseen.
    """

    server: Server
    number: int = 1
    wait_s: float = 0.0
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Tried(Generic[Server]):
    """An attempt that failed.

    Args:
        took_s: from asking to the failure, in seconds; 0 where nothing was sent.
        content: whether it had shown content.
    """

    attempt: Attempt[Server]
    failed: AttemptFailed
    took_s: float = 0.0
    content: bool = False


def next_attempt(route: Sequence[Server], history: Sequence[Tried[Server]], *, chance: float) -> Attempt[Server] | None:
    """Return the next attempt of a turn; None means that the last failure is the answer's end.

    Args:
        route: the servers that the model's name leads to, the first to be asked first.
        history: what was tried in this turn, in order.
        chance: a random number in [0, 1), for the jitter.
    """
    if not history:
        return Attempt(route[0])
    last = history[-1]
    if last.failed.why == STALE and not last.attempt.fresh:
        return Attempt(last.attempt.server, last.attempt.number, fresh=True)
    wait_s = _backoff_s(last, chance)
    return None if wait_s is None else Attempt(last.attempt.server, last.attempt.number + 1, wait_s, fresh=True)


def _backoff_s(last: Tried[Server], chance: float) -> float | None:
    """Return how long to wait before asking the same server again, in seconds; None where it is not asked again."""
    failed, number = last.failed, last.attempt.number
    if last.content or not failed.again or number >= MAX_ATTEMPTS:
        return None
    if failed.why == "500" and last.took_s > SLOW_FAILURE_S:
        return None
    if failed.wait_s is not None:
        return failed.wait_s if failed.wait_s <= LONGEST_RETRY_AFTER_S else None
    return FIRST_WAIT_S * 2.0 ** (number - 1) * (1 + JITTER * (2 * chance - 1))
