"""A server of tools that does all that one can do to its caller; ``python -m`` runs it over stdin and stdout.

TOOL_PROGRAM_MARKS names a folder for the pid of who hangs. TOOL_PROGRAM says more: `deaf` ignores the end of stdin and
SIGTERM, `mute` never answers, `flood` writes a line without an end, `garbage` first a line that is no JSON-RPC,
`http PORT` serves over HTTP.
"""

import asyncio
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ImageContent, TextContent

CALLS = count(1)
server: MCPServer[None] = MCPServer("program", log_level="CRITICAL")


@server.tool()
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
async def hang() -> str:
    """Wait for ever, and say in a file that it does: the first call in 1, the second in 2."""
    folder = os.environ.get("TOOL_PROGRAM_MARKS")
    if folder:
        Path(folder, str(next(CALLS))).write_text(str(os.getpid()))  # noqa: ASYNC240 it has nothing else to do
    await asyncio.get_running_loop().create_future()
    return ""


@server.tool()
async def block() -> str:
    """Hold up the whole process."""
    signal.pause()
    return ""


@server.tool()
async def die() -> str:
    """End the process."""
    os._exit(3)


@server.tool()
async def refuse() -> str:
    """Say that it went wrong."""
    raise ToolError("there is no such town")


@server.tool()
async def big(size: int) -> str:
    """Say much."""
    return "x" * size


@server.tool()
async def picture() -> CallToolResult:
    """Show a picture, and say a word."""
    image = ImageContent(type="image", data="AAAA", mime_type="image/png")
    return CallToolResult(content=[TextContent(type="text", text="a lighthouse"), image])


@server.tool()
async def nothing() -> CallToolResult:
    """Return nothing at all."""
    return CallToolResult(content=[])


@server.tool()
async def numbers() -> dict[str, Any]:
    """Return an object."""
    return {"tide": 3}


@server.tool()
async def child() -> str:
    """Start a process that outlives this one."""
    sleeping = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: ASYNC220 likewise
    return str(sleeping.pid)


@server.tool()
async def environment() -> str:
    """Say which variables there are."""
    return ",".join(sorted(os.environ))


if __name__ == "__main__":
    how = os.environ.get("TOOL_PROGRAM", "")
    sys.stderr.write("the program starts\n")
    sys.stderr.flush()
    if how == "mute":
        signal.pause()
    while how == "flood":
        os.write(1, b"x" * (1 << 20))
    if how == "garbage":
        os.write(1, b"this is no JSON-RPC\n")
    if how.startswith("http "):
        server.run("streamable-http", host="127.0.0.1", port=int(how.removeprefix("http ")))
        sys.exit()
    if how == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server.run("stdio")
    while how == "deaf":
        signal.pause()
