"""deploy/setup.sh on machines whose Python will not do: a PATH of our own making."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    for name in ("deploy/setup.sh", "Makefile", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "make", "touch", "sed", "chmod"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def fake_python(checkout: Path, name: str, *, version_will_do: bool, has_venv: bool) -> None:
    """An interpreter that answers the two questions of the script, and only shows how it would be used."""
    script = checkout / "bin" / name
    script.write_text(f"""#!/bin/sh
case "$2" in
    *version_info*) exit {int(not version_will_do)} ;;
    *ensurepip*) exit {int(not has_venv)} ;;
esac
case "$1" in
    --version) echo "Python 3.9.2" ;;
    *) echo "{name} $*"; exit 3 ;;
esac
""")
    script.chmod(0o755)


def setup(checkout: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": str(checkout / "bin"), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        ["sh", "deploy/setup.sh", "requirements.lock"],
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_no_python_at_all_is_one_line(checkout: Path) -> None:
    done = setup(checkout)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Python 3.11 or newer is needed, found no python3: install one")
    assert done.stderr.count("\n") == 1


def test_a_python_that_is_too_old_is_one_line_with_its_version(checkout: Path) -> None:
    fake_python(checkout, "python3", version_will_do=False, has_venv=True)

    done = setup(checkout)

    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed, found Python 3.9.2: install one")
    assert done.stderr.count("\n") == 1


def test_a_python_without_venv_is_one_line_that_says_so(checkout: Path) -> None:
    fake_python(checkout, "python3", version_will_do=True, has_venv=False)

    done = setup(checkout)

    assert done.returncode == 1
    assert done.stderr.startswith("python3 cannot make a virtual environment")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("old_one_has_venv", [True, False])
def test_a_newer_python_beside_one_that_will_not_do_is_taken(checkout: Path, old_one_has_venv: bool) -> None:
    fake_python(checkout, "python3", version_will_do=not old_one_has_venv, has_venv=old_one_has_venv)
    fake_python(checkout, "python3.12", version_will_do=True, has_venv=True)

    done = setup(checkout)

    assert done.stdout == "python3.12 -m venv --clear .venv\n"


def make(checkout: Path, target: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": str(checkout / "bin")}
    return subprocess.run(
        ["make", target], cwd=checkout, env=environ, capture_output=True, text=True, timeout=20, check=False
    )


def test_make_stops_with_the_line_and_leaves_no_stamp(checkout: Path) -> None:
    done = make(checkout, "setup")

    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (checkout / ".venv" / ".development").exists()


@pytest.fixture
def installed(checkout: Path) -> Path:
    """A checkout whose .venv has a Python that installs nothing and says what it was asked for."""
    fake_python(checkout, "python3", version_will_do=True, has_venv=True)
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$*"\n')
    python.chmod(0o755)
    return checkout


def locks_installed(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [line.rpartition(" ")[2] for line in done.stdout.split("\n") if line.startswith("-m pip install")]


def test_what_only_runs_the_chain_installs_no_tools(installed: Path) -> None:
    assert locks_installed(make(installed, "run")) == ["requirements.lock"]
    assert locks_installed(make(installed, "run")) == []


@pytest.mark.parametrize("target", ["setup", "test", "check"])
def test_what_develops_installs_the_tools_also_where_the_chain_ran_before(installed: Path, target: str) -> None:
    make(installed, "run")

    assert locks_installed(make(installed, target)) == ["requirements-dev.lock"]
    assert locks_installed(make(installed, target)) == []


def test_the_chain_runs_on_what_development_has_installed(installed: Path) -> None:
    make(installed, "setup")

    assert locks_installed(make(installed, "run")) == []


def test_the_command_sluice_runs_from_any_folder_and_takes_nothing_that_lies_there_for_its_own(
    installed: Path, tmp_path: Path
) -> None:
    make(installed, "run")

    command = installed / ".venv" / "bin" / "sluice"
    done = subprocess.run([command, "a b", "$c"], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout == "-P -m services.termchat a b $c\n"
    assert f"PYTHONPATH='{installed}'" in command.read_text()


def test_the_command_is_found_where_the_checkout_s_name_is_odd(tmp_path: Path) -> None:
    odd = tmp_path / "it's $HOME"
    (odd / ".venv" / "bin").mkdir(parents=True)
    python = odd / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$PYTHONPATH"\n')
    python.chmod(0o755)

    subprocess.run(["sh", ROOT / "deploy" / "setup.sh", "requirements.lock"], cwd=odd, timeout=20, check=True)

    done = subprocess.run([odd / ".venv/bin/sluice"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == f"{odd}\n"
