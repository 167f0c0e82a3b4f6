"""Servers of tools that run as the proxy runs them, and what was counted of their calls."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.call_end import CallEnd
from proxy.tools.servers import ToolServers
from proxy.tools.tool import Outcome
from services.runtime.tasks import Tasks
from tests.eventually import soon

START_S: Final = 20.0


class Counted:
    """What was counted."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.there: dict[str, bool] = {}

    def tool_called(self, tool: str, end: CallEnd, _seconds: float) -> None:
        self.calls[tool, end.value] += 1

    def tool_server_is_there(self, server: str, *, there: bool) -> None:
        self.there[server] = there


class Stage:
    """Servers of tools that run, and what was counted of them."""

    def __init__(self, *configs: ToolServerConfig) -> None:
        self.counted = Counted()
        self.servers = ToolServers(configs, self.counted)
        self._tasks = Tasks()

    async def call(self, tool: str, **arguments: Any) -> Outcome:
        return await self.servers.call(tool, arguments)

    def calling(self, tool: str, **arguments: Any) -> "asyncio.Task[Outcome]":
        return self._tasks.spawn(self.call(tool, **arguments), f"a call of {tool}")

    def offered(self) -> set[str]:
        return {tool.name for tool in self.servers.offer(None, demanded=False)}

    async def is_there(self, *tools: str) -> None:
        await soon(lambda: set(tools) <= self.offered(), f"{tools} are offered", within_s=START_S)


@asynccontextmanager
async def running(*configs: ToolServerConfig, wait_for: tuple[str, ...]) -> AsyncIterator[Stage]:
    stage = Stage(*configs)
    stage.servers.start()
    try:
        await stage.is_there(*wait_for)
        yield stage
    finally:
        await stage.servers.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that is only to be waited for does not."""
    with suppress(FileNotFoundError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def pid_in(mark: Path) -> int:
    """Return who wrote its pid there, once it has."""
    await soon(lambda: mark.exists() and mark.read_text(), "the tool runs")
    return int(mark.read_text())  # noqa: ASYNC240 it is a moment's
