"""Distributions that a test needs beside ours: in an environment of their own, which goes with the test's folder."""

import subprocess
import sys
from pathlib import Path
from typing import Final

INSTALL_TIMEOUT_S: Final = 240.0


def environment(folder: Path, *what: str) -> Path:
    """Make a virtual environment in ``folder``, install ``what`` (pip's arguments), and return where its programs are.

    Raises:
        subprocess.CalledProcessError: pip could not; its ``stderr`` says why.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=INSTALL_TIMEOUT_S)
    programs = folder / "bin"
    command = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True, text=True)
    return programs
