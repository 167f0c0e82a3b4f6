import asyncio
import contextlib

from services.runtime.wake import Wake


async def test_it_wakes_who_waits() -> None:
    wake = Wake()
    waiting = asyncio.get_running_loop().create_task(wake.wait())
    await asyncio.sleep(0)
    waited = not waiting.done()
    wake.set()
    wake.set()
    await asyncio.wait_for(waiting, 5)

    assert waited


async def test_who_comes_after_it_was_set_does_not_wait_until_it_is_cleared() -> None:
    wake = Wake()
    wake.set()
    await asyncio.wait_for(wake.wait(), 5)
    wake.clear()
    waiting = asyncio.get_running_loop().create_task(wake.wait())
    await asyncio.sleep(0)
    waits = not waiting.done()
    wake.set()
    await asyncio.wait_for(waiting, 5)

    assert waits


async def test_who_is_cancelled_while_it_waits_takes_it_from_nobody() -> None:
    wake = Wake()
    first = asyncio.get_running_loop().create_task(wake.wait())
    await asyncio.sleep(0)
    wake.set()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first

    await asyncio.wait_for(wake.wait(), 5)
