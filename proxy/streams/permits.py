"""Permits for each model, and the waiting line in front of them: fair by owner."""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from typing import Final

from proxy.streams.fair_line import FairLine
from services.wire.model_names import canonical

RETRY_AFTER_S: Final = (1, 30)
FORETELLING_ANSWERS: Final = 8
"""Fewer last answers of a model foretell no wait."""
REMEMBERED_ANSWERS: Final = 32
"""A model's last answers that are averaged: a minute or some, so that yesterday's do not count."""
REMEMBERED_MODELS: Final = 64
"""More than one machine serves; the answers of the one that was asked longest ago are forgotten first."""
DOUBT: Final = 1.5
"""A wait is foretold as too long where it is expected to be so many times the limit: answers differ in length."""


class NotAdmitted(Exception):
    """Refused at the door; ``retry_after_s`` says when asking again may help."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class LineFull(NotAdmitted):
    """As many wait as may; ``retry_after_s`` is a fair guess at when there is a place."""


class WaitTooLong(NotAdmitted):
    """Whoever entered now would wait in vain; from ``retry_after_s`` on, who enters is served in time."""


def expected_wait_s(position: int, permits: int, answers_s: Collection[float]) -> float | None:
    """Return how long the wait at ``position`` of a line will be, in seconds; None where too little is known.

    Args:
        position: from 1: so many permits must become free.
        answers_s: how long the model's last answers held their permits.
    """
    if len(answers_s) < FORETELLING_ANSWERS:
        return None
    return position * sum(answers_s) / len(answers_s) / permits


def too_long_by_s(expected_s: float | None, limit_s: float) -> float | None:
    """Return after how many seconds a wait of ``expected_s`` will have become one within ``limit_s``.

    None where nobody is to be turned away: nothing is expected, or it is too near to the limit to be sure.
    """
    if expected_s is None or expected_s <= DOUBT * limit_s:
        return None
    return expected_s - limit_s


class Place:
    """One stream's permit, or its place in line.

    ``granted`` resolves when it has the permit, and raises LineFull where its place in a full line was lost to somebody
    who had fewer. ``moved`` is told its new position in line, from 1: back, too, when others come whose turn is before.
    """

    def __init__(self, line: "_Line", owner: str) -> None:
        self._line = line
        self.owner = owner
        self.position: int | None = None  # in line, from 1; None for who is not in it
        self.moved: Callable[[int], None] = lambda _position: None
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def leave(self) -> None:
        """Give the permit back, or the place in line up; harmless when repeated."""
        self._line.leave(self)

    def displace(self, retry_after_s: int) -> None:
        """Give its place up, and let who waits for the permit hear that it is lost."""
        self.leave()
        if not self.granted.done():  # else whoever waited has left
            self.granted.set_exception(LineFull(retry_after_s))
            self.granted.exception()  # who is about to leave does not ask


class _Line:
    """The permits of one model and who waits for them. State changes are whole before anybody is told."""

    def __init__(self, permits: int) -> None:
        self.permits = permits
        self._holders: set[Place] = set()
        self.waiting: FairLine[Place] = FairLine()

    @property
    def empty(self) -> bool:
        return not self._holders and not self.waiting

    @property
    def held(self) -> int:
        return len(self._holders)

    def enter(self, place: Place, *, begun: bool = False) -> None:
        if len(self._holders) < self.permits:
            if not begun:
                self.waiting.served(place.owner)
            self._grant(place)
            return
        if begun:
            self.waiting.enter_first(place)
        else:
            self.waiting.enter(place.owner, place)
        self._tell_positions()

    def leave(self, place: Place) -> None:
        if place in self._holders:
            self._holders.remove(place)
        elif self.waiting.leave(place.owner, place):
            place.position = None
        else:
            return
        self._go_on()

    def resize(self, permits: int) -> None:
        """Have so many permits from now on; who holds one that is too many keeps it."""
        if permits != self.permits:
            self.permits = permits
            self._go_on()

    def _go_on(self) -> None:
        while self.waiting and len(self._holders) < self.permits:
            self._grant(self.waiting.next())
        self._tell_positions()

    def _grant(self, place: Place) -> None:
        self._holders.add(place)
        place.position = None
        if not place.granted.done():
            place.granted.set_result(None)

    def _tell_positions(self) -> None:
        moved = [(place, now) for now, place in enumerate(self.waiting, 1) if place.position != now]
        for place, position in moved:
            place.position = position
        for place, position in moved:
            place.moved(position)


class Admission:
    """The lines of all models of one server, each by its canonical name: two spellings wait in one line.

    Args:
        permits: answers at once per model; where that changes, what it is for a model now.
        queue_length: how many may wait for one model.
        queue_timeout_s: how long each may wait; who could not be served by then is not let in.
    """

    def __init__(self, *, permits: int | Callable[[str], int], queue_length: int, queue_timeout_s: float) -> None:
        self._permits = permits
        self._queue_length = queue_length
        self._queue_timeout_s = queue_timeout_s
        self._lines: dict[str, _Line] = {}
        self._answers_s: OrderedDict[str, deque[float]] = OrderedDict()  # the model asked longest ago first

    def enter(self, model: str, owner: str, *, chance: float) -> Place:
        """Take a permit or a place in line.

        Of a full line it is the last place of whoever waits with most, if ``owner`` has fewer: nobody fills it alone.

        Args:
            owner: who takes turns with the others.
            chance: a random number in [0, 1): those who are refused together must not come back together.

        Raises:
            LineFull: there is neither.
            WaitTooLong: by the model's last answers the place would not be served in time.
        """
        name = canonical(model)
        permits = self._permits_of(name)
        line = self._lines.get(name) or _Line(permits)
        line.resize(permits)
        greediest = None
        if line.held >= permits:
            if len(line.waiting) >= self._queue_length and (greediest := line.waiting.greediest_but(owner)) is None:
                raise LineFull(self._full_for_s(name, permits, chance))
            self._refuse_in_vain(name, permits, line.waiting.position_of_new(owner), chance)
        self._lines[name] = line
        place = Place(line, owner)
        line.enter(place)
        if greediest is not None:
            greediest.displace(self._full_for_s(name, permits, chance))
        return place

    def refresh(self) -> None:
        """Give those who wait what permits there are more by now."""
        for name, line in self._lines.items():
            line.resize(self._permits_of(name))

    def enter_again(self, model: str, owner: str) -> Place:
        """Take a permit, or a place in line before all whose answer has not begun, for a further turn of an answer.

        A full line does not refuse it: it was let in once.
        """
        name = canonical(model)
        permits = self._permits_of(name)
        line = self._lines.setdefault(name, _Line(permits))
        line.resize(permits)
        place = Place(line, owner)
        line.enter(place, begun=True)
        return place

    def left(self, model: str, answer_s: float | None) -> None:
        """Note how long a turn held its permit, and forget the line of a model that nobody asks for.

        Args:
            answer_s: in seconds; None where the model said nothing: a refusal is no measure of an answer.
        """
        name = canonical(model)
        if answer_s is not None:
            self._answers_s.setdefault(name, deque(maxlen=REMEMBERED_ANSWERS)).append(answer_s)
            self._answers_s.move_to_end(name)
            if len(self._answers_s) > REMEMBERED_MODELS:
                self._answers_s.popitem(last=False)
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
        return sum(self.held_by_model.values())

    @property
    def held_by_model(self) -> dict[str, int]:
        """How many permits are taken, by canonical name; who has none may be missing. Safe to read in any thread."""
        return {name: line.held for name, line in self._lines.copy().items()}

    @property
    def asked_by_model(self) -> dict[str, int]:
        """How many hold a permit or wait for one, by canonical name."""
        return {name: line.held + len(line.waiting) for name, line in self._lines.items() if not line.empty}

    def _permits_of(self, model: str) -> int:
        return self._permits if isinstance(self._permits, int) else self._permits(model)

    def _full_for_s(self, model: str, permits: int, chance: float) -> int:
        answers_s = self._answers_s.get(model, ())
        mean_s = sum(answers_s) / len(answers_s) if answers_s else 1.0
        shortest, longest = RETRY_AFTER_S
        seconds = max(shortest, min(longest, self._queue_length * mean_s / permits))
        return max(1, round(seconds * (0.8 + 0.4 * chance)))

    def _refuse_in_vain(self, model: str, permits: int, position: int, chance: float) -> None:
        expected_s = expected_wait_s(position, permits, self._answers_s.get(model, ()))
        in_vain_for_s = too_long_by_s(expected_s, self._queue_timeout_s)
        if in_vain_for_s is not None:  # never sooner than said: who comes back must not be refused again
            raise WaitTooLong(math.ceil(in_vain_for_s * (1.0 + 0.2 * chance)))
