"""What tests take from npm: installed once for each lock file, beside the virtual environment."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.chain import ROOT
from tests.machine import lacking

INSTALL_TIMEOUT_S: Final = 50.0


def installed(lock_folder: Path) -> Path:
    """Return the folder that holds ``node_modules`` as the lock file says; skip where npm cannot be had."""
    if reason := lacking("node", "npm"):
        pytest.skip(reason)
    lock = (lock_folder / "package-lock.json").read_bytes()
    folder = ROOT / ".venv" / "javascript" / hashlib.sha256(lock).hexdigest()[:12]
    if not (folder / "node_modules" / ".package-lock.json").is_file():  # npm writes it last
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(lock_folder / name, folder)
        installing = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            installing, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode:
            pytest.skip(f"npm ci did not work here: {done.stderr.strip().rpartition(chr(10))[2]}")
    return folder
