"""Timers that many wait for: a waiting stream has four moments far off, and a timer of its own takes 560 bytes."""

import asyncio
import weakref
from typing import Final, Protocol

PERIOD_S: Final = 0.1
"""Who shares a timer is late by so much at most."""


class Looker(Protocol):
    """Who waits for a moment."""

    def look(self) -> None:
        """It has come."""
        ...


Waiting = set[Looker]
"""Whom one timer calls; who waits no longer takes itself out."""


class SharedTimers:
    """The timers of one loop, by their number. It does not hold the loop, which would be held for ever."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}

    def waiting(self, loop: asyncio.AbstractEventLoop, due: float) -> Waiting:
        """Return who is called by the first timer that is not before ``due``, in the loop's seconds."""
        number = int(due / PERIOD_S) + 1
        waiting = self._waiting.get(number)
        if waiting is None:
            waiting = self._waiting[number] = set()
            loop.call_at(number * PERIOD_S, self._call_all, loop, number)
        return waiting

    def _call_all(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        waiting = self._waiting.pop(number)
        while waiting:  # one call may take another out
            one = waiting.pop()
            try:
                one.look()
            except Exception as exc:  # noqa: BLE001 told as the loop tells it: the others are called all the same
                loop.call_exception_handler({"message": f"{type(one).__name__}.look failed", "exception": exc})


_timers: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, SharedTimers]] = weakref.WeakKeyDictionary()


def timers_of(loop: asyncio.AbstractEventLoop) -> SharedTimers:
    """Return the timers of a loop."""
    timers = _timers.get(loop)
    if timers is None:
        timers = _timers[loop] = SharedTimers()
    return timers
