"""Many readers that stop in the same moment (C5 of docs/faults.md): what they cost, and how soon they are cut."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from tests.behaviour.connections import reasons, sample
from tests.behaviour.crowd import bytes_held
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import TINY_BUFFER_BYTES, SocketClient
from tests.chain import Chain
from tests.eventually import soon
from tests.reader import Client

OTHERS: Final = 10


@dataclass(frozen=True)
class Stopped:
    """What came of it.

    Attributes:
        bytes_each: most that each cost, in memory and sockets, beside its stream's log, which has a bound of its own.
        took_s: until the last was cut.
        ends: why each connection ended.
        others: how answers ended that were asked for meanwhile.
    """

    bytes_each: float
    took_s: float
    ends: list[list[str]]
    others: list[str]


async def readers_that_stop(chain: Chain, names: Sequence[str], *, within_s: float) -> Stopped:
    """Let readers with these request ids take the first words of endless answers, and then nothing more."""
    most = 0.0

    def held() -> float:
        return bytes_held(chain) - sample(chain.proxy, "llm_stream_log_bytes")

    def all_are_cut() -> bool:
        nonlocal most
        most = max(most, held())
        return all(reasons(chain.gateway, name) for name in names)

    async with AsyncExitStack() as stack, Client(chain.gateway.url) as other:
        await asyncio.gather(*(other.chat("sim:tokens=200") for _ in names))  # the same crowd, but reading
        before = most = held()
        tiny = [SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) for _ in names]
        clients = [await stack.enter_async_context(client) for client in tiny]
        for client, name in zip(clients, names, strict=True):
            await client.chat(scripted(tokens=3000, size=2048, rate=50).name, name)  # 100 KB/s: all buffers fill
        await asyncio.gather(*(client.until_tokens(1) for client in clients))
        stopped_at = time.monotonic()
        others = asyncio.gather(*(other.chat("sim:tokens=20") for _ in range(OTHERS)))
        await soon(all_are_cut, "all are cut", within_s=within_s)
        took_s = time.monotonic() - stopped_at
        served = [answer.reason for answer in await others]
        for client in clients:
            await other.ask(f"{client.answer.path}/cancel")
    ends = [reasons(chain.gateway, name) for name in names]
    return Stopped((most - before) / len(names), took_s, ends, served)
