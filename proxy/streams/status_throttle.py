"""What a stream waits for, told to its readers at most once a second."""

import asyncio
from collections.abc import Callable
from typing import Final

from services.wire.events import Phase, Status

STATUS_PERIOD_S: Final = 1.0


class StatusThrottle:
    """Throttles status events: the newest one always gets out, the ones between need not, unless one is ``retrying``.

    That another attempt is made, and whom it asks, is told once; what the attempt then waits for can be told later.

    Args:
        tell: hands a status to who reads now.

    Attributes:
        current: what is waited for now, for who joins; None when nothing is.
    """

    def __init__(self, tell: Callable[[Status], None]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = -STATUS_PERIOD_S
        self._untold: Status | None = None  # the newest ``retrying`` that is still to be told, before what is current
        self.current: Status | None = None

    def show(self, status: Status) -> None:
        """Tell ``status`` now, or when the second since the last one is over; what is shown already is not repeated."""
        if status == self.current:
            return
        self.current = status
        if status.phase is Phase.RETRYING:
            self._untold = status
        self._tell_soon()

    def clear(self) -> None:
        """Nothing is waited for any more."""
        self.current = self._untold = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell_soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._told_at + STATUS_PERIOD_S), self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        status, self._untold = self._untold or self.current, None
        if status is not None:
            self._told_at = asyncio.get_running_loop().time()
            self._tell(status)
            if status is not self.current:
                self._tell_soon()
