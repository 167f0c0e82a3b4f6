"""Readers of every kind, one after the other for as long as it is wanted: served, impatient, and met by faults."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

import aiohttp

from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server
from tests.reader import Client

READERS: Final = 6
SCRIPT: Final = "tokens=60,rate=40,jitter=0.3,load=0.3,prefill=0.15"
"""The simulator's, for traffic that lets every panel move: streams of two seconds."""
MODELS: Final = (
    "sim",
    "thinker",
    "sim:fault=reset,at=20",
    "story",
    "sim",
    "sim:fault=stall,at=10,for=1.2",
    "sim:fault=truncate,at=15",
    "thinker",
    "sim:fault=malformed,at=5,count=3",
    "sim",
    "sim:fault=error,at=12",
    "story",
    "sim:status=503,times=1,seed={number}",
    "no-such-model",
)
"""What is asked for, in turn: rather more than half of it is answered as it should be. A seed makes a name new."""
SERVED: Final = ("sim", "thinker", "story")
"""What is asked for on a good day."""
SLOW_READER: Final = "story:tokens=100,rate=50,size=16000"
"""More text than fits into all buffers on the way."""
TUNNEL_S: Final = 0.5
PATIENCE_S: Final = 8.0
LEAVES_EVERY: Final = 7
"""One reader in so many closes the tab at its first token."""
PAGE: Final = "http://localhost:3000"
"""Whose word of its first paint the gateway takes."""


def traffic(chain: Chain, models: Sequence[str] = MODELS) -> contextlib.AbstractContextManager[None]:
    """Ask the gateway, with six readers at a time and now and then a slow one, until the block ends."""
    return meanwhile(lambda stop: _all_read(chain.gateway, models, stop))


@contextlib.contextmanager
def meanwhile(asking: Callable[[threading.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Let readers ask, in a thread and a loop of their own, until the block ends and they are told to stop."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(asking(stop)), name="readers")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def _all_read(gateway: Server, models: Sequence[str], stop: threading.Event) -> None:
    asked = itertools.count()
    async with Client(gateway.url) as client, asyncio.TaskGroup() as readers:
        readers.create_task(_read_slowly(gateway.port, stop))
        for _ in range(READERS):
            readers.create_task(_read(client, models, asked, stop))


async def _read(client: Client, models: Sequence[str], asked: Iterator[int], stop: threading.Event) -> None:
    while not stop.is_set():
        number = next(asked)
        body = {"model": models[number % len(models)].format(number=number), "message": f"question {number}"}
        with contextlib.suppress(aiohttp.ClientError):  # a gateway that is being stopped: whoever stops it knows
            began = time.monotonic()
            async with client.open("POST", "/api/chat/stream", body) as reading:
                answer = await reading.until_tokens(1)
                waited_ms = round(1000 * (time.monotonic() - began))
                if number % LEAVES_EVERY == 0:
                    reading.leave()
                    continue
                await reading.until_end()
            if answer.stream_id:
                told = {"stream_id": answer.stream_id, "ttft_ms": waited_ms}
                await client.ask("/api/beacon", told, {"Origin": PAGE})


async def _read_slowly(port: int, stop: threading.Event) -> None:
    """Read as a phone does that goes into a tunnel now and then: a little, nothing for half a second, the rest."""
    while not await asyncio.to_thread(stop.wait, PATIENCE_S):
        with contextlib.suppress(OSError):  # a gateway that is being stopped, likewise
            async with SocketClient.connected(port, receive_buffer_bytes=4096) as client:
                await client.chat(SLOW_READER)
                await client.until_tokens(1)
                await asyncio.sleep(TUNNEL_S)
                await client.until_end()
