"""What the cable between a gateway and the proxy does to one run's hops, said in the id of its request. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

_ID: Final = re.compile(r"chaos-(\d+)(?:-([a-z]+)-(\d+)-(\d+))?")


class Bend(StrEnum):
    """One way to spoil a hop; ``at`` counts bytes of the answer's body."""

    HEADLESS = "headless"  # closed before the first byte of the head
    CUT = "cut"  # closed after ``at`` bytes
    RESET = "reset"  # reset after ``at`` bytes
    SILENCE = "silence"  # nothing comes after ``at`` bytes, and nothing closes
    PAUSE = "pause"  # nothing comes for a moment after ``at`` bytes
    DRIP = "drip"  # one byte at a time, the first ``at`` bytes
    PIECES = "pieces"  # other borders: pieces of 1 to ``at`` bytes


BREAKING: Final = frozenset({Bend.HEADLESS, Bend.CUT, Bend.RESET, Bend.SILENCE})


@dataclass(frozen=True)
class HopFault:
    """A fault of the first ``times`` hops of one request."""

    bend: Bend
    at: int = 0
    times: int = 1

    @property
    def breaks(self) -> bool:
        """Whether a hop does not survive it."""
        return self.bend in BREAKING


@dataclass(frozen=True)
class RequestId:
    """The id that a run's requests carry through every process."""

    seed: int
    fault: HopFault | None = None

    def __str__(self) -> str:
        fault = self.fault
        return f"chaos-{self.seed:04}" + (f"-{fault.bend}-{fault.at}-{fault.times}" if fault else "")

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what ``text`` says; None if it is no run's."""
        found = _ID.fullmatch(text)
        if found is None:
            return None
        seed, bend, at, times = found.groups()
        return cls(int(seed), HopFault(Bend(bend), int(at), int(times)) if bend else None)
