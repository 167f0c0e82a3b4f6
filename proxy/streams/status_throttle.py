"""What a stream waits for, told to its readers at most once a second."""

import asyncio
from collections.abc import Callable
from typing import Final

from services.wire.events import Status

STATUS_PERIOD_S: Final = 1.0


class StatusThrottle:
    """Throttles status events: the newest one always gets out, the ones between need not.

    Args:
        tell: hands a status to who reads now.

    Attributes:
        current: what is waited for now, for who joins; None when nothing is.
    """

    def __init__(self, tell: Callable[[Status], None]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = -STATUS_PERIOD_S
        self.current: Status | None = None

    def show(self, status: Status) -> None:
        """Tell ``status`` now, or when the second since the last one is over; what is shown already is not repeated."""
        if status == self.current:
            return
        self.current = status
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._told_at + STATUS_PERIOD_S), self._tell_now)

    def clear(self) -> None:
        """Nothing is waited for any more."""
        self.current = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell_now(self) -> None:
        self._timer = None
        if self.current is not None:
            self._told_at = asyncio.get_running_loop().time()
            self._tell(self.current)
