"""A running server without memory for the next body: how a test reaches what nobody foresaw."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.behaviour.refusals import GENERATE, parsed
from tests.chain import Server
from tests.reader import Answer, raw_exchange

HEADROOM_BYTES: Final = 8 << 20  # small things still fit, a body of 30 MB does not


async def ask_without_memory(server: Server, body: bytes) -> Answer:
    """POST ``body``, of some 30 MB, to a server that may not grow, and return what it answers."""
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close"
    request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with without_memory(server):
        return parsed(await raw_exchange("127.0.0.1", server.port, request))


@contextlib.contextmanager
def without_memory(server: Server) -> Iterator[None]:
    """Let the process map little more than it has."""
    before = resource.prlimit(server.pid, resource.RLIMIT_AS)
    mapped_bytes = int(Path(f"/proc/{server.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(server.pid, resource.RLIMIT_AS, (mapped_bytes + HEADROOM_BYTES, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_AS, before)
