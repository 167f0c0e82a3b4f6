"""The bench itself: rounds, in each of them every experiment, in each of them every contender in turn."""

import contextlib
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from tests.bench.contender import Contender
from tests.bench.cores import pinned
from tests.bench.experiments import warm_up
from tests.bench.load import LoadFailed
from tests.bench.results import Results
from tests.bench.stage import Experiment, Stage

SCRAPE_S: Final = 5.0
Start = Callable[[], AbstractContextManager[Contender]]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Args:
        contenders: how each is started, by name.
        fresh: experiments that want servers which have just been started.
        lasting: those that one set of servers runs through, round by round.
        bears: the experiments, by name, of a contender that cannot bear all of them.
    """

    contenders: Mapping[str, Start]
    fresh: Mapping[str, Experiment]
    lasting: Mapping[str, Experiment]
    rounds: int
    bears: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many figures are taken: how often ``told`` hears of it."""
        asked = [len(self.among(experiment, list(self.contenders))) for experiment in (*self.fresh, *self.lasting)]
        return self.rounds * sum(asked)

    def among(self, experiment: str, contenders: Sequence[str]) -> list[str]:
        """Return those of ``contenders`` that are asked."""
        return [name for name in contenders if experiment in self.bears.get(name, (experiment,))]


def measure(stage: Stage, plan: Plan, told: Callable[[str], None]) -> Results:
    """Run it. The contenders alternate, and whoever began a round is last in the next.

    Args:
        told: hears what is measured next, and of whom.
    """
    results = Results(list(plan.contenders))
    for number in range(plan.rounds):
        turn = _turned(list(plan.contenders), number)
        for name, experiment in plan.fresh.items():
            for contender in plan.among(name, turn):
                told(f"{name}: {contender}")
                with _running(stage, plan.contenders[contender]) as running:
                    _add(results, name, experiment, stage, running)
        with contextlib.ExitStack() as stack:
            running_by_name = {
                contender: stack.enter_context(_running(stage, plan.contenders[contender])) for contender in turn
            }
            for name, experiment in plan.lasting.items():
                for contender in plan.among(name, turn):
                    told(f"{name}: {contender}")
                    _add(results, name, experiment, stage, running_by_name[contender])
    return results


def _add(results: Results, name: str, experiment: Experiment, stage: Stage, contender: Contender) -> None:
    """Add what the experiment comes to; one that fails is told at the end, and costs the others nothing."""
    try:
        results.add(contender.name, experiment(stage, contender))
    except LoadFailed as exc:
        results.failures.append(f"{name}: {exc}")


def _turned(names: Sequence[str], by: int) -> list[str]:
    place = by % len(names)
    return [*names[place:], *names[:place]]


@contextlib.contextmanager
def _running(stage: Stage, start: Start) -> Iterator[Contender]:
    with start() as contender, _scraped(contender, stage.cores.load):
        warm_up(stage, contender)
        yield contender


@contextlib.contextmanager
def _scraped(contender: Contender, core: frozenset[int]) -> Iterator[None]:
    """Read its metrics every SCRAPE_S, as Prometheus would."""
    over = threading.Event()

    def scrape() -> None:
        with pinned(core):
            while not over.wait(SCRAPE_S):
                for url in contender.metrics:
                    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=SCRAPE_S) as page:  # noqa: S310 ours
                        page.read()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
