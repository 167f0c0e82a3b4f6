"""What the load generator tells of a run: the JSON of native/readers.c. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self


@dataclass(frozen=True)
class Percentiles:
    """Of many samples, in microseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Tally:
    """One phase of a run.

    Attributes:
        whole: answers that came with their last word; ``broken`` and ``refused`` are the others, ``left`` our doing.
        cpu_ns: what each process used of the machine meanwhile, user and kernel, by its id.
        resident_kib: its memory at the beginning and at the end.
        delay_us: of a token, from the model server's write to the reader's read.
        gap_us: between tokens of one stream.
        first_us: from asking to the first token; ``added_us`` is that without the model server's own time.
    """

    seconds: float
    bytes: int
    tokens: int
    asked: int
    whole: int
    broken: int
    refused: int
    left: int
    cpu_ns: Mapping[int, int]
    resident_kib: Mapping[int, tuple[int, int]]
    delay_us: Percentiles
    gap_us: Percentiles
    first_us: Percentiles
    added_us: Percentiles

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read one tally of the report."""
        cpu_ns = {int(pid): int(used) for pid, used in told["cpu_ns"].items()}
        resident_kib = {int(pid): (int(begin), int(end)) for pid, (begin, end) in told["resident_kib"].items()}
        samples = {name: Percentiles(**told[name]) for name in SAMPLES}
        return cls(**{**told, **samples, "cpu_ns": cpu_ns, "resident_kib": resident_kib})

    def cpu_us(self, pids: Iterable[int]) -> float:
        """What these processes used, in microseconds."""
        return sum(self.cpu_ns[pid] for pid in pids) / 1e3

    def growth_kib(self, pids: Iterable[int], since: "Tally | None" = None) -> int:
        """How much more memory these processes have at the end of this phase than at the beginning of ``since``."""
        first = since or self
        return sum(self.resident_kib[pid][1] - first.resident_kib[pid][0] for pid in pids)


SAMPLES: Final = ("delay_us", "gap_us", "first_us", "added_us")


@dataclass(frozen=True)
class Run:
    """A run of the load generator.

    Attributes:
        unfinished: streams that were still there at the deadline.
        own_cpu_ns: what the load generator used itself.
        phases: by name; ``open``, those that were ordered, ``rest``, and the ``whole``.
        left_ns: when a reader left, by its stream's number.
    """

    unfinished: int
    own_cpu_ns: int
    phases: Mapping[str, Tally]
    left_ns: Mapping[int, int]

    @classmethod
    def of(cls, report: str, words: str) -> Self:
        """Read what it wrote to stdout, and the lines that it wrote to stderr."""
        told = json.loads(report)
        phases = {name: Tally.of(tally) for name, tally in told["phases"].items()}
        return cls(told["streams"] - told["finished"], told["own_cpu_ns"], phases, moments(words, "left"))

    def __getitem__(self, phase: str) -> Tally:
        return self.phases[phase]


def moments(words: str, what: str) -> dict[int, int]:
    """Return the moments of the lines ``<what> <stream> <ns>``, by stream."""
    lines = (line.split(" ") for line in words.split("\n") if line.startswith(f"{what} "))
    return {int(stream): int(at_ns) for _, stream, at_ns in lines}
