import asyncio

import pytest

from proxy.streams.milestone import Milestone
from services.runtime.tasks import Tasks


async def test_everybody_who_waits_is_told_the_first_word_and_so_is_who_comes_later() -> None:
    tasks, milestone = Tasks(), Milestone()
    waiting = [tasks.spawn(milestone.reached(), name) for name in ("first", "second")]
    await asyncio.sleep(0)  # the turn in which they begin to wait

    milestone.reach(good=False)
    milestone.reach(good=True)

    assert milestone.is_reached
    assert await asyncio.gather(*waiting) == [False, False]
    assert await milestone.reached() is False


async def test_who_is_cancelled_while_it_waits_takes_it_from_nobody() -> None:
    tasks, milestone = Tasks(), Milestone()
    leaving, staying = (tasks.spawn(milestone.reached(), name) for name in ("leaving", "staying"))
    await asyncio.sleep(0)  # the turn in which they begin to wait

    leaving.cancel()
    milestone.reach()  # before the cancelled one has run

    assert await staying is True
    with pytest.raises(asyncio.CancelledError):
        await leaving
