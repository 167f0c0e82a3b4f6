"""The random walk: batches of runs with the gate after each, by number and reproducible by it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.faults.arena import Arena
from tests.faults.batch import Batched, Judged, run_batch, words_of
from tests.faults.composition import BATCH, Composition, batch
from tests.faults.gate import Gate

HELD_UP_S: Final = 0.4
"""Our shortest limits are a second or two: beside a machine that holds up processes for longer they mean nothing."""


@dataclass
class Walked:
    """What a walk came to."""

    seed: int
    runs: int = 0
    batches: int = 0
    repeated: int = 0  # batches that failed while the machine held them up, and were taken again
    took_s: float = 0.0
    failures: list[Judged] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)  # faults of the model server, of the hop, disasters
    most: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether anything was not as it must be."""
        return bool(self.failures or self.breaches)

    def add(self, judged: list[Judged], breaches: list[str], first: int) -> None:
        """Add a batch."""
        self.batches += 1
        self.runs += len(judged)
        self.failures += [one for one in judged if one.complaints]
        self.breaches += [f"batch of SEED={first} RUNS={len(judged)}: {breach}" for breach in breaches]
        for one in judged:
            last = one.seen.readers[-1].last if one.seen.readers else None
            left = one.seen.readers[-1].left if one.seen.readers else True
            self.ends["left" if left or last is None else last.refusal or last.end or "no answer"] += 1
            self.ways[one.run.plan.way] += 1
            self.met[one.run.hop.bend if one.run.hop else "no hop fault"] += 1
            self.met[f"{one.run.disaster}" if one.run.door == "mortal" else "no disaster"] += 1


def walk(arena: Arena, seed: int, runs: int, *, told: Callable[[Walked], None] = lambda _: None) -> Walked:
    """Take ``runs`` runs from number ``seed`` on.

    Args:
        told: told after each batch.
    """
    gate, walked, began = Gate(arena), Walked(seed), time.monotonic()
    for first, count in _batches(seed, runs):
        batched, breaches = _taken(arena, gate, batch(first, count))
        if batched.held_up_s > HELD_UP_S and (breaches or any(one.complaints for one in batched.judged)):
            walked.repeated += 1  # the machine's doing, most likely: what is ours fails again
            batched, breaches = _taken(arena, gate, batch(first, count))
        walked.add(batched.judged, breaches, first)
        walked.most = gate.most
        walked.took_s = time.monotonic() - began
        told(walked)
    return walked


def _taken(arena: Arena, gate: Gate, runs: list[Composition]) -> tuple[Batched, list[str]]:
    """Take a batch, and return what it came to, and the gate's breaches after it."""
    with arena.mortal(runs[0].disaster) as mortal:
        batched = asyncio.run(run_batch(arena, runs, mortal))
    return batched, batched.wrong + gate.breaches(words_of(runs))


def _batches(seed: int, runs: int) -> Iterator[tuple[int, int]]:
    """Yield first number and size of each batch: none goes beyond a multiple of BATCH, where the disaster changes."""
    first = seed
    while first < seed + runs:
        count = min(seed + runs, (first // BATCH + 1) * BATCH) - first
        yield first, count
        first += count
