"""What this machine has of what a test needs; a test whose needs it lacks is skipped by name and reason.

``SLUICE_TEST_WITHOUT=node,chromium`` makes it act as if it had neither.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

WITHOUT: Final = "SLUICE_TEST_WITHOUT"
OTHER_NAMES: Final = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "valkey": ("valkey-server", "redis-server"),
}
PLACES: Final = {"postgres": "usr/lib/postgresql/*/bin"}
"""Where Debian puts programs that no PATH names."""
SERVICES: Final = {"engine": ("docker", "info"), "compose": ("docker", "compose", "version")}
"""What is there if a command succeeds: a container engine that runs, and its plugin."""


def lacking(*tools: str) -> str:
    """Return why a test that needs these programs, or to be ``root``, cannot run here; nothing, if it can."""
    missing = [f"{tool} (hidden by {WITHOUT})" if tool in hidden() else tool for tool in tools if not has(tool)]
    return f"this machine has no {', no '.join(missing)}" if missing else ""


def has(tool: str) -> bool:
    if tool == "root":
        return os.geteuid() == 0 and tool not in hidden()
    if tool in SERVICES:
        return tool not in hidden() and _succeeds(SERVICES[tool])
    return program(tool) is not None


@functools.cache
def _succeeds(command: tuple[str, ...]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def program(tool: str) -> str | None:
    """Return the path of a program, by any of the names it goes by; None where there is none, or is to be none."""
    more = sorted(map(str, Path("/").glob(PLACES[tool])), reverse=True) if tool in PLACES else []
    places = os.pathsep.join([os.environ.get("PATH", ""), *more])
    found = (shutil.which(name, path=places) for name in OTHER_NAMES.get(tool, (tool,)))
    return None if tool in hidden() else next(filter(None, found), None)


def hidden() -> set[str]:
    return {name.strip() for name in os.environ.get(WITHOUT, "").split(",")}


def needs(*tools: str) -> pytest.MarkDecorator:
    """Return the mark that skips where one of these is lacking."""
    return pytest.mark.skipif(bool(lacking(*tools)), reason=lacking(*tools))
