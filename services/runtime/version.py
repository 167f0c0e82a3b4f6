"""Which build this is: `llm_build_info`, /health and every log line say it."""

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
