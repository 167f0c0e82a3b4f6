import asyncio
from collections.abc import Callable
from itertools import pairwise

import uvloop

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
