"""Some fifty runs side by side against one arena, with what happens to a server in the middle of them."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.behaviour.gate import errors_logged, total
from tests.chain import Server
from tests.eventually import soon
from tests.faults.arena import Arena, Mortal
from tests.faults.clients import CANARY, live
from tests.faults.composition import Composition, Disaster, Door
from tests.faults.gate import FINISHED
from tests.faults.history import History
from tests.faults.oracle import complaints

LINES_WITHIN_S: Final = 8.0  # a stream that nobody follows is abandoned after five
EXIT_WITHIN_S: Final = 10.0
WATCH_EVERY_S: Final = 0.05
LONG_ENOUGH: Final = 9  # characters of a said word that no line has by accident


@dataclass(frozen=True)
class Judged:
    """A run, what was seen of it, and what is wrong with that."""

    run: Composition
    seen: History
    complaints: list[str]


@dataclass
class Watch:
    """How long the machine lets this process wait, at most: the servers beside it wait as long."""

    longest_s: float = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            due = time.monotonic() + WATCH_EVERY_S
            await asyncio.sleep(WATCH_EVERY_S)
            self.longest_s = max(self.longest_s, time.monotonic() - due)


@dataclass(frozen=True)
class Batched:
    """What a batch came to.

    Args:
        wrong: how a server that was to end did not end as it must.
        held_up_s: the longest time for which the machine let this process wait.
    """

    judged: list[Judged]
    wrong: list[str]
    held_up_s: float


async def run_batch(arena: Arena, runs: Sequence[Composition], mortal: Mortal) -> Batched:
    """Let all runs live, and judge them."""
    servers = [arena.chain.proxy, arena.chain.gateway, arena.wired]
    servers += [server for server in (mortal.gateway, mortal.proxy) if server is not None and server not in servers]
    telling = [server for server in servers if server is not mortal.victim]  # who ends tells all it knows before
    untold = {server.port: _untold(server) for server in telling}
    async with asyncio.TaskGroup() as tasks:
        watch = Watch()
        watching = tasks.create_task(watch.run())
        striking = tasks.create_task(_strike(mortal, runs[0].disaster, runs[0].seed))
        living = [tasks.create_task(live(run, arena.doors(run.door, mortal))) for run in runs]
        await asyncio.wait(living)
        await _settled(arena, lambda: untold == {server.port: _untold(server) for server in telling})
        watching.cancel()
    histories = [one.result() for one in living]
    lines = [(server, server.events("stream.finished")) for server in servers]
    calls = arena.chain.witness()["calls"]
    for run, history in zip(runs, histories, strict=True):
        _complete(run, history, lines, calls, mortal)
    judged = [Judged(run, history, complaints(run, history)) for run, history in zip(runs, histories, strict=True)]
    return Batched(judged, striking.result(), watch.longest_s)


def words_of(runs: Sequence[Composition]) -> list[str]:
    """Return what no line and no metric may hold: the prompts' canary, and the longer words of the answers."""
    said = {word.strip() for run in runs for word in (*run.tokens, *run.thoughts) if len(word) < 40}
    return [CANARY, *sorted(word for word in said if len(word) >= LONG_ENOUGH and word.isalpha())]


def _complete(
    run: Composition,
    history: History,
    lines: Sequence[tuple[Server, list[dict[str, Any]]]],
    calls: Sequence[dict[str, Any]],
    mortal: Mortal,
) -> None:
    """Add what the servers and the witness say of a run."""
    for server, ends in lines:
        reasons = [line["reason"] for line in ends if line.get("request_id") == run.request_id]
        (history.streams if server.module == "proxy" else history.connections).extend(reasons)
    history.calls = [call for call in calls if call["model"] == run.model]
    history.streams_are_known = run.door is not Door.MORTAL or run.disaster is not Disaster.PROXY_KILLED
    if mortal.victim is None:
        history.streams_are_known = True


def _untold(server: Server) -> float:
    """Return how many ends ``server`` has counted beyond those whose lines have come."""
    return total(server.metrics(), FINISHED) - len(server.events("stream.finished"))


async def _settled(arena: Arena, is_told: Callable[[], bool]) -> None:
    """Wait until no stream runs, and every end has been seen and told; a breach of it is the gate's to tell."""

    def is_idle() -> bool:
        gauges = arena.chain.proxy.metrics()
        idle = all(not value for name, value in gauges.items() if name.partition("{")[0] == "llm_streams_active")
        return idle and not arena.chain.witness()["totals"]["calls_now"]

    with contextlib.suppress(AssertionError):
        await soon(lambda: is_idle() and is_told(), "nothing runs", within_s=LINES_WITHIN_S)


async def _strike(mortal: Mortal, disaster: Disaster, seed: int) -> list[str]:
    """Let the disaster happen in the middle; return what was wrong with how its victim ended."""
    victim = mortal.victim
    if victim is None:
        return []
    await asyncio.sleep(0.2 + Random(seed).random())  # while the runs are at different stages: what is tested
    if disaster in {Disaster.GATEWAY_KILLED, Disaster.PROXY_KILLED}:
        await asyncio.to_thread(victim.kill)
        return []
    victim.signal(signal.SIGTERM)
    try:
        code = await asyncio.to_thread(victim.wait, EXIT_WITHIN_S)
    except Exception as exc:  # noqa: BLE001 told as what it is: it did not end
        return [f"{victim.module} did not end: {exc!r}"]
    found = [] if code == 0 else [f"{victim.module} ended with {code}"]
    if errors := errors_logged(victim):
        found.append(f"{victim.module} logged {errors[:3]}")
    return found
