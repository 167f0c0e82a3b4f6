import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from services.runtime import watchdog as module
from services.runtime.shared_timers import PERIOD_S
from services.runtime.watchdog import Watchdog
from tests.eventually import soon

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
STEP_S = 0.03


def noting(looks: list[float], due: Callable[[float], float | None]) -> Callable[[float], float | None]:
    def check(now: float) -> float | None:
        looks.append(now)
        return due(now)

    return check


async def test_it_looks_at_once_and_then_at_the_moment_it_was_told() -> None:
    looks: list[float] = []
    watchdog = Watchdog(noting(looks, lambda now: now + STEP_S if len(looks) < 3 else None))
    watchdog.start()
    at_once = len(looks)
    await soon(lambda: len(looks) == 3, "it looked three times")

    assert at_once == 1
    assert all(later - earlier >= STEP_S - 0.002 for earlier, later in pairwise(looks))


async def test_a_deadline_that_moved_costs_one_look_and_no_alarm() -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + STEP_S
    moved = due + STEP_S
    looks: list[float] = []
    alarms: list[float] = []

    def check(now: float) -> float | None:
        looks.append(now)
        deadline = due if len(looks) == 1 else moved
        if now >= deadline:
            alarms.append(now)
            return None
        return deadline

    Watchdog(check).start()
    await soon(lambda: alarms, "the alarm")

    assert alarms[0] >= moved - 0.002
    assert len(looks) == 3


async def test_none_ends_it() -> None:
    looks: list[float] = []
    Watchdog(noting(looks, lambda _now: None)).start()
    await asyncio.sleep(2 * STEP_S)  # the time in which it must not look again

    assert len(looks) == 1


async def test_a_stop_is_for_good_and_harmless_twice() -> None:
    looks: list[float] = []
    watchdog = Watchdog(noting(looks, lambda now: now + STEP_S))
    watchdog.start()
    watchdog.stop()
    watchdog.stop()
    await asyncio.sleep(3 * STEP_S)  # the time in which it must not look again

    assert len(looks) == 1


async def test_starting_again_looks_again_and_leaves_one_timer() -> None:
    looks: list[float] = []
    watchdog = Watchdog(noting(looks, lambda now: now + STEP_S if len(looks) < 4 else None))
    for _ in range(3):
        watchdog.start()
    await soon(lambda: len(looks) == 4, "the one timer fired")
    await asyncio.sleep(2 * STEP_S)  # the time in which no other timer must fire

    assert len(looks) == 4


async def test_a_check_that_stops_its_own_watchdog_is_not_asked_again() -> None:
    """The owner's end may come of what the check finds."""
    looks: list[float] = []

    def check(now: float) -> float | None:
        looks.append(now)
        watchdog.stop()
        return None

    watchdog = Watchdog(check)
    watchdog.start()
    await asyncio.sleep(2 * STEP_S)  # the time in which it must not look again

    assert len(looks) == 1


async def test_a_check_that_starts_its_own_watchdog_again_leaves_one_timer() -> None:
    looks: list[float] = []

    def check(now: float) -> float | None:
        looks.append(now)
        if len(looks) == 1:
            watchdog.start()
        return now + STEP_S if len(looks) < 5 else None

    watchdog = Watchdog(check)
    watchdog.start()
    await soon(lambda: len(looks) == 5, "it looked on")
    spread = [later - earlier for earlier, later in pairwise(looks[1:])]

    assert all(gap >= STEP_S - 0.002 for gap in spread)


# --- moments that are far off


async def test_watchdogs_of_the_same_moment_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_FROM_S", 0.0)
    loop, asked = asyncio.get_running_loop(), 0

    def counted(*arguments: Any, **context: Any) -> asyncio.TimerHandle:
        nonlocal asked
        asked += 1
        return call_at(*arguments, **context)

    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", counted, raising=False)
    looks: list[float] = []
    due = (int(loop.time() / PERIOD_S) + 1.5) * PERIOD_S
    for _ in range(100):
        Watchdog(noting(looks, lambda _now: None)).start(due)
    timers = asked
    await soon(lambda: len(looks) == 100, "all were looked at")

    assert timers == 1
    assert min(looks) >= due


async def test_one_that_another_stops_at_the_same_moment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_FROM_S", 0.0)
    looks: list[float] = []

    def stops_the_other(now: float) -> None:
        looks.append(now)
        for one in both:
            one.stop()

    both = [Watchdog(stops_the_other), Watchdog(stops_the_other)]
    due = asyncio.get_running_loop().time()
    for one in both:
        one.start(due)
    await soon(lambda: looks, "one was looked at")
    await asyncio.sleep(PERIOD_S)  # the time in which the other must not be

    assert len(looks) == 1


async def test_a_check_that_fails_is_told_and_the_others_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_FROM_S", 0.0)
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    looks: list[float] = []

    def fails(now: float) -> None:
        looks.append(now)
        raise ValueError

    for _ in range(3):
        Watchdog(fails).start(loop.time())
    await soon(lambda: len(looks) == 3, "all were looked at")

    assert [type(exc) for exc in told] == [ValueError] * 3
