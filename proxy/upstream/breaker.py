"""Whether a server that failed again and again is asked at all: closed, open, half-open. Pure; times in seconds.

It opens behind five failures in a row, or where more than half of at least ten calls in ten seconds failed. After half
a minute (twice that each time, up to five) one call may try: its first content closes the breaker, its failure opens it
anew, and a caller that leaves gives its try back.
"""

from collections import deque
from enum import IntEnum
from typing import Final

FAILURES_IN_A_ROW: Final = 5
WINDOW_S: Final = 10.0
WINDOW_CALLS: Final = 10
OPEN_S: Final = 30.0
LONGEST_OPEN_S: Final = 300.0
JITTER: Final = 0.1
REMEMBERED_CALLS: Final = 256
"""Of the last ten seconds: more only repeat what these say."""


class State(IntEnum):
    """As the metric counts it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """The breaker of one server, or of one of its models.

    Args:
        open_s: how long it is open the first time.
    """

    def __init__(self, open_s: float = OPEN_S) -> None:
        self._first_open_s = open_s
        self._open_s = open_s
        self._in_a_row = 0
        self._calls: deque[tuple[float, bool]] = deque(maxlen=REMEMBERED_CALLS)  # when, and whether it failed
        self._opened_until: float | None = None  # None: closed
        self._probing = False

    def state(self, now: float) -> State:
        """Return its state; half-open from when one call may try."""
        if self._opened_until is None:
            return State.CLOSED
        return State.HALF_OPEN if now >= self._opened_until else State.OPEN

    def lets_in(self, now: float) -> bool:
        """Return whether a call may be made."""
        state = self.state(now)
        return state is State.CLOSED or (state is State.HALF_OPEN and not self._probing)

    def wait_s(self, now: float) -> float:
        """Return after how many seconds a call may try; 0 where one may now."""
        return 0.0 if self._opened_until is None else max(0.0, self._opened_until - now)

    def began(self, now: float) -> bool:
        """Note a call that is made; return whether it is the one that tries, which then says how it came out."""
        if self.state(now) is State.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return False

    def succeeded(self, now: float, *, probe: bool) -> None:
        """A call has content. One that began before the breaker opened says nothing about now."""
        if probe:
            self._probing = False
            self._opened_until, self._open_s = None, self._first_open_s
            self._calls.clear()
        self._in_a_row = 0
        self._calls.append((now, False))

    def failed(self, now: float, *, probe: bool, chance: float) -> bool:
        """A call failed as a server does that is not well; return whether that opened the breaker.

        Args:
            chance: a random number in [0, 1): those who wait must not come back together.
        """
        if probe:
            self._probing = False
            self._open_s = min(2 * self._open_s, max(LONGEST_OPEN_S, self._first_open_s))
            self._open(now, chance)
            return True
        self._in_a_row += 1
        self._calls.append((now, True))
        if self._opened_until is not None or not (self._in_a_row >= FAILURES_IN_A_ROW or self._fails_mostly(now)):
            return False
        self._open(now, chance)
        return True

    def let_go(self, *, probe: bool) -> None:
        """A call ended that says nothing about the server: its caller left, or it was refused by rule."""
        if probe:
            self._probing = False

    def try_now(self, now: float) -> None:
        """The server was seen to answer: who waits for the breaker need not."""
        if self._opened_until is not None:
            self._opened_until = min(self._opened_until, now)

    def _open(self, now: float, chance: float) -> None:
        self._opened_until = now + self._open_s * (1 + JITTER * (2 * chance - 1))
        self._in_a_row = 0
        self._calls.clear()

    def _fails_mostly(self, now: float) -> bool:
        recent = [failed for at, failed in self._calls if now - at <= WINDOW_S]
        return len(recent) >= WINDOW_CALLS and 2 * sum(recent) > len(recent)
