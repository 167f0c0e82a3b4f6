"""A process that serves tools: gone when it is left, whatever interrupts that, and when its owner was killed.

What is behind them: proxy/tools/process.py, proxy/tools/watcher.py.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.tools.process import ToolProcess
from services.runtime.tasks import Tasks
from tests.eventually import soon
from tests.proxy.stage import turns
from tests.proxy.tools.stage import alive

DEAF = ("sh", "-c", 'trap "" TERM; echo $$ >&2; while :; do sleep 60; done')
OWNER = """
import asyncio
from proxy.tools.process import ToolProcess

SERVER = ("sh", "-c", 'trap "" HUP INT TERM; sleep 600 & echo $$ $! >&2; while :; do sleep 60; done')

async def own():
    async with ToolProcess(SERVER, {}, None, ended=lambda: None, complained=lambda line: print(line, flush=True)):
        await asyncio.get_running_loop().create_future()

asyncio.run(own())
"""


def children() -> set[str]:
    """Return the processes that the main thread of this one has started."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def test_a_process_is_gone_when_its_end_was_interrupted_more_than_once() -> None:
    """The package's task groups cancel their host again: the end of a process may not be cut short by that."""
    said: list[str] = []
    process, tasks = ToolProcess(DEAF, {}, None, ended=lambda: None, complained=said.append), Tasks()

    async def life() -> None:
        async with process:
            await asyncio.get_running_loop().create_future()

    living = tasks.spawn(life(), "life")
    pid = int(await soon(lambda: said and said[0], "it has said its pid"))
    process.hurry()
    for _ in range(3):
        living.cancel()
        await turns()
    assert alive(pid)
    await asyncio.wait({living})

    assert living.cancelled()
    assert not alive(pid)


async def test_a_process_and_whom_it_has_started_end_with_an_owner_that_is_killed() -> None:
    """Both ignore the end of stdin and every signal that can be ignored: a program behind npx or a script is such."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:  # noqa: ASYNC220 it is a moment's
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert [alive(pid) for pid in pids] == [True, True]
        owner.kill()

    await soon(lambda: not any(map(alive, pids)), "both are gone")


async def test_whoever_leaves_a_process_or_is_interrupted_at_its_start_leaves_no_other_behind() -> None:
    before = children()
    for cancelled_after in range(16):  # turns of the loop: somewhere among them is each place where it waits
        process, tasks = ToolProcess(("cat",), {}, None, ended=lambda: None, complained=lambda _line: None), Tasks()

        async def life(process: ToolProcess = process) -> None:
            async with process:
                pass

        living = tasks.spawn(life(), "life")
        await turns(cancelled_after)
        living.cancel()
        await asyncio.wait({living})

    await soon(lambda: children() == before, "no process is left, and nobody who watches")


async def test_a_program_that_is_not_there_leaves_nobody_who_watches() -> None:
    before = children()
    with pytest.raises(FileNotFoundError):
        async with ToolProcess(("/no/such",), {}, None, ended=lambda: None, complained=lambda _line: None):
            pass

    assert children() == before
