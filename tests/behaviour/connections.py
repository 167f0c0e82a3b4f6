"""What the servers say of one connection, and the sockets that they hold."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.chain import Chain, Server
from tests.eventually import soon

_LISTENING: Final = "0A"


def reasons(server: Server, request_id: str) -> list[str]:
    """Return how the streams, or the connections, of one request ended; empty while none has."""
    return [line["reason"] for line in server.events("stream.finished") if line["request_id"] == request_id]


async def told(server: Server, request_id: str, within_s: float = 5.0) -> list[str]:
    """Wait until ``server`` has said how the streams, or connections, of a request ended; return the reasons.

    Its lines leave it twenty times a second.
    """
    await soon(lambda: reasons(server, request_id), f"the {server.module}'s line of {request_id}", within_s=within_s)
    return reasons(server, request_id)


def calls_of(chain: Chain, model: str) -> list[dict[str, Any]]:
    """Return what the model server has seen of one model, oldest first."""
    return [call for call in chain.witness()["calls"] if call["model"] == model]


def sample(server: Server, family: str, **labels: str) -> float:
    """Return the sum of a family's samples that carry these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return sum(
        value
        for name, value in server.metrics().items()
        if name.partition("{")[0] == family and all(label in name for label in wanted)
    )


def clients_connected(server: Server) -> int:
    """How many connections on its traffic port ``server`` holds open."""
    held = set(_links(server))
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().split("\n")[1:] if line)
    return sum(
        row[3] != _LISTENING and int(row[1].rpartition(":")[2], 16) == server.port and f"socket:[{row[9]}]" in held
        for row in rows
    )


@contextlib.contextmanager
def gateway_beside(chain: Chain, **settings: str) -> Iterator[Server]:
    """Run one more gateway of the chain's proxy, and end it with the block."""
    server = chain.another_gateway(**settings)
    try:
        yield server
    finally:
        server.stop()


def _links(server: Server) -> Iterator[str]:
    folder = f"/proc/{server.pid}/fd"
    for name in os.listdir(folder):  # noqa: PTH208 entries vanish meanwhile
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"{folder}/{name}")  # noqa: PTH115 as above
