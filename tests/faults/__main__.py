"""The command behind `make chaos`.

python -m tests.faults                   the cases, and 200 random runs
SEED=7 RUNS=1 python -m tests.faults     these random runs alone, from number 7 on
SOAK=30m python -m tests.faults          one run in a hundred with a fault, for so long, and the slopes
"""

import os
import re
import sys
import time
from typing import Final

from tests.faults.arena import running_arena
from tests.faults.cases import CASES, Case
from tests.faults.injections import INJECTIONS
from tests.faults.report import case_lines, failure_lines, walk_lines
from tests.faults.soak import soak
from tests.faults.walk import Walked, walk
from tests.machine import lacking

RUNS: Final = 200
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def main() -> int:
    """Run what the environment asks for; 0 where all was as it must be."""
    try:
        seed, runs = number_of("SEED"), number_of("RUNS")
        soak_s = seconds_of(os.environ.get("SOAK", ""))
    except ValueError as exc:
        print(f"make chaos: {exc}", file=sys.stderr)
        return 2
    if soak_s:
        return soak(soak_s)
    failed = 0
    if seed is None and runs is None:
        failed = sum(run_case(case) for case in CASES)
        print(f"     {len(CASES)} cases, {len(CASES) - failed} passed\n")
    if seed is None:
        seed = int(time.time()) % 1_000_000 * 50  # where a batch begins
    with running_arena() as arena:
        walked = walk(arena, seed, runs or RUNS, told=Progress())
    print("\n".join(walk_lines(walked)))
    return int(bool(failed) or walked.failed)


def run_case(case: Case) -> bool:
    """Run one case and print what was measured; whether it failed."""
    if reason := lacking(*case.needs):
        print(f"{case.id:4} {case.does}: skipped, {reason}", flush=True)
        return False
    measured, trouble = {}, ""
    try:
        measured = INJECTIONS[case.inject].run()
    except Exception as exc:  # noqa: BLE001 printed as the case's failure: the others are run all the same
        trouble = f"{type(exc).__name__}: {exc}"
    print("\n".join(case_lines(case, measured, trouble)), flush=True)
    return bool(trouble) or not all(expect.allows(measured[expect.metric]) for expect in case.expect)


def number_of(name: str) -> int | None:
    """Return what a variable says, None where it is not set.

    Raises:
        ValueError: it is no whole number.
    """
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise ValueError(f"{name}: expected a whole number, not {text!r}")
    return int(text) if text else None


def seconds_of(text: str) -> float:
    """Return "90s", "30m" or "2h" in seconds; 0 for nothing.

    Raises:
        ValueError: it is none of these.
    """
    if not text:
        return 0.0
    found = re.fullmatch(r"(\d+)([smh])", text)
    if found is None:
        raise ValueError(f"SOAK: expected a time such as 90s, 30m or 2h, not {text!r}")
    return float(found[1]) * _UNITS[found[2]]


class Progress:
    """Shows how far a walk is, and each failure at once: a long one may be stopped."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, walked: Walked) -> None:
        """Show what is new."""
        for judged in walked.failures[self._shown :]:
            print("\n".join(failure_lines(judged)), flush=True)
        self._shown = len(walked.failures)
        wrong = self._shown + len(walked.breaches)
        print(f"\r{walked.runs} runs, {wrong} failures, {walked.took_s:.0f} s ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
