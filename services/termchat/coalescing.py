"""When words that came are shown: soon enough to seem at once, seldom enough that drawing is no work. Pure.

Time is in seconds, by any clock that only grows.
"""

from typing import Final

QUIET_S: Final = 0.05
"""Words are shown so long after the last showing: twenty times a second, which no eye tells from at once."""
ENOUGH_CHARACTERS: Final = 10
"""So many are shown without waiting for that."""
LATEST_S: Final = 0.1
"""None waits longer, whatever was shown meanwhile."""


class WriteCoalescer:
    """A buffer between the words that come and the screen; it holds ten characters at most, for a tenth of a second."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._characters = 0
        self._oldest_at = 0.0
        self._shown_at = float("-inf")

    def add(self, text: str, now: float) -> str:
        """Take in ``text``; return what is to be shown now, which is nothing or all that is held."""
        if not text:
            return ""
        if not self._held:
            self._oldest_at = now
        self._held.append(text)
        self._characters += len(text)
        return self.take(now) if self._is_due(now) else ""

    @property
    def due_at(self) -> float | None:
        """When :meth:`take` is to be called, if nothing comes before; None while nothing is held."""
        return min(self._shown_at + QUIET_S, self._oldest_at + LATEST_S) if self._held else None

    def take(self, now: float) -> str:
        """Return all that is held."""
        text = "".join(self._held)
        self._held.clear()
        self._characters = 0
        self._shown_at = now
        return text

    def _is_due(self, now: float) -> bool:
        due = self.due_at
        return self._characters >= ENOUGH_CHARACTERS or (due is not None and now >= due)
