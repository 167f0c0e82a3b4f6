"""The head of the report: what was measured, on what."""

import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.runtime.version import VERSION
from tests.bench.interpreters import Interpreter
from tests.bench.nginx import nginx_program


def machine() -> dict[str, str]:
    """Return what this machine is, in words."""
    return {"machine": f"{_processor()}, {platform.system()} {platform.release()}", "nginx": _nginx()}


def head(told: Interpreter, **more: str) -> dict[str, Any]:
    """Return the head of a report."""
    return {"sluice": VERSION, **machine(), **asdict(told), "mode": told.mode, **more}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().split("\n"):
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _nginx() -> str:
    program = nginx_program()
    if program is None:
        return "none"
    asked = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return asked.stderr.strip().removeprefix("nginx version: ")
