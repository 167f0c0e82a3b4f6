""".ci/run: what it runs, its last line and its exit code, with a make and a pytest that only say something."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

SUITE = "==== 2 passed, 1 deselected in 3.00s ===="
MARKED = "==== 1 passed, 2 deselected in 1.00s ===="


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".compiled").mkdir()
    for file in ("run", "engine"):
        shutil.copy(ROOT / ".ci" / file, tmp_path / ".ci" / file)
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    return tmp_path


def says(script: Path, text: str, code: int) -> None:
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f'#!/bin/sh\necho "asked: $*"\necho "{text}"\nexit {code}\n')
    script.chmod(0o755)


def run(checkout: Path, *, suite: tuple[str, int], marked: tuple[str, int]) -> tuple[list[str], int]:
    says(checkout / "bin" / "make", *suite)
    python = checkout / ".venv" / "bin" / "python"
    says(python, *marked)
    compiled = 'case "$*" in *"-n 2"*) echo "asked: $*"; exit 0;; esac'  # what is run compiled, which passes
    python.write_text(python.read_text().replace("#!/bin/sh", f"#!/bin/sh\n{compiled}"))
    says(checkout / "bin" / "apt-get", "installs nothing", 0)
    environ = {**os.environ, "PATH": f"{checkout}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [checkout / ".ci" / "run"], env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout.strip().split("\n"), done.returncode


def test_the_gate_the_suite_and_what_it_leaves_out_are_run_in_this_order(checkout: Path) -> None:
    lines, code = run(checkout, suite=(SUITE, 0), marked=(MARKED, 0))
    left = re.findall(r"^CI_ONLY := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[0]

    asked = [line for line in lines if line.startswith("asked: ")]
    beside = "edge or root or network"
    alone = f"asked: -m pytest -m ({left}) and not ({beside} or monitoring)"
    assert asked[:3] == ["asked: check", "asked: test", alone]
    assert asked[3:6] == [f"asked: -m pytest -m {beside}", "asked: -m pytest -m monitoring", "asked: build"]
    assert asked[6].startswith("asked: -m pytest -n 2")
    assert asked[7:] == ["asked: -m tests.client_environment", "asked: clients"]
    assert (lines[-1], code) == (SUITE, 0)


def test_nothing_that_bears_a_mark_is_no_failure(checkout: Path) -> None:
    lines, code = run(checkout, suite=(SUITE, 0), marked=("==== 3 deselected in 1.00s ====", 5))

    assert (lines[-1], code) == (SUITE, 0)


def test_a_suite_that_fails_is_the_last_line_and_the_exit_code(checkout: Path) -> None:
    failed = "==== 1 failed, 1 passed in 3.00s ===="

    lines, code = run(checkout, suite=(failed, 1), marked=(MARKED, 0))

    assert (lines[-1], code) == (failed, 1)


def test_a_failure_of_what_is_left_to_the_ci_is_the_last_line_and_the_exit_code(checkout: Path) -> None:
    failed = "==== 1 failed, 2 deselected in 1.00s ===="

    lines, code = run(checkout, suite=(SUITE, 0), marked=(failed, 1))

    assert (lines[-1], code) == (failed, 1)
