"""What Ctrl-C does: once stops the answer by its name, twice leaves. Pure.

Closing the connection would not stop it: the terminal asks for `continue`, so that it can resume after a break.
Times are in seconds by a clock that only grows.
"""

from enum import Enum
from typing import Final

NAME_S: Final = 2.0
"""How long an answer's id is waited for: headers leave a second after it was accepted, at the latest."""
LAST_WORD_S: Final = 3.0
"""How long the answer's own last word is waited for once its stop was asked for."""
TWICE_S: Final = 1.0
"""Within so long a second one leaves."""


class Step(Enum):
    """What is to be done about an answer that was to stop."""

    WAIT = "wait"
    CANCEL = "cancel"
    GIVE_UP = "give up"


class Interrupts:
    """The Ctrl-C of one session.

    Attributes:
        leaving: whether the program is to end.
    """

    def __init__(self) -> None:
        self.leaving = False
        self._last_at = float("-inf")

    def press(self, now: float) -> bool:
        """Take in one; return whether it is the second of two, which leaves."""
        self.leaving = self.leaving or now - self._last_at <= TWICE_S
        self._last_at = now
        return self.leaving


class Stopping:
    """The stop of one answer: asked for, told to the gateway, over."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told_at: float | None = None

    def ask(self, now: float) -> None:
        """Note that it is to stop."""
        self._since = now if self._since is None else self._since

    @property
    def is_asked(self) -> bool:
        """Whether it is to stop."""
        return self._since is not None

    def next(self, now: float, *, has_name: bool) -> Step:
        """Return what is to be done; CANCEL once."""
        if self._since is None:
            return Step.WAIT
        if self._told_at is None and has_name:
            self._told_at = now
            return Step.CANCEL
        return Step.WAIT if now < self._due_at(self._since) else Step.GIVE_UP

    @property
    def due_at(self) -> float | None:
        """When :meth:`next` may have another answer, if nothing comes before."""
        return None if self._since is None else self._due_at(self._since)

    def _due_at(self, since: float) -> float:
        return since + NAME_S if self._told_at is None else self._told_at + LAST_WORD_S
