"""The common gate G of docs/faults.md: what must hold after every case, whatever it did to the chain; P5 is its first.

with common_gate(chain):      # in a module's fixture, around its tests; or around one case
    ...
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.chain import Chain, Server
from tests.eventually import eventually
from tests.reader import Client

SETTLE_S: Final = 5.0
IDLE_POOL: Final = 100  # idle connections kept by each server, at most
SPARE: Final = 2  # a probe's connection or task, and one that a finished client has not closed yet
MODULE_GROWTH_BYTES: Final = 64 << 20  # P3; a module is many cases, and finished logs are kept
CASE_GROWTH_BYTES: Final = 8 << 20


def total(metrics: Mapping[str, float], family: str) -> float:
    """Return the sum of a family's samples over all its labels."""
    return sum(value for name, value in metrics.items() if name.partition("{")[0] == family)


def errors_logged(server: Server) -> list[Mapping[str, object]]:
    """Return the log lines of level error and worse."""
    return [line for line in tuple(server.lines) if line.get("level") in {"error", "critical"}]


@dataclass(frozen=True)
class Held:
    """What a server holds at a moment."""

    files: int
    tasks: int
    memory_bytes: int

    @classmethod
    def by(cls, server: Server) -> "Held":
        tasks = int(total(server.metrics(), "llm_event_loop_tasks"))
        return cls(server.open_files(), tasks, server.resident_bytes())


@contextlib.contextmanager
def common_gate(
    chain: Chain, *, growth_bytes: int = MODULE_GROWTH_BYTES, headers: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Hold ``chain`` to the gate: nothing leaks, every stream ended once and was counted once, the next one works.

    Args:
        headers: of the clean request, where a gateway asks for a key.
    """
    warm_up(chain, headers)
    before = {"proxy": Held.by(chain.proxy), "gateway": Held.by(chain.gateway)}
    yield
    warm_up(chain, headers)
    for server, held in ((chain.proxy, before["proxy"]), (chain.gateway, before["gateway"])):
        eventually(partial(is_idle, server), f"{server.module} gave everything back", within_s=SETTLE_S)
        assert errors_logged(server) == []
        eventually(
            partial(every_stream_ended_once, server), f"{server.module} ended every stream once", within_s=SETTLE_S
        )
        grown = server.resident_bytes() - held.memory_bytes
        assert grown < growth_bytes, f"{server.module} grew by {grown >> 20} MiB"
    eventually(lambda: is_given_back(chain, before), "files and tasks are back at their baseline", within_s=SETTLE_S)


def warm_up(chain: Chain, headers: Mapping[str, str] | None = None) -> None:
    """A clean request succeeds."""

    async def ask() -> str:
        async with Client(chain.gateway.url) as client:
            question = {"model": "sim:tokens=3", "messages": [{"role": "user", "content": "hi"}]}
            return (await client.ask("/api/chat/stream", question, headers)).reason

    assert asyncio.run(ask()) == "stop"


def is_idle(server: Server) -> bool:
    """Whether nobody streams, follows or waits, and every stream that was counted has written its line."""
    metrics = server.metrics()
    now = ("llm_streams_active", "llm_followers", "llm_admission_queue_length")
    counted = total(metrics, "llm_streams_finished_total")
    held = {value for series, value in metrics.items() if series.partition("{")[0] in now}  # -1 and +1 are not 0
    return held == {0} and counted == len(server.events("stream.finished"))


def every_stream_ended_once(server: Server) -> bool:
    """Whether each stream (each connection, at the gateway) has one line for its end; the last may be on its way."""
    name = "stream_id" if server.module == "proxy" else "request_id"
    ends = Counter(line[name] for line in server.events("stream.finished"))
    started = Counter(line[name] for line in server.events("stream.started"))
    return set(ends.values()) <= {1} and started.keys() <= ends.keys()


def is_given_back(chain: Chain, before: Mapping[str, Held]) -> bool:
    """Whether files and tasks are at the baseline, but for the connections that idle in the pools.

    Each connection of the gateway's pool is a file at both servers, and a task of the proxy that waits for its next
    request; each of the proxy's pool is a file of the proxy.
    """
    gateway, proxy = Held.by(chain.gateway), Held.by(chain.proxy)
    hops = max(0, gateway.files - before["gateway"].files)
    calls = chain.witness()["totals"]["connections_open"]
    files_back = hops <= IDLE_POOL + SPARE and proxy.files <= before["proxy"].files + hops + calls + SPARE
    tasks_back = gateway.tasks <= before["gateway"].tasks + SPARE
    return files_back and tasks_back and proxy.tasks <= before["proxy"].tasks + hops + SPARE
