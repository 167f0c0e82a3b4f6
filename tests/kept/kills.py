"""A gateway is killed in the middle of an answer, many times, and another one keeps what it left behind."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.behaviour.kept import SETTLED_S, new_conversation, rows_of
from tests.behaviour.script import Scripted, scripted
from tests.chain import Chain, running_chain
from tests.databases import Database
from tests.reader import Client

PAUSE_S: Final = 0.5


@dataclass
class Killed:
    """One answer whose gateway was killed: what was shown of it until then, and when that was."""

    conversation: str
    leave: str
    model: Scripted
    shown: str
    at: float


async def run(database: Database, count: int) -> int:
    """Kill ``count`` gateways, one after the other; print what became of each answer."""
    with running_chain(
        simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, gateway={"DATABASE": database.url}
    ) as chain:
        async with Client(chain.gateway.url) as client, asyncio.TaskGroup() as group:
            checks = []
            for number in range(count):
                killed = await one_kill(chain, client, "cancel" if number % 2 else "continue")
                checks.append(group.create_task(checked(client, killed)))
    return told([check.result() for check in checks], database)


async def one_kill(chain: Chain, client: Client, leave: str) -> Killed:
    """Start a gateway, ask it, and kill it after some tokens."""
    most = 600 if leave == "cancel" else 200  # one that nobody reads ends 5 s after its gateway
    model = scripted(tokens=random.randint(60, most), rate=40)
    conversation = await new_conversation(client)
    gateway = chain.another_gateway()
    body = {"model": model.name, "conversation_id": conversation, "message": "hi", "on_disconnect": leave}
    async with Client(gateway.url) as other, other.open("POST", "/api/chat/stream", body) as reading:
        shown = (await reading.until_tokens(random.randint(1, 40))).text
        gateway.kill()
    chain.servers.remove(gateway)
    gateway.stop()
    return Killed(conversation, leave, model, shown, time.monotonic())


async def checked(client: Client, killed: Killed) -> tuple[str, float]:
    """Return what became of it, in words, and after how many seconds."""
    while True:
        rows = await rows_of(client, killed.conversation)
        took_s = time.monotonic() - killed.at
        if took_s > SETTLED_S or (rows and rows[-1]["status"] != "streaming"):
            break
        await asyncio.sleep(PAUSE_S)
    if [row["role"] for row in rows] != ["user", "assistant"]:
        return f"WRONG: {len(rows)} rows", took_s
    answer, text = rows[1], killed.model.text
    if answer["status"] == "streaming":
        return "WRONG: still streaming", took_s
    if not answer["content"].startswith(killed.shown) or not text.startswith(answer["content"]):
        return f"WRONG: {killed.leave}, {answer['status']}, not what was shown", took_s
    whole = "the whole text" if answer["content"] == text else "at least what was shown"
    return f"{killed.leave}: {answer['status']}, {whole}", took_s


def told(found: Sequence[tuple[str, float]], database: Database) -> int:
    """Print it; return the exit code."""
    print(f"{len(found)} gateways killed, {database.url.partition(':')[0]}")
    for words, count in sorted(Counter(words for words, _ in found).items()):
        print(f"  {count:3}  {words}")
    seconds = sorted(took_s for _, took_s in found)
    print(f"  settled after {seconds[len(seconds) // 2]:.1f} s (median), {seconds[-1]:.1f} s (longest)")
    print(f"  rows that stream: {database.ask(STREAMING)}; messages: {database.ask(MESSAGES)}")
    return int(any(words.startswith("WRONG") for words, _ in found))


STREAMING: Final = "SELECT count(*) FROM messages WHERE status = 'streaming'"
MESSAGES: Final = "SELECT count(*) FROM messages"
