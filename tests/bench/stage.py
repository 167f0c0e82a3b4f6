"""What every experiment needs, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.contender import Contender
from tests.bench.cores import Cores
from tests.bench.foreign import MachineTime, Others
from tests.bench.load import Load, run
from tests.bench.model_server import ModelServer
from tests.bench.programs import Programs
from tests.bench.tally import Run, Tally

Figures = dict[str, float]


@dataclass(frozen=True)
class Stage:
    """What every experiment needs; ``others`` is what everybody else had of the machine meanwhile."""

    programs: Programs
    cores: Cores
    model_server: ModelServer
    others: Others = field(default_factory=Others)

    def run(self, contender: Contender, load: Load) -> Run:
        """Let the load generator ask ``contender``."""
        self.model_server.forget()
        before = MachineTime.now()
        ran = run(self.programs, self.cores, contender, load, [self.model_server.pid])
        whole = ran["whole"]
        ours_s = (ran.own_cpu_ns + sum(whole.cpu_ns.values())) / 1e9
        self.others.add(before, MachineTime.now(), seconds=whole.seconds, ours_s=ours_s)
        return ran


Experiment = Callable[[Stage, Contender], Figures]


def by_hop(figure: str, contender: Contender, tally: Tally, divisor: float) -> Figures:
    """Return what the hops used of the machine, in microseconds, all and each, divided; nothing where there is none."""
    if not contender.hops:
        return {}
    each = {f"{figure}.{name}": tally.cpu_us(pids) / divisor for name, pids in contender.hops.items()}
    return {figure: tally.cpu_us(contender.pids) / divisor, **each}
