"""What the loop of turns asks of who runs the tools, and who that is."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from proxy.config.config import Config
from proxy.tools.call_end import ToolMetrics
from proxy.tools.tool import Outcome, Tool
from services.wire.events import ApiError, Code, Failed


class Toolbox(Protocol):
    """The tools that are here, and how one is called."""

    def offer(self, names: Sequence[str] | None, *, demanded: bool) -> tuple[Tool, ...]:
        """Return the tools that can be called now.

        Args:
            names: those that are wanted; None for all.
            demanded: each of them must be there.

        Raises:
            ApiError: one that is demanded is not known, or not there now.
        """
        ...

    def check(self, name: str, arguments: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the arguments of a call, in words for the model; None where nothing is."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call a tool, once, within its time; whatever it does is an outcome. Cancelled, it is given up at once."""
        ...


class RunningToolbox(Toolbox, Protocol):
    """A toolbox that has to be started, and to be ended with the process."""

    def start(self) -> None:
        """Start what runs the tools, in the background."""

    async def close(self) -> None:
        """End it, and what runs in it."""

    def kill(self) -> None:
        """End it without waiting: this process ends at once."""


class NoTools:
    """The toolbox of who has none."""

    def offer(self, names: Sequence[str] | None, *, demanded: bool) -> tuple[Tool, ...]:
        """Offer nothing.

        Raises:
            ApiError: one is demanded.
        """
        if names and demanded:
            raise ApiError(Failed(Code.INVALID_REQUEST, f"There is no tool {names[0]} on this server"))
        return ()

    def check(self, _name: str, _arguments: Mapping[str, Any]) -> str | None:
        """Nothing is offered, so nothing is called."""
        return None

    async def call(self, _name: str, _arguments: Mapping[str, Any]) -> Outcome:
        """Nothing is offered, so nothing is called."""
        return Outcome(False, "There is no such tool.")


def tool_servers(config: Config, metrics: ToolMetrics) -> RunningToolbox | None:
    """Return the servers of tools that the operator has named; None for none: then nothing of theirs is imported."""
    if not config.tools:
        return None
    # By name: the package they stand on is an extra of 57 MB, which the compiler of the token path need not know.
    servers: RunningToolbox = import_module("proxy.tools.servers").ToolServers(config.tools, metrics)
    return servers
