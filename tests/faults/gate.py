"""The common gate of docs/faults.md after a batch of runs: its conditions on the servers that outlive batches."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.behaviour.gate import IDLE_POOL, MODULE_GROWTH_BYTES, SETTLE_S, SPARE, Held, errors_logged, total, warm_up
from tests.chain import Server
from tests.eventually import eventually
from tests.faults.arena import Arena

NOW: Final = ("llm_streams_active", "llm_followers", "llm_admission_queue_length")
"""Gauges that are 0 while nobody asks."""


@dataclass
class Gate:
    """Holds an arena to the state that it had when this was made.

    Attributes:
        most: the most that was measured after any batch, by what was measured.
    """

    arena: Arena
    most: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arena.chain.gateway.get("/readyz")
        self._counted = {server.port: 0.0 for server in self.arena.lasting}  # and their lines are whole
        warm_up(self.arena.chain)
        self._forget()
        self._before = {server.port: Held.by(server) for server in self.arena.lasting}

    def breaches(self, said: Iterable[str]) -> list[str]:
        """Return what is not as it must be, each in a sentence; a fresh batch may follow.

        Args:
            said: words of the batch's prompts and answers, which no line and no metric may hold.
        """
        found: list[str] = []
        warm_up(self.arena.chain)
        words = [word.encode() for word in said]
        for server in self.arena.lasting:
            found += [f"{server.module} {breach}" for breach in self._of(server, words)]
        if not _within(self._is_given_back):
            found.append(f"files and tasks are not back: {self._held()}")
        self._forget()
        return found

    def _of(self, server: Server, words: list[bytes]) -> Iterable[str]:
        if not _within(lambda: _is_idle(server)):
            yield f"still holds {_now(server)}"
        if not _within(lambda: self._each_is_counted(server)):
            lines, counted = len(server.events("stream.finished")), self._finished(server)
            yield f"has {lines} lines of ends and counted {counted:g}, or a stream without one"
        if errors := errors_logged(server):
            yield f"logged {json.dumps(errors[:3])[:2000]}"
        told = b"".join(tuple(server.raw)) + json.dumps(server.metrics()).encode()
        if leaked := [word for word in words if word in told]:
            yield f"told {leaked[:3]}"
        grown = server.resident_bytes() - self._before[server.port].memory_bytes
        self._note(f"{server.module} memory, MiB", grown / (1 << 20))
        if grown >= MODULE_GROWTH_BYTES:
            yield f"grew by {grown >> 20} MiB"

    def _finished(self, server: Server) -> float:
        return total(server.metrics(), FINISHED) - self._counted[server.port]

    def _each_is_counted(self, server: Server) -> bool:
        """Whether each stream has ended once, in a line and in the counter, and the counter has counted no other."""
        name = "stream_id" if server.module == "proxy" else "request_id"
        ended = server.events("stream.finished")
        started = {line[name] for line in server.events("stream.started")}
        once = server.module != "proxy" or set(Counter(line[name] for line in ended).values()) <= {1}
        return once and started <= {line[name] for line in ended} and self._finished(server) == len(ended)

    def _is_given_back(self) -> bool:
        """Whether files and tasks are at the baseline, but for connections that idle in the pools, and the cable's."""
        held, before = self._held(), self._before
        proxy = self.arena.chain.proxy.port
        hops = 0
        for port in held.keys() - {proxy}:
            idle = max(0, held[port].files - before[port].files)
            hops += idle
            if idle > IDLE_POOL + SPARE or held[port].tasks > before[port].tasks + SPARE:
                return False
        calls = self.arena.chain.witness()["totals"]["connections_open"]
        self._note("tasks above the baseline", max(held[port].tasks - before[port].tasks for port in held))
        files = held[proxy].files <= before[proxy].files + hops + calls + SPARE
        return files and held[proxy].tasks <= before[proxy].tasks + hops + SPARE

    def _held(self) -> Mapping[int, Held]:
        return {server.port: Held.by(server) for server in self.arena.lasting}

    def _note(self, what: str, value: float) -> None:
        self.most[what] = max(self.most.get(what, value), value)

    def _forget(self) -> None:
        """Let lines and calls go that were judged: ten thousand runs leave gigabytes of them.

        An answer is with its reader before it is counted and has its line: what is forgotten must not come afterwards.
        """
        for server in self.arena.lasting:
            eventually(lambda server=server: _is_idle(server), "idle", within_s=60.0)  # type: ignore[misc]  # a lambda's default
            _within(lambda server=server: self._each_is_counted(server))
        self._counted = {server.port: total(server.metrics(), FINISHED) for server in self.arena.lasting}
        for server in self.arena.chain.servers:
            server.lines.clear()
            server.raw.clear()
        self.arena.chain.forget()


FINISHED: Final = "llm_streams_finished_total"


def _is_idle(server: Server) -> bool:
    return not any(_now(server).values())


def _now(server: Server) -> dict[str, Any]:
    samples = server.metrics().items()
    return {name: value for name, value in samples if value and name.partition("{")[0] in NOW}


def _within(condition: Any) -> bool:
    deadline = time.monotonic() + SETTLE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
