"""All servers of tools: what is offered, and who is asked for a call."""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.call_end import ToolMetrics
from proxy.tools.server import ToolServer
from proxy.tools.tool import Outcome, Tool
from services.runtime.tasks import Tasks
from services.wire.events import ApiError, Code, Failed


class ToolServers:
    """The toolbox of who has some: no request waits for one that is not there."""

    def __init__(self, configs: Sequence[ToolServerConfig], metrics: ToolMetrics) -> None:
        self._tasks = Tasks()
        self._servers = [ToolServer(config, metrics, self._tasks) for config in configs]
        self._by_tool = {tool: server for server in self._servers for tool in server.config.allow}

    def start(self) -> None:
        """Start all of them, in the background."""
        for server in self._servers:
            self._tasks.spawn(server.keep(), f"tools {server.config.name}")

    async def close(self) -> None:
        """End all of them, and what runs in them."""
        for server in self._servers:
            server.hurry()
        await self._tasks.close()

    def kill(self) -> None:
        """Kill all processes, without waiting: this one ends at once."""
        for server in self._servers:
            server.kill()

    # --- toolbox.Toolbox

    def offer(self, names: Sequence[str] | None, *, demanded: bool) -> tuple[Tool, ...]:
        """Return the tools that can be called now.

        Raises:
            ApiError: one that is demanded is not known, or not there now.
        """
        wanted = self._by_tool if names is None else names
        found = {name: tool for name in wanted if (tool := self._find(name)) is not None}
        if demanded and (missing := [name for name in wanted if name not in found]):
            raise ApiError(_missing(missing[0], is_known=missing[0] in self._by_tool))
        return tuple(found.values())

    def check(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the arguments of a call, in words for the model; None where nothing is."""
        server = self._by_tool.get(name)
        return None if server is None else server.wrong_with(name, arguments)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call a tool, once, within its time; whatever it does is an outcome. Cancelled, it is given up at once."""
        return await self._by_tool[name].call(name, arguments)

    def _find(self, name: str) -> Tool | None:
        server = self._by_tool.get(name)
        return None if server is None else server.tools.get(name)


def _missing(name: str, *, is_known: bool) -> Failed:
    if is_known:
        return Failed(Code.UPSTREAM_UNAVAILABLE, f"The tool {name} is not there now. Try again soon, or ask without it")
    return Failed(Code.INVALID_REQUEST, f"There is no tool {name} on this server")
