"""How much of the machine others used while something was measured: a figure taken beside others is worth less."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_IDLE, _IO_WAIT, _STEAL = 3, 4, 7
_COUNTED: Final = 8


@dataclass(frozen=True)
class MachineTime:
    """Seconds of all cores since the machine began."""

    busy_s: float
    stolen_s: float

    @classmethod
    def now(cls) -> Self:
        """Read it."""
        return cls.of(Path("/proc/stat").read_text())

    @classmethod
    def of(cls, stat: str) -> Self:
        """Read the first line of /proc/stat."""
        ticks = [int(number) for number in stat.partition("\n")[0].split()[1 : _COUNTED + 1]]
        busy = sum(ticks) - ticks[_IDLE] - ticks[_IO_WAIT] - ticks[_STEAL]
        return cls(busy / _TICKS_PER_S, ticks[_STEAL] / _TICKS_PER_S)


@dataclass
class Others:
    """What others had of the machine, run by run: those beside us, and those beside this whole machine (steal)."""

    seconds: float = 0.0
    beside_s: float = 0.0
    stolen_s: float = 0.0

    def add(self, before: MachineTime, after: MachineTime, *, seconds: float, ours_s: float) -> None:
        """Add a run of ``seconds``, in which we used ``ours_s`` ourselves."""
        self.seconds += seconds
        self.beside_s += max(0.0, after.busy_s - before.busy_s - ours_s)
        self.stolen_s += after.stolen_s - before.stolen_s

    def __str__(self) -> str:
        """Return both as shares of one core."""
        seconds = self.seconds or 1.0
        return f"other processes {self.beside_s / seconds:.0%} of a core, other machines {self.stolen_s / seconds:.0%}"
