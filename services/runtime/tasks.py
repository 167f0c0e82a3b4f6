"""Tasks that outlive the call that started them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Tasks:
    """The background tasks of one owner: kept alive, named, and awaited at its end.

    The event loop holds tasks weakly and swallows what they raise until they are collected; here a task is held until
    it is done and its failure becomes one error line with its name.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run ``coro`` until it ends or :meth:`close` cancels it."""
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        """How many are running."""
        return len(self._running)

    async def finish(self, within_s: float) -> None:
        """Let what runs end by itself for so long, then close."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)
        await self.close()

    async def close(self) -> None:
        """Cancel what runs, and return when all of it is done."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("task.failed", task=task.get_name(), error_type=type(exc).__name__, exc_info=exc)
