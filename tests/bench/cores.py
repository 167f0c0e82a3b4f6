"""Which process runs on which core, so that what is measured and what measures do not share one where that can be."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self


@dataclass(frozen=True)
class Cores:
    """The cores of the hops, of the model server and of the load generator; an empty set pins nothing.

    Args:
        hops: each hop's, the one beside the client first.
    """

    hops: tuple[frozenset[int], frozenset[int]]
    source: frozenset[int]
    load: frozenset[int]
    told: str

    @classmethod
    def of(cls, available: Sequence[int]) -> Self:
        """Share out the cores that there are. With fewer than four the two hops share one: that is each contender's."""
        cores = [frozenset({core}) for core in available]
        match cores:
            case [first, second, third, fourth, *_]:
                told = "each hop on a core of its own, model server and load generator on one each"
                return cls((first, second), third, fourth, told)
            case [first, second, third]:
                told = "both hops of a contender on one core, model server and load generator on one each"
                return cls((first, first), second, third, told)
            case [first, second]:
                told = (
                    "both hops of a contender on one core; model server, load generator and this program on the other"
                )
                return cls((first, first), second, second, told)
        return cls((NOWHERE, NOWHERE), NOWHERE, NOWHERE, "one core for everything: delays mean little")


NOWHERE: Final[frozenset[int]] = frozenset()


def available() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started meanwhile stays on these cores."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
