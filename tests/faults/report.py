"""What `make chaos` prints: measured beside allowed, what a walk met, and how to replay what failed."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tests.faults.batch import Judged
from tests.faults.cases import Case
from tests.faults.walk import Walked

_SHOWN_FAILURES = 20


def case_lines(case: Case, measured: Mapping[str, float], trouble: str) -> Iterable[str]:
    """Yield the lines of one case.

    Args:
        trouble: why it could not be measured, or why the gate was not passed; "" where all went well.
    """
    yield f"{case.id:4} {case.does}"
    for expect in case.expect:
        number = measured.get(expect.metric)
        mark = "-" if number is None else "ok" if expect.allows(number) else "NO"
        shown = "not measured" if number is None else f"{number:,.6g}"
        yield f"     {mark:2}  {expect.metric:42} {shown:>14}   allowed {expect.op} {expect.value:,.6g}"
    if trouble:
        yield f"     NO  {trouble}"


def walk_lines(walked: Walked) -> Iterable[str]:
    """Yield the lines of a walk."""
    repeated = f", {walked.repeated} of them repeated on a machine that held them up" if walked.repeated else ""
    runs = f"{walked.runs:,} random runs from SEED={walked.seed}"
    yield f"{runs}, {walked.batches} batches{repeated}, {walked.took_s:.0f} s"
    yield f"     ends    {_counted(walked.ends)}"
    yield f"     readers {_counted(walked.ways)}"
    yield f"     met     {_counted(walked.met)}"
    yield f"     most    {', '.join(f'{what} {value:.1f}' for what, value in sorted(walked.most.items()))}"
    for breach in walked.breaches[:_SHOWN_FAILURES]:
        yield f"     NO  gate: {breach}"
    seeds = [judged.run.seed for judged in walked.failures]
    yield f"     seeds of failures: {', '.join(map(str, seeds)) or 'none'}; gate: {len(walked.breaches)} breaches"


def failure_lines(judged: Judged) -> Iterable[str]:
    """Yield what was wrong with a run, and how to replay it."""
    run, seen = judged.run, judged.seen
    yield f"     NO  make chaos SEED={run.seed} RUNS=1    {run}"
    yield from (f"             {complaint[:600]}" for complaint in judged.complaints)
    calls = [(call["tokens"], call["end"]) for call in seen.calls]
    yield f"             streams {seen.streams}, connections {seen.connections}, calls {calls}"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counter.most_common())
