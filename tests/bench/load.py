"""One run of the load generator against one contender."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

from tests.bench.contender import Contender
from tests.bench.cores import Cores, pinned
from tests.bench.programs import Programs
from tests.bench.tally import Run

GRACE_S: Final = 10.0


class LoadFailed(Exception):
    """Answers were lost, refused or late: the figures of that run would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What the readers do: the orders of native/run.h.

    Args:
        phases: what follows the opening, by name, in milliseconds each.
        rate: tokens a second of each stream; 0 = as fast as they are taken.
    """

    streams: int = 1
    requests: int = 1
    tokens: int = 2
    rate: int = 0
    wait_ms: int = 0
    pause_ms: int = 0
    open_ms: int = 0
    leave_tokens: int = 0
    leave_ms: int = 0
    stall_rate: int = 0
    cut: int = 0
    deadline_ms: int = 60_000
    phases: tuple[tuple[str, int], ...] = ()

    def orders(self) -> Iterator[str]:
        """Return them as the load generator's arguments."""
        yield from (f"{field.name}={getattr(self, field.name)}" for field in fields(self) if field.name != "phases")
        yield "phases=" + ",".join(f"{name}:{length}" for name, length in self.phases)


def run(programs: Programs, cores: Cores, contender: Contender, load: Load, more_pids: Sequence[int] = ()) -> Run:
    """Let the readers of ``load`` ask ``contender``.

    Args:
        more_pids: processes beside the contender's whose use of the machine is told, too.

    Raises:
        LoadFailed: the answers are not what was asked for.
    """
    pids = [*contender.pids, *more_pids]
    asking = [f"port={contender.port}", f"path={contender.path}", f"body={contender.body}"]
    asking += [f"headers={contender.headers}"] if contender.headers else []
    command = [*programs.readers, *asking, *load.orders(), *(f"cpu={pid}" for pid in pids)]
    with pinned(cores.load):
        generator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with generator:
        try:
            report, words = generator.communicate(timeout=load.deadline_ms / 1000 + GRACE_S)
        finally:
            generator.kill()  # it has ended, unless we are on our way out
    if generator.returncode != 0:
        raise LoadFailed(f"the load generator ended with {generator.returncode}: {words[-200:]}")
    told = Run.of(report, words)
    whole = told["whole"]
    if told.unfinished or whole.broken or whole.refused:
        raise LoadFailed(
            f"{contender.name}: of {whole.asked} answers {whole.broken} broke off, {whole.refused} were refused, "
            f"{told.unfinished} did not end"
        )
    return told
