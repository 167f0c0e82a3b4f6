"""Timers that many wait for: a waiting stream has four moments far off, and a timer of its own takes 560 bytes."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Final

PERIOD_S: Final = 0.1
"""Who shares a timer is late by so much at most."""

Waiting = set[Callable[[], None]]
"""What one timer calls; who waits no longer takes itself out."""

_timers: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Waiting]]] = weakref.WeakKeyDictionary()
"""Those of each loop, by their number."""


def sharing(loop: asyncio.AbstractEventLoop, due: float) -> Waiting:
    """Return what is called by the first timer that is not before ``due``, in the loop's seconds."""
    timers = _timers.get(loop)
    if timers is None:
        timers = _timers[loop] = {}
    number = int(due / PERIOD_S) + 1
    waiting = timers.get(number)
    if waiting is None:
        waiting = timers[number] = set()
        loop.call_at(number * PERIOD_S, _call_all, loop, timers, number)
    return waiting


def _call_all(loop: asyncio.AbstractEventLoop, timers: dict[int, Waiting], number: int) -> None:
    waiting = timers.pop(number)
    while waiting:  # one call may take another out
        callback = waiting.pop()
        try:
            callback()
        except Exception as exc:  # noqa: BLE001 told as the loop tells it: the others are called all the same
            loop.call_exception_handler({"message": f"{callback.__qualname__} failed", "exception": exc})
