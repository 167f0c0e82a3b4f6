"""Conversations that are kept, in which models call tools: what the chain needs for them, and people who have them."""

import asyncio
import contextlib
import itertools
import json
import sys
import threading
from pathlib import Path
from typing import Final

from tests.behaviour.kept import HERE
from tests.chain import Chain, Server
from tests.monitoring.traffic import meanwhile
from tests.reader import Client

FILE: Final = """
[[tools]]
name = "time"
command = [{time}]
allow = ["get_current_time"]
confirm = false

[[tools]]
name = "program"
command = [{python}, "-m", "tests.proxy.tools.tool_program"]
allow = ["refuse", "die"]
confirm = false
"""
TOOLS: Final = (*["get_current_time"] * 5, "refuse", "get_current_time", "die")
"""What is called, in turn: some fail, and one takes its server with it, which is then started again."""
PEOPLE: Final = 2
QUESTIONS: Final = 5
"""In a conversation, before another one is begun."""
PAUSE_S: Final = 0.5


def settings(folder: Path, database: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the proxy's settings and the gateway's; a file of the proxy's is written to ``folder``."""
    time, python = (json.dumps(one) for one in (str(Path(sys.executable).with_name("mcp-server-time")), sys.executable))
    (folder / "sluice.toml").write_text(FILE.format(time=time, python=python))
    return {"CONFIG": str(folder / "sluice.toml")}, {"TOOLS": "*", "DATABASE": database}


def talks(chain: Chain) -> contextlib.AbstractContextManager[None]:
    """Have conversations until the block ends."""
    return meanwhile(lambda stop: _all_talk(chain.gateway, stop))


async def _all_talk(gateway: Server, stop: threading.Event) -> None:
    async with Client(gateway.url) as client, asyncio.TaskGroup() as people:
        for _ in range(PEOPLE):
            people.create_task(_talk(client, stop))


async def _talk(client: Client, stop: threading.Event) -> None:
    conversation: str = ""
    for number, tool in enumerate(itertools.cycle(TOOLS)):
        if stop.is_set():
            return
        if number % QUESTIONS == 0 or not conversation:
            conversation = json.loads((await client.ask(HERE, {})).body).get("id", "")
        kept = {"conversation_id": conversation} if conversation else {}  # while the database is away: without
        await client.chat(f"tooler:tool={tool}", "and now?", server_tools=True, **kept)
        await asyncio.to_thread(stop.wait, PAUSE_S)
