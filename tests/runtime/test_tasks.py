import asyncio
import gc

import pytest
from structlog.testing import capture_logs

from services.runtime.tasks import Tasks


async def test_a_task_is_kept_alive_until_it_is_done() -> None:
    """The loop holds tasks weakly: one that only a collected object waits for would vanish."""
    tasks, done = Tasks(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        done.set()

    tasks.spawn(work(), "work")
    running = len(tasks)
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.sleep(0)

    assert running == 1
    assert len(tasks) == 0


async def test_a_failure_becomes_one_error_line_with_the_task_s_name() -> None:
    tasks = Tasks()

    async def work() -> None:
        raise RuntimeError("broken")

    with capture_logs() as lines:
        await asyncio.wait([tasks.spawn(work(), "the broken one")])
        await asyncio.sleep(0)

    assert [(line["event"], line["log_level"], line["task"], line["error_type"]) for line in lines] == [
        ("task.failed", "error", "the broken one", "RuntimeError")
    ]
    assert len(tasks) == 0


async def test_a_cancelled_task_is_no_failure() -> None:
    tasks = Tasks()
    with capture_logs() as lines:
        task = tasks.spawn(asyncio.sleep(60), "sleeps")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    assert lines == []


async def test_close_cancels_what_runs_and_returns_when_all_of_it_is_over() -> None:
    tasks = Tasks()
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # giving back takes its time
            ended.append(name)

    for name in ("a", "b"):
        tasks.spawn(work(name), name)
    await asyncio.sleep(0)
    await tasks.close()
    await asyncio.sleep(0)

    assert sorted(ended) == ["a", "b"]
    assert len(tasks) == 0


async def test_what_a_task_returns_can_be_awaited() -> None:
    async def work() -> int:
        return 7

    assert await Tasks().spawn(work(), "work") == 7


async def test_who_awaits_a_failed_task_hears_of_it_too() -> None:
    async def work() -> None:
        raise RuntimeError("broken")

    with capture_logs(), pytest.raises(RuntimeError, match="broken"):
        await Tasks().spawn(work(), "work")


async def test_what_ends_in_time_is_let_end_and_the_rest_is_cancelled() -> None:
    tasks, came = Tasks(), asyncio.Event()
    quick, slow = tasks.spawn(came.wait(), "quick"), tasks.spawn(asyncio.Event().wait(), "slow")
    asyncio.get_running_loop().call_soon(came.set)
    await tasks.finish(0.05)
    await Tasks().finish(0.05)

    assert (quick.result(), slow.cancelled(), len(tasks)) == (True, True, 0)
