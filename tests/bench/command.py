"""The command line of the bench: what is asked for, a progress bar, the table, the report."""

import argparse
import contextlib
import functools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.bench import litellm, table
from tests.bench.bench import Plan, Start, measure
from tests.bench.contender import NGINX, CannotStart, Contender
from tests.bench.cores import Cores, available
from tests.bench.experiments import FRESH, SHORT
from tests.bench.interpreters import best_python, interpreter
from tests.bench.load import LoadFailed
from tests.bench.long_experiments import LONG
from tests.bench.machine import head
from tests.bench.model_server import ModelServer
from tests.bench.nginx import HOW_TO_GET, nginx_program, nginx_twice
from tests.bench.programs import CannotBuild, Programs, build, in_python
from tests.bench.results import Results
from tests.bench.sluice import Checkout, sluice
from tests.bench.stage import Stage
from tests.bench.ways import WAYS

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".bench"
OURS: Final = "Sluice"
DIRECT: Final = "direct"
WIDTH: Final = 170  # of the table, where no terminal has one


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table and write the report; return the exit code."""
    asked = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    _raise_file_limit()
    try:
        report = _measured(asked, _programs(console), console)
    except (CannotStart, LoadFailed) as exc:
        print(f"make bench: {exc}", file=sys.stderr)
        return 1
    for failure in report["failures"]:
        print(f"make bench: {failure}", file=sys.stderr)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    show(report, console)
    console.print(f"written: {asked.output}")
    return 1 if report["failures"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender has its turn")
    parser.add_argument("--full", action="store_true", help="the whole report")
    parser.add_argument("--only", default="", help=f"experiments, by name: {', '.join([*FRESH, *LONG])}")
    parser.add_argument("--without", default="", help="contenders to leave out, by name: direct, nginx")
    parser.add_argument("--python", default="", help="the interpreter of our servers; else the best that there is")
    parser.add_argument(
        "--against", type=Path, action="append", default=[], help="another checkout, measured in turn with this one"
    )
    parser.add_argument("--ways", default="", help=f"ours in other ways, too, by name: {', '.join(WAYS)}")
    parser.add_argument("--peers", action="store_true", help=f"also {litellm.NAME}, in an environment of its own")
    parser.add_argument("--output", type=Path, default=FOLDER / "report.json", help="where the report is written")
    return parser


def _programs(console: Console) -> Programs:
    try:
        return build(FOLDER)
    except CannotBuild as exc:
        console.print(f"{exc}: the load generator and the model server are Python")
        return in_python()


def _measured(asked: argparse.Namespace, programs: Programs, console: Console) -> dict[str, Any]:
    python = asked.python or best_python(FOLDER, ROOT / "requirements.lock")
    told, cores, began = interpreter(python, ROOT), Cores.of(available()), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name, ModelServer(programs, cores) as model_server:
        stage = Stage(programs, cores, model_server)
        plan = _plan(asked, _contenders(asked, python, stage, Path(name), console))
        results = _with_a_bar(stage, plan, console)
    more = {
        "cores": cores.told,
        "generator": programs.kind,
        "took": f"{time.monotonic() - began:.0f} s",
        "rounds": f"{asked.rounds}",
        "others": str(stage.others),
    }
    return {
        "head": head(told, **more),
        "ours": OURS,
        "contenders": results.contenders,
        "figures": results.figures,
        "failures": results.failures,
    }


def _contenders(
    asked: argparse.Namespace, python: str, stage: Stage, folder: Path, console: Console
) -> dict[str, Start]:
    port, cores, left_out = stage.model_server.port, stage.cores, asked.without.split(",")
    found: dict[str, Start] = {}
    if "direct" not in left_out:
        found[DIRECT] = lambda: contextlib.nullcontext(Contender(DIRECT, port, "/api/chat"))
    program = nginx_program()
    if program is None:
        console.print(HOW_TO_GET)
    elif "nginx" not in left_out:
        found[NGINX] = functools.partial(nginx_twice, program, port, cores, folder)
    for name, root in {OURS: ROOT, **{path.resolve().name: path.resolve() for path in asked.against}}.items():
        found[name] = functools.partial(sluice, name, Checkout(root, python), port, cores, folder)
    for way in filter(None, asked.ways.split(",")):
        found[way] = functools.partial(sluice, way, Checkout(ROOT, python, WAYS[way]), port, cores, folder)
    if asked.peers:
        found[litellm.NAME] = functools.partial(litellm.litellm, litellm.environment(FOLDER), port, cores, folder)
    return found


def _plan(asked: argparse.Namespace, contenders: Mapping[str, Start]) -> Plan:
    usual = [*FRESH, *(LONG if asked.full else SHORT), *(litellm.BEARS if asked.peers else ())]
    only = asked.only.split(",") if asked.only else usual
    fresh, lasting = ({name: one for name, one in some.items() if name in only} for some in (FRESH, LONG))
    return Plan(contenders, fresh, lasting, asked.rounds, {litellm.NAME: litellm.BEARS})


def _with_a_bar(stage: Stage, plan: Plan, console: Console) -> Results:
    with Progress(TextColumn("{task.description:24}"), BarColumn(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=plan.steps)
        return measure(stage, plan, lambda what: bar.update(task, description=what, advance=1))


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the head and the table of a report."""
    told = report["head"]
    for name, value in told.items():
        console.print(f"{name:10} {value}")
    results, contenders = Results(report["contenders"], report["figures"]), report["contenders"]
    printed = Table("", *contenders, "÷ two nginx", "limit", "goal", "", box=SIMPLE, pad_edge=False)
    printed.columns[0].no_wrap = True
    for line in table.lines(results, report["ours"], judging=told["optimised"]):
        printed.add_row(line.label, *line.cells, line.judged, line.limit, line.goal, line.verdict)
    console.print(printed)


def _raise_file_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
