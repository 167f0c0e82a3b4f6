"""How little `sluice` imports before a person can type: what it takes to start is what it imports."""

import subprocess
import sys

import pytest

from tests.chain import ROOT

# tenths of a second each, and of no use to a person at a prompt
HEAVY = {"aiohttp", "pydantic", "structlog", "rich", "prometheus_client", "http.server"}


@pytest.mark.parametrize(
    ("imports", "also_absent"),
    [("services.termchat.app", {"prompt_toolkit"}), ("services.termchat.app, services.termchat.chat", set())],
)
def test_what_is_heavy_is_not_imported_before_it_is_needed(imports: str, also_absent: set[str]) -> None:
    code = f"import sys, {imports}; print(*{{name.partition('.')[0] for name in sys.modules}})"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )

    assert {*done.stdout.split()} & (HEAVY | also_absent) == set()
