"""The soak: one run in a hundred with a fault, for a long time, with what the servers hold sampled meanwhile. L10."""

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from tests.architecture.source import ROOT
from tests.behaviour.gate import Held
from tests.chain import Server
from tests.faults.arena import Arena, Mortal, running_arena
from tests.faults.batch import run_batch, words_of
from tests.faults.composition import BATCH, batch
from tests.faults.gate import Gate
from tests.faults.report import failure_lines, walk_lines
from tests.faults.trend import slope
from tests.faults.walk import Walked

FAULTY: Final = 0.01
SAMPLE_EVERY_S: Final = 5.0
WARM_UP: Final = 0.2  # of the time, which the slopes leave out: pools and kept logs fill
RESULT: Final = ROOT / ".soak.json"
PICTURE: Final = ROOT / ".soak.png"
_MIB: Final = 1 << 20


@dataclass
class Samples:
    """What one server held, sample after sample."""

    name: str
    times_s: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)

    def slopes(self) -> dict[str, float]:
        """Return the slope of each an hour, the warm-up left out."""
        begins = next((at for at, time_s in enumerate(self.times_s) if time_s >= WARM_UP * self.times_s[-1]), 0)
        times = self.times_s[begins:]
        series: dict[str, Sequence[float]] = {"memory, MiB": self.memory_mib, "files": self.files, "tasks": self.tasks}
        return {what: slope(times, values[begins:]) for what, values in series.items()}


class Sampler:
    """Samples servers from a thread of its own, until it is closed."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.samples = [Samples(f"{server.module} :{server.port}") for server in servers]
        self._servers = servers
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Sample no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_EVERY_S):
            for server, samples in zip(self._servers, self.samples, strict=True):
                held = Held.by(server)
                samples.times_s.append(time.monotonic() - self._began)
                samples.memory_mib.append(held.memory_bytes / _MIB)
                samples.files.append(held.files)
                samples.tasks.append(held.tasks)


def soak(duration_s: float) -> int:
    """Soak for so long, print the slopes, and leave the samples and their picture; 0 where all was as it must be."""
    with running_arena() as arena:
        sampler = Sampler(arena.lasting)
        try:
            walked = _walk_for(arena, duration_s)
        finally:
            sampler.close()
    print("\n".join(line for judged in walked.failures for line in failure_lines(judged)))
    print("\n".join(walk_lines(walked)))
    for samples in sampler.samples:
        found = ", ".join(f"{what} {value:+.2f}" for what, value in samples.slopes().items())
        print(f"     {samples.name:16} slope an hour: {found}")
    RESULT.write_text(json.dumps([vars(samples) for samples in sampler.samples]))
    draw(sampler.samples, PICTURE)
    print(f"     samples in {RESULT.name}, their picture in {PICTURE.name}")
    return int(walked.failed)


def _walk_for(arena: Arena, duration_s: float) -> Walked:
    gate, began = Gate(arena), time.monotonic()
    walked = Walked(int(time.time()) % 1_000_000 * BATCH)
    while walked.took_s < duration_s:
        first = walked.seed + walked.runs
        runs = batch(first, BATCH, faulty=FAULTY, disasters=False)
        batched = asyncio.run(run_batch(arena, runs, Mortal(arena.chain.gateway, None, None)))
        walked.add(batched.judged, gate.breaches(words_of(runs)), first)
        walked.took_s, walked.most = time.monotonic() - began, gate.most
    return walked


def draw(all_samples: Sequence[Samples], path: Path) -> None:
    """Draw memory, files and tasks of each server over time."""
    figure = Figure(figsize=(9, 8))
    axes = figure.subplots(3, 1, sharex=True)
    rows: list[tuple[Any, str, str]] = [
        (axes[0], "memory_mib", "resident memory, MiB"),
        (axes[1], "files", "open files"),
        (axes[2], "tasks", "tasks"),
    ]
    for axis, what, label in rows:
        for samples in all_samples:
            axis.plot([at / 60 for at in samples.times_s], getattr(samples, what), label=samples.name, linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend(loc="lower right")
    axes[0].set_title("Soak: one run in a hundred with a fault")
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
