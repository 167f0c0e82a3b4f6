"""Permits for each model, and the waiting line in front of them: first come, first served."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from services.wire.model_names import canonical

RETRY_AFTER_S: Final = (1, 30)


class LineFull(Exception):
    """Nobody more may wait; ``retry_after_s`` is a fair guess at when somebody may."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class Place:
    """One stream's permit, or its place in line.

    ``granted`` resolves when it has the permit; ``moved`` is told its new position in line, from 1.
    """

    def __init__(self, line: "_Line") -> None:
        self._line = line
        self.moved: Callable[[int], None] = lambda _position: None
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def position(self) -> int | None:
        """Its position in line, from 1; None once it has its permit."""
        return None if self.granted.done() else self._line.waiting.index(self) + 1

    def leave(self) -> None:
        """Give the permit back, or the place in line up; harmless when repeated."""
        self._line.leave(self)


class _Line:
    """The permits of one model and who waits for them. State changes are whole before anybody is told."""

    def __init__(self, permits: int) -> None:
        self._permits = permits
        self._holders: set[Place] = set()
        self.waiting: deque[Place] = deque()

    @property
    def empty(self) -> bool:
        return not self._holders and not self.waiting

    @property
    def held(self) -> int:
        return len(self._holders)

    def enter(self, place: Place) -> None:
        if len(self._holders) < self._permits:
            self._grant(place)
        else:
            self.waiting.append(place)

    def leave(self, place: Place) -> None:
        if place in self._holders:
            self._holders.remove(place)
        elif place in self.waiting:
            self.waiting.remove(place)
        else:
            return
        while self.waiting and len(self._holders) < self._permits:
            self._grant(self.waiting.popleft())
        for position, waiting in enumerate(self.waiting, 1):
            waiting.moved(position)

    def _grant(self, place: Place) -> None:
        self._holders.add(place)
        if not place.granted.done():
            place.granted.set_result(None)


class Admission:
    """The lines of all models of one server, each by its canonical name: two spellings wait in one line.

    Args:
        permits: answers at once per model.
        queue_length: how many may wait for one model.
    """

    def __init__(self, *, permits: int, queue_length: int) -> None:
        self._permits = permits
        self._queue_length = queue_length
        self._lines: dict[str, _Line] = {}
        self._mean_stream_s = 1.0

    def enter(self, model: str, *, chance: float) -> Place:
        """Take a permit or a place in line.

        Args:
            chance: a random number in [0, 1): those who are refused together must not come back together.

        Raises:
            LineFull: there is neither.
        """
        name = canonical(model)
        line = self._lines.get(name) or _Line(self._permits)
        if line.held >= self._permits and len(line.waiting) >= self._queue_length:
            raise LineFull(self._retry_after_s(len(line.waiting), chance))
        self._lines[name] = line
        place = Place(line)
        line.enter(place)
        return place

    def left(self, model: str, stream_s: float) -> None:
        """Note how long a stream took, and forget the line of a model that nobody asks for."""
        self._mean_stream_s += (stream_s - self._mean_stream_s) / 8
        name = canonical(model)
        line = self._lines.get(name)
        if line is not None and line.empty:
            del self._lines[name]

    @property
    def waiting(self) -> int:
        """How many wait, over all models."""
        return sum(len(line.waiting) for line in tuple(self._lines.values()))

    @property
    def held(self) -> int:
        """How many permits are taken, over all models."""
        return sum(line.held for line in tuple(self._lines.values()))

    def _retry_after_s(self, waiting: int, chance: float) -> int:
        shortest, longest = RETRY_AFTER_S
        seconds = max(shortest, min(longest, waiting * self._mean_stream_s / self._permits))
        return max(1, round(seconds * (0.8 + 0.4 * chance)))
