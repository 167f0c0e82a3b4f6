"""Where the frames of a whole answer go: nowhere, since a dialect keeps its events on the way; within a time."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from services.dialects.gathering import Gathering


class GatheringSink:
    """Takes everything, up to the bound of what is kept; never asks for a pause.

    Args:
        too_long: told when more has come than that.
    """

    def __init__(self, gathering: Gathering, too_long: Callable[[], None]) -> None:
        self._gathering = gathering
        self._too_long = too_long

    @property
    def written(self) -> int:
        """Bytes of what is kept for the client."""
        return self._gathering.bytes

    def write(self, _frames: bytes, _framed: bytes = b"", _last: bool = False) -> bool:
        """Write nothing before the end."""
        if self._gathering.is_too_long:
            self._too_long()
        return True

    async def drain(self) -> None:
        """Never paused."""

    def close(self) -> None:
        """Nothing was sent."""

    def abort(self) -> None:
        """Nothing was sent."""


@contextlib.contextmanager
def late_after(accepted: float, within_s: float | None, late: Callable[[], object]) -> Iterator[None]:
    """Call ``late`` once so many seconds have passed since a request was accepted; not after this block."""
    if within_s is None:
        yield
        return
    left_s = within_s - (time.monotonic() - accepted)
    timer = asyncio.get_running_loop().call_later(left_s, late)
    try:
        yield
    finally:
        timer.cancel()
