"""One stream's way along its route: whom it asks, in whose line it stands, and what came of each.

It stands in one line at a time: going on gives the place up, and the permit with it. What is decided is retry.py's and
ending.py's to say; nothing here waits.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from proxy.providers.adapter import AttemptFailed
from proxy.streams.permits import LineFull, NotAdmitted, Place
from proxy.streams.registry import refused_at_the_line
from proxy.upstream.ending import Ending, ending_of
from proxy.upstream.fallback import code_of
from proxy.upstream.pool import UNDESCRIBED, Standing
from proxy.upstream.retry import LINE_FULL, QUEUE_WAIT, Attempt, Past, next_attempt, repeats
from proxy.upstream.server import ModelServer, Pool, Route
from services.wire.events import ApiError, Code, Failed

QUEUE_TIMEOUT: Final = Failed(
    Code.QUEUE_TIMEOUT, "The model is busy and the wait in line was too long. Ask again later."
)
_WAITED: Final = AttemptFailed(QUEUE_TIMEOUT, QUEUE_WAIT, again=False)
_NOTHING_KNOWN: Final[Mapping[ModelServer, Standing]] = {}

Step = Attempt[ModelServer] | Ending


class WalkMetrics(Protocol):
    """Who counts the steps from server to server."""

    def went_on(self, from_server: str, to_server: str, code: str) -> None:
        """A stream asks another server than the one whose turn it was."""

    def show_circuit(self, server: str, model: str, state: Callable[[], int]) -> None:
        """Let the scrape see the breaker in front of a model, by the name that was asked for."""


class Walk:
    """The way of one stream.

    Args:
        model: as it was asked for.
        owner: as whom it takes turns in a line.
        chance: gives random numbers in [0, 1).

    Attributes:
        step: the attempt that is to be made now, or how it ends.
        place: the permit, or the place in line; None where it has neither.
        moved: told each new position in line, from 1.
    """

    def __init__(
        self,
        route: Route,
        model: str,
        owner: str,
        metrics: WalkMetrics,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._route = route
        self._model = model
        self._owner = owner
        self._metrics = metrics
        self._chance = chance
        self._history: list[Past[ModelServer]] = []
        self._told: list[ModelServer] = []  # whose passing on is counted
        self._pool: Pool | None = None
        self._moved: Callable[[int], None] = lambda _position: None
        self.place: Place | None = None
        self.step: Step = self._next()

    @property
    def moved(self) -> Callable[[int], None]:
        """Who is told."""
        return self._moved

    @moved.setter
    def moved(self, moved: Callable[[int], None]) -> None:
        self._moved = moved
        if self.place is not None:
            self.place.moved = moved

    @property
    def position(self) -> int | None:
        """Its position in line, from 1; None where it waits in none."""
        return None if self.place is None else self.place.position

    async def permitted(self) -> bool:
        """Return whether its permit has come; else it has gone on: the wait was too long, or its place was lost."""
        assert self.place is not None
        assert self._pool is not None
        try:
            if not self.place.granted.done():
                async with asyncio.timeout(self._pool.wait_s):
                    await self.place.granted
            self.place.granted.result()
        except TimeoutError:
            self._pass_on(_WAITED)
            return False
        except NotAdmitted as displaced:
            self._pass_on(_not_let_in(displaced))
            return False
        self._choose_again()
        return True

    @property
    def has_several(self) -> bool:
        """Whether its route has more than one server."""
        return self._route.has_several

    @property
    def has_others(self) -> bool:
        """Whether there is a server that was not tried yet, beside the one that is asked."""
        tried = {past.attempt.server for past in self._history}
        if isinstance(self.step, Attempt):
            tried.add(self.step.server)
        return any(server not in tried for server in self._route)

    @property
    def last(self) -> Past[ModelServer] | None:
        """What was tried last."""
        return self._history[-1] if self._history else None

    def _choose_again(self) -> None:
        """It has its permit: while it waited another member of its pool may have become the better one."""
        step = self.step
        if self._pool is None or len(self._pool.members) == 1 or not isinstance(step, Attempt):
            return
        again = next_attempt(self._route.order, self._history, self._standings(), chance=self._chance())
        if again is not None and again.server in self._pool.members:
            self.step = again

    def _pass_on(self, failed: AttemptFailed) -> None:
        """Its line was in vain: go on."""
        assert isinstance(self.step, Attempt)
        self._history.append(Past(self.step, failed))
        self.leave(None)
        self.step = self._next()

    def failed(self, failed: AttemptFailed, *, took_s: float = 0.0, content: bool = False) -> None:
        """The attempt failed: go on."""
        assert isinstance(self.step, Attempt)
        self._history.append(Past(self.step, failed, took_s, content))
        self.step = self._next()

    def end_turn(self, turn_s: float | None) -> None:
        """A turn is over and another will follow, behind content: only the server that gave it may be asked.

        Its permit is given back: a tool, or who has to approve a call, may take long.

        Args:
            turn_s: how long the turn held it; None where the model said nothing.
        """
        assert isinstance(self.step, Attempt)
        assert self._pool is not None
        server, self._history = self.step.server, []
        self._route = Route((self._pool.with_members((server,)),))
        self.step = Attempt(server)
        self.leave(turn_s)

    def begin_turn(self) -> None:
        """Another turn begins: it has its permit, or a place in line before all whose answer has not begun."""
        self._pool = self._route.pools[0]
        self.place = self._pool.enter_again(self._model, self._owner)
        self.place.moved = self._moved

    def leave(self, answer_s: float | None) -> None:
        """Give the permit back, or the place in line; harmless when repeated.

        Args:
            answer_s: how long the turn held its permit; None where the model said nothing.
        """
        if self.place is not None and self._pool is not None:
            self.place.leave()
            self._pool.left(self._model, answer_s)
        self.place = self._pool = None

    def _next(self) -> Step:
        """Choose the next attempt, and stand in its line: one that lets nobody in is passed by."""
        while True:
            standings = self._standings()
            attempt = next_attempt(self._route.order, self._history, standings, chance=self._chance())
            if attempt is None:
                self.leave(None)
                return ending_of(self._route.order, self._history, standings, lambda server: server.name)
            try:
                if self._pool is None or attempt.server not in self._pool.members:
                    self._enter(self._route.pool_of(attempt.server))
            except NotAdmitted as full:
                self._history.append(Past(attempt, _not_let_in(full)))
                continue
            if self._route.has_several:
                self._count(attempt)
                self._tell(attempt.server, standings)
            return attempt

    def _enter(self, pool: Pool) -> None:
        self.leave(None)
        self.place, self._pool = pool.enter(self._model, self._owner, chance=self._chance()), pool
        self.place.moved = self._moved

    def _standings(self) -> Mapping[ModelServer, Standing]:
        if not self._route.has_several:
            return _NOTHING_KNOWN
        now = time.monotonic()
        return {server: server.standing(self._model, now) for server in self._route}

    def _count(self, attempt: Attempt[ModelServer]) -> None:
        """Let the server's budget know what it is asked, and what again: now, before others decide likewise."""
        now, budget = time.monotonic(), attempt.server.condition.repeats
        if repeats(self.last, attempt):
            budget.repeated(now)
        elif self.last is None or self.last.attempt.server is not attempt.server:
            budget.asked(now)

    def _tell(self, server: ModelServer, standings: Mapping[ModelServer, Standing]) -> None:
        """Count who is passed on from, each once."""
        self._metrics.show_circuit(server.name, self._model, partial(server.circuit, self._model))
        passed: dict[ModelServer, str] = {}
        for one in self._route:
            if one is server:
                break
            standing = standings.get(one, UNDESCRIBED)
            if code := standing.passed_by or standing.asked_last:
                passed[one] = code
            if standing.asked_last == "cold":
                one.passed_cold(self._model)
        passed |= {past.attempt.server: code_of(past.failed.why) for past in self._history}
        for one, code in passed.items():
            if one is not server and one not in self._told:
                self._told.append(one)
                self._metrics.went_on(one.name, server.name, code)


def _not_let_in(full: NotAdmitted) -> AttemptFailed:
    why = LINE_FULL if isinstance(full, LineFull) else QUEUE_WAIT
    return AttemptFailed(refused_at_the_line(full).failed, why, again=False, wait_s=full.retry_after_s)


def let_in(walk: Walk) -> Walk:
    """Return ``walk`` if it stands somewhere.

    Raises:
        ApiError: nobody is left to ask already.
    """
    if isinstance(ending := walk.step, Ending):
        raise ApiError(ending.failed, retry_after_s=None if ending.wait_s is None else math.ceil(ending.wait_s))
    return walk
