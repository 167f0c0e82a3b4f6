"""Plant each bug in a copy of the tree, and see whether the tests that must catch it do; print which did.

python -m tests.mutants [words of a name ...]
"""

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.architecture.source import ROOT
from tests.mutants.planted import MUTANTS, Mutant

WORKERS: Final = 2
MUST_BE_KILLED: Final = 28
TEST_TIMEOUT_S: Final = 30  # a bug may make a test wait for ever: its time-out is its failure
# without the tests of a person's clock: beside others their bounds would be about the machine
_PYTEST: Final = ("-q", "-x", "-m", "not clock", "-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT_S}")
_FAILED: Final = re.compile(r"(?:FAILED|ERROR) \S*?::(\S+)")
_ALL_PASSED, _SOME_FAILED = 0, 1  # pytest's exit codes


class Copy:
    """A copy of the tracked tree, in which one bug at a time is planted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)

    def tried(self, tests: Sequence[str]) -> tuple[int, str]:
        """Run these tests until the first that fails; return pytest's exit code and its last lines."""
        command = [sys.executable, "-m", "pytest", *_PYTEST, *tests]
        environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            command, cwd=self._folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return run.returncode, "\n".join(run.stdout.decode(errors="replace").split("\n")[-4:])

    def with_planted(self, mutant: Mutant) -> tuple[int, str]:
        """Return what the mutant's tests say of the tree with its bug."""
        file = self._folder / mutant.file
        sound = file.read_text(encoding="utf-8")
        file.write_text(sound.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            return self.tried(mutant.tests)
        finally:
            file.write_text(sound, encoding="utf-8")


def verdict(copy: Copy, mutant: Mutant) -> tuple[bool, str]:
    """Return whether the bug was caught, and by which test, or what was said instead."""
    code, said = copy.with_planted(mutant)
    if code == _ALL_PASSED:
        return False, "survived"
    failed = _FAILED.search(said)
    return code == _SOME_FAILED, failed[1] if failed else f"pytest ended with {code}: {said}"


def main(words: Sequence[str]) -> int:
    """Plant the bugs whose names hold all ``words``; 0 where enough were killed."""
    mutants = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    began, waiting, verdicts = time.monotonic(), queue.SimpleQueue[Mutant](), dict[str, bool]()
    for mutant in mutants:
        waiting.put(mutant)

    def work(copy: Copy) -> None:
        while not waiting.empty():
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            killed, said = verdict(copy, mutant)
            verdicts[mutant.name] = killed
            print(f"{'killed' if killed else 'SURVIVED'}  {mutant.name}: {said}", flush=True)

    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        copies = [Copy(Path(folder, str(number))) for number in range(WORKERS)]
        named = sorted({test for mutant in mutants for test in mutant.tests})
        code, said = copies[0].tried(named)
        if code != _ALL_PASSED:  # a busy machine may fail a test once; what fails below is to fail for the bug
            code, said = copies[0].tried(named)
        if code != _ALL_PASSED:
            print(f"the named tests fail without any bug: mend them first\n{said}")
            return 2
        workers = [threading.Thread(target=work, args=(copy,)) for copy in copies]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    survivors = [name for name, killed in verdicts.items() if not killed]
    killed = len(mutants) - len(survivors)
    took_s = time.monotonic() - began
    print(f"killed {killed} of {len(mutants)} in {took_s:.0f} s; survivors: {', '.join(survivors) or 'none'}")
    return int(killed < min(MUST_BE_KILLED, len(mutants)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
