"""Who is asked next, and when: the order of servers, retry and backoff. Pure.

Only before the first content: a retry after it would show a second answer as the end of the first.

A step to the next server is made at once; only the last one left is asked again. A route of one server is that from the
beginning: it is asked up to three times, and its failure is told as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from proxy.providers.adapter import AttemptFailed
from proxy.upstream.pool import RELUCTANCES, UNDESCRIBED, Standing, chosen

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
WEDGED: Final = "wedged"
"""Why an attempt failed that was closed so that its model can be unloaded."""
LINE_FULL: Final = "line_full"
QUEUE_WAIT: Final = "queue_wait"
NOT_ASKED: Final = frozenset({LINE_FULL, QUEUE_WAIT})
"""Why a server was not asked whose turn it was: its line."""

Server = TypeVar("Server")
Route = Sequence[Sequence[Server]]
"""Pools of equals: the first to be asked first."""


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Server]):
    """The next call of a turn.

    Args:
        number: which attempt of the turn it is, from 1; a call that is repeated for a stale connection keeps its own.
        wait_s: the backoff before it, in seconds.
        fresh: whether it needs a new connection, since a pooled one may have died unseen.
        without: parameters that are left out, since the server refused them.
    """

    server: Server
    number: int = 1
    wait_s: float = 0.0
    fresh: bool = False
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Past(Generic[Server]):
    """An attempt that failed, or a server whose line let nobody in.

    Args:
        took_s: from asking to the failure, in seconds; 0 where nothing was sent.
        content: whether it had shown content.
    """

    attempt: Attempt[Server]
    failed: AttemptFailed
    took_s: float = 0.0
    content: bool = False

    @property
    def was_asked(self) -> bool:
        """Whether it got so far that the server could have answered."""
        return self.failed.why not in NOT_ASKED

    @property
    def counts(self) -> bool:
        """Whether it is one of the attempts: one that died unseen on a pooled connection is none."""
        return self.was_asked and (self.failed.why != STALE or self.attempt.fresh)


def next_attempt(
    route: Route[Server], history: Sequence[Past[Server]], standings: Mapping[Server, Standing], *, chance: float
) -> Attempt[Server] | None:
    """Return the next attempt of a turn; None means that no other may be made (ending.py says how it ends).

    Args:
        route: the pools of servers that the model's name leads to.
        history: what was tried in this turn, in order.
        standings: what is known of the servers now; of one that is missing nothing is.
        chance: a random number in [0, 1), for the jitter and between equals.
    """
    if not history:
        first = _following(route, history, standings, chance)
        return None if first is None else Attempt(first)
    last = history[-1]
    if (same := _at_once_again(last)) is not None:
        return same
    if is_final(history):
        return None
    following = _following(route, history, standings, chance)
    may_repeat = standings.get(last.attempt.server, UNDESCRIBED).may_repeat or last.failed.why == WEDGED
    if may_repeat and (again := _again(route, history, chance, others_left=following is not None)) is not None:
        return again
    return None if following is None else Attempt(following, 1 + sum(past.counts for past in history))


def repeats(last: Past[Server] | None, attempt: Attempt[Server]) -> bool:
    """Return whether an attempt asks the server that has failed for the same again: of what a storm is made.

    What it has not seen, or was told to leave out, is none; nor is one that we closed ourselves.
    """
    if last is None or last.attempt.server != attempt.server or last.failed.why == WEDGED:
        return False
    return attempt.number > last.attempt.number and attempt.without == last.attempt.without


def is_final(history: Sequence[Past[Server]]) -> bool:
    """Return whether nobody may be asked behind the last attempt.

    What the first server asked finds wrong with a request is wrong with it; of a later one it may be its language.
    """
    last = history[-1]
    first_asked = next((past.attempt.server for past in history if past.was_asked), last.attempt.server)
    return last.content or (not last.failed.next and first_asked == last.attempt.server)


def _at_once_again(last: Past[Server]) -> Attempt[Server] | None:
    """Return the attempt that repeats the last one at once: it was not seen, or nearly understood."""
    attempt, failed = last.attempt, last.failed
    if failed.why == STALE and not attempt.fresh:
        return replace(attempt, wait_s=0.0, fresh=True)
    if failed.without is not None and failed.without not in attempt.without and not last.content:
        return replace(attempt, number=attempt.number + 1, wait_s=0.0, without=attempt.without | {failed.without})
    return None


def _following(
    route: Route[Server], history: Sequence[Past[Server]], standings: Mapping[Server, Standing], chance: float
) -> Server | None:
    """Return the first server of the order that was not tried, and may be; one that hangs, or is cold, comes last."""
    tried = {past.attempt.server for past in history}
    for reluctance in RELUCTANCES:
        for pool in route:
            members = {one: standings.get(one, UNDESCRIBED) for one in pool if one not in tried}
            willing = {one: at for one, at in members.items() if not at.passed_by and at.asked_last == reluctance}
            if willing:
                return chosen(willing, chance)
    return None


def _again(
    route: Route[Server], history: Sequence[Past[Server]], chance: float, *, others_left: bool
) -> Attempt[Server] | None:
    """Return the attempt that asks the same server again after a while; None where it is not asked again.

    Where another may be asked, that is better, but for a short wait that the server itself has named: a place further
    down in the order has its price.
    """
    last = history[-1]
    if others_left:
        is_equal = any(len(pool) > 1 for pool in route if last.attempt.server in pool)
        if is_equal or last.failed.wait_s is None or last.failed.why == WEDGED:
            return None
    wait_s = _backoff_s(history, chance)
    if wait_s is None:
        return None
    return replace(last.attempt, number=last.attempt.number + 1, wait_s=wait_s, fresh=True)


def _backoff_s(history: Sequence[Past[Server]], chance: float) -> float | None:
    """Return how long to wait before asking the same server again, in seconds; None where it is not asked again."""
    last = history[-1]
    failed = last.failed
    calls = sum(past.counts for past in history if past.attempt.server == last.attempt.server)
    if not failed.again or not last.was_asked or calls >= MAX_ATTEMPTS:
        return None
    if failed.why == "500" and last.took_s > SLOW_FAILURE_S:
        return None
    if failed.wait_s is not None:
        return failed.wait_s if failed.wait_s <= LONGEST_RETRY_AFTER_S else None
    return FIRST_WAIT_S * 2.0 ** (calls - 1) * (1 + JITTER * (2 * chance - 1))
