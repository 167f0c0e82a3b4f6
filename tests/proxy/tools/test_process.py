"""A process that serves tools: gone when it is left, whatever interrupts that."""

import asyncio

from proxy.tools.process import ToolProcess
from services.runtime.tasks import Tasks
from tests.eventually import soon
from tests.proxy.stage import turns
from tests.proxy.tools.stage import alive

DEAF = ("sh", "-c", 'trap "" TERM; echo $$ >&2; while :; do sleep 60; done')


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
