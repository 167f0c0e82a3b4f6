"""Serve one function of Python as a tool over stdin and stdout.

    python -m proxy.tools.function MODULE:FUNCTION NAME

Its signature is the tool's schema, its docstring the description; pydantic, inside the `mcp` package, makes the one and
checks by it.
"""

import sys
from importlib import import_module

from mcp.server.mcpserver import MCPServer


def main(place: str, name: str) -> None:
    """Serve it until stdin ends."""
    module, _, function = place.partition(":")
    server: MCPServer[None] = MCPServer(name, log_level="CRITICAL")
    server.add_tool(getattr(import_module(module), function), name=name)
    server.run("stdio")


if __name__ == "__main__":
    main(*sys.argv[1:])
