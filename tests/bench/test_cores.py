import os

import pytest

from tests.bench.cores import Cores, pinned


@pytest.mark.parametrize(
    ("cores", "hops", "source", "load"),
    [
        ([0, 1], "0 0", "1", "1"),
        ([2, 5, 7], "2 2", "5", "7"),
        ([0, 1, 2, 3, 4], "0 1", "2", "3"),
    ],
)
def test_what_measures_shares_no_core_with_what_is_measured(
    cores: list[int], hops: str, source: str, load: str
) -> None:
    found = Cores.of(cores)

    assert " ".join(str(*hop) for hop in found.hops) == hops
    assert (str(*found.source), str(*found.load)) == (source, load)


def test_on_one_core_nothing_is_pinned() -> None:
    assert not any((*Cores.of([3]).hops, Cores.of([3]).source, Cores.of([3]).load))


def test_pinning_lasts_as_long_as_what_is_started_meanwhile() -> None:
    before = os.sched_getaffinity(0)
    one = {min(before)}

    with pinned(frozenset(one)):
        inside = os.sched_getaffinity(0)

    assert (inside, os.sched_getaffinity(0)) == (one, before)
