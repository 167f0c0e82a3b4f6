"""What this machine has of what a test needs; a test whose needs it lacks is skipped by name and reason.

``SLUICE_TEST_WITHOUT=node,chromium`` makes it act as if it had neither.
"""

import os
import shutil
from typing import Final

import pytest

WITHOUT: Final = "SLUICE_TEST_WITHOUT"


def lacking(*tools: str) -> str:
    """Return why a test that needs these programs, or to be ``root``, cannot run here; nothing, if it can."""
    hidden = {name.strip() for name in os.environ.get(WITHOUT, "").split(",")}
    said = {tool: f"{tool} (hidden by {WITHOUT})" if tool in hidden else tool for tool in tools}
    missing = [said[tool] for tool in tools if tool in hidden or not has(tool)]
    return f"this machine has no {', no '.join(missing)}" if missing else ""


def has(tool: str) -> bool:
    return os.geteuid() == 0 if tool == "root" else shutil.which(tool) is not None


def needs(*tools: str) -> pytest.MarkDecorator:
    """Return the mark that skips where one of these is lacking."""
    return pytest.mark.skipif(bool(lacking(*tools)), reason=lacking(*tools))
