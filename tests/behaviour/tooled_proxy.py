"""The proxy with tools of a test's own, which run in it: one that answers, one that hangs, and some that need a word.

``python -m`` runs it; what real servers of tools do is shown beside their code.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.app import ProxyService
from proxy.settings import ProxySettings
from proxy.tools.tool import Outcome, Tool
from services.runtime.lifecycle import main
from services.wire.events import ApiError, Code, Failed

SOON_S: Final = 0.5
_PARAMETERS: Final = {"type": "object", "properties": {"city": {"type": "string"}}}


def _tool(name: str, *, confirm: bool = False, approval_s: float = 30.0) -> Tool:
    return Tool(name, f"The {name} of a city.", _PARAMETERS, confirm, "local", approval_s)


TOOLS: Final = {
    one.name: one
    for one in (
        _tool("clock"),
        _tool("weather"),
        _tool("hanging"),
        _tool("failing"),
        _tool("oven", confirm=True),
        _tool("alarm", confirm=True, approval_s=SOON_S),
    )
}


class OwnTools:
    """The tools."""

    def offer(self, names: Sequence[str] | None, *, demanded: bool) -> tuple[Tool, ...]:
        missing = [name for name in names or () if name not in TOOLS]
        if missing and demanded:
            raise ApiError(Failed(Code.UPSTREAM_UNAVAILABLE, f"The tool {missing[0]} is not there now."))
        return tuple(tool for name, tool in TOOLS.items() if names is None or name in names)

    def check(self, _name: str, _arguments: Mapping[str, Any]) -> str | None:
        return None

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        if name == "hanging":
            await asyncio.get_running_loop().create_future()
        return Outcome(name != "failing", f"{name} of {arguments.get('city')}")


def build(settings: ProxySettings) -> ProxyService:
    """Return the service as ``python -m proxy`` builds it, with these tools."""
    return ProxyService(settings, toolbox=OwnTools())


if __name__ == "__main__":
    sys.exit(main("proxy", ProxySettings, build))
