"""`make test`: the suite in three parts, and one closing line of pytest's for them.

pure    tests of the pure modules, once, under coverage: each of their branches is taken
rest    at the same time all else, in two workers, a file at a time: it waits more than it computes
clock   tests of a person's clock, alone: beside others their upper bounds would be about the machine

python -m tests.suite [markers to leave out]
"""

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tests.architecture.arrows import PURE
from tests.architecture.source import ROOT

WORKERS: Final = 2
CLOSING: Final = re.compile(r"^(?:\x1b\[\d+m)*=+ (?:\x1b\[\d+m)*(.*) in [\d.]+s.*=+")
COUNT: Final = re.compile(r"(\d+) ([a-z]+)")
WORDS: Final = ("failed", "error", "passed", "skipped", "xfailed", "xpassed", "warning")
NOTHING_COLLECTED: Final = 5  # pytest's exit code


def covered(modules: Iterable[str] = PURE) -> list[str]:
    """Return the files of these modules and packages, as coverage's patterns."""
    paths = [Path(*name.split(".")) for name in modules]
    return [f"{path}/*" if (ROOT / path).is_dir() else f"{path}.py" for path in paths]


def covering(modules: Iterable[str] = PURE) -> list[str]:
    """Return the folders and files of their tests: tests/ mirrors the source, and a module may have several files."""
    found: list[str] = []
    for name in modules:
        home = Path("tests", *name.removeprefix("services.").split("."))
        if (ROOT / home).is_dir():
            found.append(str(home))
        else:
            files = (ROOT / home.parent).glob(f"test_{home.name}*.py")
            found += sorted(str(path.relative_to(ROOT)) for path in files)
    return list(dict.fromkeys(found))


@dataclass
class Results:
    """What the parts came to: pytest's own words, added up."""

    failed: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, lines: Iterable[str], code: int) -> None:
        """Add a part's closing line, if one of ``lines`` is one; a failure that no line tells of is an error."""
        closing = next(filter(None, map(CLOSING.match, lines)), None)
        found = COUNT.findall(closing[1]) if closing else []
        told = Counter({word.removesuffix("s"): int(number) for number, word in found})
        if code not in {0, NOTHING_COLLECTED}:
            self.failed = True
            told["error"] += not (told["failed"] or told["error"])
        self.counts += told

    def closing(self, took_s: float) -> str:
        """Return the closing line of all parts."""
        counted = [f"{self.counts[word]} {word}" for word in WORDS if self.counts[word]]
        return f" {', '.join(counted) or 'no tests ran'} in {took_s:.2f}s ".center(80, "=")


def start(command: Sequence[str], stdout: int | IO[str]) -> subprocess.Popen[str]:
    """Start a part."""
    return subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=stdout, text=True)


def show(said: Iterable[str]) -> list[str]:
    """Print lines as they come; return them."""
    lines: list[str] = []
    for line in said:
        print(line, end="", flush=True)
        lines.append(line)
    return lines


def run(command: Sequence[str], results: Results) -> None:
    """Run a part, show what it says, and add what it came to."""
    part = start(command, subprocess.PIPE)
    assert part.stdout is not None
    with part.stdout as said:
        lines = show(said)
    results.add(lines, part.wait())


def main(left_out: str) -> int:
    """Run all parts; return the exit code."""
    began, results, tests = time.monotonic(), Results(), covering()
    here = f"not ({left_out})" if left_out else "not none"
    pytest = ("pytest", "--color=yes" if sys.stdout.isatty() else "--color=no")
    apart = [f"--ignore={path}" for path in tests]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        pure = start(["coverage", "run", f"--include={','.join(covered())}", "-m", *pytest, *tests], said)
        run([*pytest, "-n", f"{WORKERS}", "--dist", "loadfile", "-m", f"{here} and not clock", *apart], results)
        code = pure.wait()
        said.seek(0)
        results.add(show(said), code)
    run(["coverage", "report", "--skip-covered", "--fail-under=100"], results)
    run([*pytest, "-m", f"{here} and clock", *apart], results)
    print(results.closing(time.monotonic() - began))
    return int(results.failed)


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
