import asyncio

import pytest

from proxy.streams.status_throttle import STATUS_PERIOD_S, StatusThrottle
from services.wire.events import Phase, Status

CONNECTING, LOADING, PREFILL = Status(Phase.CONNECTING), Status(Phase.LOADING), Status(Phase.PREFILL)
SECOND, THIRD = (Status(Phase.RETRYING, attempt=attempt, server=f"gpu{attempt}") for attempt in (2, 3))


async def test_the_first_status_is_told_at_once_and_of_what_follows_the_newest_a_second_later() -> None:
    told: asyncio.Queue[tuple[Status, float]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    throttle = StatusThrottle(lambda status: told.put_nowait((status, loop.time())))

    throttle.show(CONNECTING)
    first, first_at = await told.get()
    throttle.show(LOADING)
    throttle.show(PREFILL)
    second, second_at = await told.get()

    assert (first, second, throttle.current) == (CONNECTING, PREFILL, PREFILL)
    assert second_at - first_at >= STATUS_PERIOD_S - 0.01
    assert told.empty()


async def test_whom_the_next_attempt_asks_is_told_before_what_it_waits_for() -> None:
    told: asyncio.Queue[tuple[Status, float]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    throttle = StatusThrottle(lambda status: told.put_nowait((status, loop.time())))

    throttle.show(CONNECTING)
    await told.get()
    for status in (SECOND, LOADING, THIRD, PREFILL):
        throttle.show(status)
    retrying, retrying_at = await told.get()
    newest, newest_at = await told.get()

    assert (retrying, newest) == (THIRD, PREFILL)
    assert newest_at - retrying_at >= STATUS_PERIOD_S - 0.01
    assert told.empty()


@pytest.mark.parametrize("shown", [[LOADING], [SECOND], [SECOND, LOADING]])
async def test_what_is_cleared_before_its_moment_is_never_told(shown: list[Status]) -> None:
    told: list[Status] = []
    throttle = StatusThrottle(told.append)

    for status in shown:
        throttle.show(status)
    throttle.clear()
    for _ in range(3):  # the loop's turns in which it would have been told
        await asyncio.sleep(0)

    assert told == []
    assert throttle.current is None


async def test_a_status_that_is_shown_already_is_not_repeated() -> None:
    told: list[Status] = []
    throttle = StatusThrottle(told.append)

    throttle.show(LOADING)
    await asyncio.sleep(0)  # the turn in which it is told
    throttle.show(Status(Phase.LOADING))
    await asyncio.sleep(STATUS_PERIOD_S + 0.1)  # past the moment at which it would have been told again

    assert told == [LOADING]
