"""One server of tools: started in the background, started again when it ends, and called."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog
from mcp import Client, MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
)
from mcp.types import Tool as ListedTool

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.call_end import CallEnd, ToolMetrics
from proxy.tools.connecting import Connection, connected
from proxy.tools.result import outcome_of
from proxy.tools.schema import why_not_offered, wrong_with
from proxy.tools.tool import Outcome, Tool, cut
from services.runtime.tasks import Tasks
from services.runtime.version import VERSION

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
"""Between two starts of a server that does not stay; one that stayed for so long begins with the first wait again."""
PING_S: Final = 5.0
"""A server with other calls in it, of which one was given up, and which answers no ping for so long, hangs."""
GIVEN_UP: Final = "given up"
"""How a life ends that we end, since a call in it was given up: it is begun again at once."""
MAX_PAGES: Final = 64
"""Of a server's list of tools; what is behind is not looked for."""
_LOST: Final = ((CONNECTION_CLOSED, "Connection closed"), (INVALID_REQUEST, "Session terminated"))
"""What the package says of a server that is gone, or has forgotten us; a server's own errors may have any code."""
_AWAY: Final = Outcome(False, "Not run: the tool's server is not there now.")
_DIED: Final = Outcome(False, "The tool's server ended before the tool had answered.")
_NONSENSE: Final = Outcome(False, "The tool answered what is no result of a tool.")
_ASKS: Final = Outcome(False, "The tool asked for something that it gets from nobody here.")

log = structlog.get_logger()
for _name in ("mcp", "client", "httpx2", "httpcore2"):  # they quote what is in a message
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@dataclass(eq=False, slots=True)
class _Life:
    """One life of a server, from its list of tools to its end."""

    connection: Connection
    client: Client
    calls: int = 0
    has_given_up: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class ToolServer:
    """A server of tools, as its operator configured it. One task enters its client and leaves it; others only ask.

    Attributes:
        tools: those that may be called now.
    """

    def __init__(self, config: ToolServerConfig, metrics: ToolMetrics, tasks: Tasks) -> None:
        self.config = config
        self.tools: dict[str, Tool] = {}
        self._metrics = metrics
        self._tasks = tasks
        self._places = asyncio.Semaphore(config.parallel)
        self._life: _Life | None = None
        self._connection: Connection | None = None

    async def keep(self) -> None:
        """Run it again and again, with back-off, for as long as this task lives."""
        wait_s = FIRST_WAIT_S
        while True:
            began = time.monotonic()
            how = await self._live()
            if how == GIVEN_UP:
                continue
            if time.monotonic() - began >= LONGEST_WAIT_S:
                wait_s = FIRST_WAIT_S
            log.warning("tool_server.ended", server=self.config.name, how=how, again_in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def wrong_with(self, tool: str, arguments: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the arguments of a call, in words for the model; None where nothing is."""
        known = self.tools.get(tool)
        return None if known is None else wrong_with(arguments, known.parameters)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call a tool, once. Its time is that of waiting for a place in its server, too."""
        began, end = time.monotonic(), CallEnd.CANCELLED
        try:
            async with asyncio.timeout(self.config.timeout_s), self._places:
                outcome, end = await self._called(tool, arguments)
        except TimeoutError:
            outcome, end = (
                Outcome(False, f"The tool did not answer within {self.config.timeout_s:g} s."),
                CallEnd.TIMEOUT,
            )
        finally:
            seconds = time.monotonic() - began
            self._metrics.tool_called(tool, end, seconds)
            log.info("tool.called", server=self.config.name, tool=tool, outcome=end, ms=round(seconds * 1000))
        return outcome

    def hurry(self) -> None:
        """Let it end without the time that a polite end takes."""
        if self._connection is not None:
            self._connection.hurry()

    def kill(self) -> None:
        """Kill its process, if it has one, without waiting."""
        if self._connection is not None:
            self._connection.kill()

    # --- its life

    async def _live(self) -> str:
        """Run it once; return how it ended."""
        connection = self._connection = connected(self.config)
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(self.config.start_timeout_s):
                    who = Implementation(name="sluice", version=VERSION)
                    client = await stack.enter_async_context(Client(connection.transport, cache=None, client_info=who))
                    listed = await _listed(client)
                life = self._life = _Life(connection, client)
                self.tools = self._offered(listed)
                connection.on_end(partial(self._end, life))
                connection.is_quiet = True  # what it complains of from now on may quote a call
                self._metrics.tool_server_is_there(self.config.name, there=True)
                log.info("tool_server.there", server=self.config.name, tools=sorted(self.tools))
                await life.is_over.wait()
        except TimeoutError:
            return "start_timeout"
        except OSError as exc:
            where = f"{exc.filename}: " if exc.filename else ""
            return f"{where}{exc.strerror or type(exc).__name__}"
        except Exception as exc:  # noqa: BLE001 whatever a server of somebody else's makes the package raise
            return _name_of(exc)
        finally:
            self._life, self.tools = None, {}
            self._metrics.tool_server_is_there(self.config.name, there=False)
        return connection.ended_as

    def _end(self, life: _Life, how: str | None = None) -> None:
        """End a life: from now on nothing is offered."""
        if not life.is_over.is_set():
            life.connection.ended_as = how or life.connection.ended_as
            self.tools = {}
            life.is_over.set()

    def _offered(self, listed: Mapping[str, ListedTool]) -> dict[str, Tool]:
        config, offered = self.config, dict[str, Tool]()
        for name in config.allow:
            tool = listed.get(name)
            why = "the server does not list it" if tool is None else why_not_offered(tool.input_schema)
            if tool is None or why:
                log.warning("tool.not_offered", server=config.name, tool=name, why=why)
                continue
            offered[name] = Tool(
                name, tool.description or "", tool.input_schema, config.confirm, config.name, config.approval_s
            )
        return offered

    # --- a call

    async def _called(self, tool: str, arguments: Mapping[str, Any]) -> tuple[Outcome, CallEnd]:
        """Let a task of its own ask, so that whoever waits for it can go at once."""
        life = self._life
        if life is None or tool not in self.tools:
            return _AWAY, CallEnd.UNAVAILABLE
        asking: asyncio.Task[tuple[Outcome, CallEnd]] = self._tasks.spawn(
            self._ask(life, tool, arguments), f"tool {tool}"
        )
        try:
            await asyncio.wait({asking})
        except asyncio.CancelledError:
            asking.cancel()  # the package tells the server so
            self._tasks.spawn(self._see_it_stop(life, asking), f"tool {tool} given up")
            raise
        return asking.result()

    async def _ask(self, life: _Life, tool: str, arguments: Mapping[str, Any]) -> tuple[Outcome, CallEnd]:
        life.calls += 1
        try:
            result = await life.client.session.call_tool(tool, dict(arguments), allow_input_required=True)
            outcome = outcome_of(result, self.config.result_bytes) if isinstance(result, CallToolResult) else _ASKS
        except MCPError as exc:
            if not _is_lost(exc):
                return Outcome(False, cut(f"The tool failed: {exc.message}", self.config.result_bytes)), CallEnd.ERROR
            self._end(life)
            return _DIED, CallEnd.DIED
        except Exception:  # noqa: BLE001 no result, or not of the form that was promised: whatever it is, the answer goes on
            return _NONSENSE, CallEnd.ERROR
        finally:
            life.calls -= 1
            self._end_given_up(life)
        return outcome, CallEnd.OK if outcome.ok else CallEnd.ERROR

    async def _see_it_stop(self, life: _Life, asking: "asyncio.Task[Any]") -> None:
        """End the process of a call that was given up, unless others are in it and it lives."""
        await asyncio.wait({asking})
        life.has_given_up = True
        if self._end_given_up(life):
            return
        try:
            async with asyncio.timeout(PING_S):
                await life.client.session.send_ping()
        except MCPError as exc:
            if _is_lost(exc):
                self._end(life)
        except TimeoutError:
            self._end(life, "hangs")
            life.connection.hurry()

    def _end_given_up(self, life: _Life) -> bool:
        """End a process in which a call was given up, once no other is in it: what was given up may run on."""
        is_due = life.has_given_up and life.calls == 0 and life.connection.has_process
        if is_due:
            self._end(life, GIVEN_UP)
        return is_due


def _name_of(exc: Exception) -> str:
    """Return what went wrong first, where the package's tasks tell of it as a group."""
    while isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    return type(exc).__name__


async def _listed(client: Client) -> dict[str, ListedTool]:
    """Return the tools that a server lists, by name."""
    tools, cursor = dict[str, ListedTool](), None
    for _ in range(MAX_PAGES):
        page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        tools.update((tool.name, tool) for tool in page.tools)
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def _is_lost(exc: MCPError) -> bool:
    return (exc.code, exc.message) in _LOST
