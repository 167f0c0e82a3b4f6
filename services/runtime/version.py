"""Which build this is: `--version`, `llm_build_info`, /health and every log line say it."""

from pathlib import Path
from typing import Final

VERSION: Final = "0.1.0"  # the one place: pyproject.toml takes it from here


def revision(root: Path = Path(__file__).parents[2]) -> str:
    """Return the commit that an image was built from (its build writes ``REVISION``), or "source" for a checkout."""
    try:
        return (root / "REVISION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return "source"


REVISION: Final = revision()


def build_of(name: str) -> str:
    """Return what a process called ``name`` answers to `--version`."""
    return f"{name} {VERSION} ({REVISION})"
