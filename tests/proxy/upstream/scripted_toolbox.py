"""A toolbox whose tools say what a test wants, or nothing for ever."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.tools.tool import Outcome, Tool
from services.wire.events import ApiError, Code, Failed

PARAMETERS = {"type": "object", "properties": {"tz": {"type": "string"}}}
NOON = Outcome(True, "12:00")


def tool(name: str, *, confirm: bool = False, approval_s: float = 30.0) -> Tool:
    return Tool(name, f"Says the {name}.", PARAMETERS, confirm, "local", approval_s)


class ScriptedToolbox:
    """Tools by their names, and what was asked of them.

    Args:
        outcomes: what a tool says; one that is not named hangs until it is let go.
    """

    def __init__(self, *tools: Tool, outcomes: Mapping[str, Outcome] | None = None) -> None:
        self._tools = {one.name: one for one in tools}
        self._outcomes = dict(outcomes or {})
        self._let_go = asyncio.Event()
        self.called: list[tuple[str, Mapping[str, Any]]] = []
        self.running = 0
        self.most_running = 0
        self.given_up = 0

    def offer(self, names: Sequence[str] | None, *, demanded: bool) -> tuple[Tool, ...]:
        missing = [name for name in names or () if name not in self._tools]
        if missing and demanded:
            raise ApiError(Failed(Code.UPSTREAM_UNAVAILABLE, f"The tool {missing[0]} is not there now."))
        return tuple(one for name, one in self._tools.items() if names is None or name in names)

    def check(self, _name: str, arguments: Mapping[str, Any]) -> str | None:
        return "Not run: tz must be a string." if isinstance(arguments.get("tz"), int) else None

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        self.called.append((name, arguments))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if name not in self._outcomes:
                await self._let_go.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.running -= 1
        return self._outcomes.get(name, NOON)

    def let_go(self) -> None:
        """What hangs answers now."""
        self._let_go.set()
