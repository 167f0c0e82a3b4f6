"""Processes of this machine, as /proc tells of them."""

import contextlib
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
