"""How many requests may be repeated at one server: a tenth of those of the last ten seconds, and three. Pure.

Each repeat is harmless; all together they are a storm, which keeps a server down that fails from being asked too much.
Steps to the next server are none of them: they go elsewhere.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

SHARE: Final = 0.1
FEWEST: Final = 3
"""So many are always allowed: where little is asked a tenth of it is nothing."""
WINDOW_S: Final = 10


@dataclass(slots=True)
class _Second:
    at: int
    asked: int = 0
    repeated: int = 0


class RetryBudget:
    """Of one server; times in seconds."""

    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque(maxlen=WINDOW_S)

    def asked(self, now: float) -> None:
        """A request is sent there that was not sent there before."""
        self._second(now).asked += 1

    def repeated(self, now: float) -> None:
        """A request is sent there again."""
        self._second(now).repeated += 1

    def allows(self, now: float) -> bool:
        """Return whether one more may be repeated."""
        oldest = int(now) - WINDOW_S
        recent = [second for second in self._seconds if second.at > oldest]
        most = max(FEWEST, SHARE * sum(second.asked for second in recent))
        return sum(second.repeated for second in recent) < most

    def _second(self, now: float) -> _Second:
        if not self._seconds or self._seconds[-1].at != int(now):
            self._seconds.append(_Second(int(now)))
        return self._seconds[-1]
