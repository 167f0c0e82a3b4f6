"""How a server of tools is reached: a process, a process of ours around a function of Python, or over HTTP."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Protocol

import httpx2
import structlog
from mcp.client.streamable_http import streamable_http_client

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.bounded_http import BoundedHttp
from proxy.tools.process import ToolProcess, environ_of

CONNECT_S: Final = 10.0
COMPLAINTS: Final = 20
"""Lines of a server's stderr that are logged of one start: enough for a traceback's end, too few to fill a disk."""

log = structlog.get_logger()


class Connection(Protocol):
    """A transport, and what can be done to what is behind it.

    Attributes:
        transport: what the client enters.
        has_process: whether something runs that can be ended.
        is_quiet: whether what it complains of is kept out of the log: once calls are in it, it may quote them.
        ended_as: how its life ended, for the log.
    """

    transport: Any
    has_process: bool
    is_quiet: bool
    ended_as: str

    def on_end(self, told: Callable[[], None]) -> None:
        """Name who is told when it ends by itself."""

    def hurry(self) -> None:
        """Let it end without the time that a polite end takes."""

    def kill(self) -> None:
        """Kill what runs, without waiting."""


def connected(config: ToolServerConfig) -> Connection:
    """Return the way to a server, not yet gone."""
    return HttpConnection(config) if config.url else ProcessConnection(config)


class ProcessConnection:
    """To a process of its own, over its stdin and stdout."""

    has_process = True

    def __init__(self, config: ToolServerConfig) -> None:
        self.is_quiet = False
        self.ended_as = "ended"
        self._name = config.name
        self._told: Callable[[], None] = lambda: None
        self._has_ended = False
        self._complaints = 0
        command, environ = config.command, environ_of(config.env, config.env_from)
        if config.python:
            command = (sys.executable, "-m", "proxy.tools.function", config.python, *config.allow[:1])
            environ["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        self.transport = ToolProcess(command, environ, config.cwd, ended=self._ended, complained=self._complained)

    def on_end(self, told: Callable[[], None]) -> None:
        """Name who is told when it ends by itself."""
        self._told = told
        if self._has_ended:
            told()

    def hurry(self) -> None:
        """Let it end without the time that a polite end takes."""
        self.transport.hurry()

    def kill(self) -> None:
        """Kill it and whom it has started, without waiting."""
        self.transport.kill()

    def _ended(self) -> None:
        self._has_ended = True
        self._told()

    def _complained(self, line: str) -> None:
        self._complaints += 1
        if line and not self.is_quiet and self._complaints <= COMPLAINTS:
            log.warning("tool_server.says", server=self._name, line=line)


class HttpConnection:
    """To a server elsewhere, over streamable HTTP; never by a proxy of the environment's."""

    has_process = False

    def __init__(self, config: ToolServerConfig) -> None:
        self.is_quiet = True
        self.ended_as = "connection lost"
        self.transport = _over_http(config)

    def on_end(self, told: Callable[[], None]) -> None:
        """There is nothing that ends by itself: the next call finds out."""

    def hurry(self) -> None:
        """Nothing of it runs here."""

    def kill(self) -> None:
        """Likewise."""


@contextlib.asynccontextmanager
async def _over_http(config: ToolServerConfig) -> AsyncIterator[Any]:
    headers = {name: os.environ.get(variable, "") for name, variable in config.headers_from.items()}
    timeout = httpx2.Timeout(CONNECT_S, read=config.timeout_s + CONNECT_S)
    bounded = BoundedHttp(httpx2.AsyncHTTPTransport(trust_env=False))
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False, transport=bounded) as http,
        streamable_http_client(config.url, http_client=http) as streams,
    ):
        yield streams
