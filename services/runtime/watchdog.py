"""One lazy timer for all the deadlines of one owner."""

import asyncio
from collections.abc import Callable
from typing import Final

from services.runtime.shared_timers import Waiting, timers_of

SHARED_FROM_S: Final = 1.0
"""A moment that is at least so far off may be a little late, and shares a timer with its neighbours."""


class Watchdog:
    """Calls ``check(now)`` and sleeps until the moment it returns; None ends it.

    A deadline that moves with every token costs nothing here: the timer fires at the old moment, the check sees that
    it moved, and the timer sleeps on. (A timer re-armed per read costs 8-16 % of a hop.)

    Args:
        check: takes the loop's time and returns when to look again, both in seconds.
    """

    __slots__ = ("__weakref__", "_check", "_due", "_handle", "_loop", "_shared", "_timers")

    def __init__(self, check: Callable[[float], float | None]) -> None:
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._timers = timers_of(self._loop)
        self._handle: asyncio.TimerHandle | None = None
        self._shared: Waiting | None = None  # who is looked at by the same timer
        self._due = 0.0

    def start(self, first_at: float | None = None) -> None:
        """Look at ``first_at``, or now, and from then on when due; starting again starts anew, but not after a stop."""
        self._cancel()
        if first_at is None:
            self.look()
        else:
            self._look_at(first_at)

    def stop(self) -> None:
        """Never look again, and let go of who looks: else it and this hold each other, and wait for the collector."""
        self._cancel()
        self._check = _nobody_looks

    def look(self) -> None:
        """Look now, as a timer does that has come."""
        self._handle = self._shared = None
        # uvloop counts whole milliseconds and fires a part of one early: the moment that was asked for has come,
        # or the check would be asked hundreds of times within that millisecond
        now = max(self._loop.time(), self._due)
        due = self._check(now)
        if due is not None and not self._is_set:
            self._look_at(due)

    def _cancel(self) -> None:
        self._due = 0.0
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._shared is not None:
            self._shared.discard(self)
            self._shared = None

    @property
    def _is_set(self) -> bool:
        return self._handle is not None or self._shared is not None

    def _look_at(self, due: float) -> None:
        self._due = due
        if due - self._loop.time() < SHARED_FROM_S:
            self._handle = self._loop.call_at(due, self.look)
        else:
            self._shared = self._timers.waiting(self._loop, due)
            self._shared.add(self)


def _nobody_looks(_now: float) -> None:
    """What is left when it was stopped."""
