"""The commands of docs/settings.md against the Makefile's."""

import re
import subprocess
import tomllib

from tests.architecture.source import ROOT
from tests.documents.tables import words


def targets() -> list[str]:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [line.partition(" ")[0] for line in shown.strip().split("\n")]


def test_make_help_shows_every_target_on_a_line_of_its_own() -> None:
    declared = re.findall(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert targets() == declared[0].split()


def test_the_readme_lists_the_commands_that_there_are() -> None:
    assert words("docs/settings.md", "commands") == [f"make {target}" for target in targets()]


def test_there_are_no_more_commands_than_one_can_know() -> None:
    assert len(targets()) <= 14


def test_what_make_test_leaves_to_the_ci_is_what_bears_a_marker() -> None:
    """But for the clock's, which it runs after the others (tests/suite.py)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    markers = [line.partition(":")[0] for line in project["tool"]["pytest"]["ini_options"]["markers"]]
    left = re.findall(r"^CI_ONLY := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert left == [" or ".join(marker for marker in markers if marker != "clock")]
