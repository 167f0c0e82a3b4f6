"""How often an address brought a wrong key: who tries them one after the other is slowed down. Pure."""

from collections import OrderedDict, deque
from typing import Final

ALLOWED: Final = 20
WINDOW_S: Final = 60.0
ADDRESSES_MAX: Final = 10_000
"""Remembered; of more the longest quiet is forgotten. A million guesses a minute find no key of 256 bits, either."""


class WrongKeys:
    """The moments of the last wrong keys, by address."""

    def __init__(self) -> None:
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Count one more wrong key; return 0, or how long to wait from the 21st within a minute on."""
        tried = self._tried.setdefault(address, deque(maxlen=ALLOWED))
        self._tried.move_to_end(address)
        if len(self._tried) > ADDRESSES_MAX:
            self._tried.popitem(last=False)
        if len(tried) == ALLOWED and now - tried[0] < WINDOW_S:
            return WINDOW_S - (now - tried[0])
        tried.append(now)
        return 0.0
