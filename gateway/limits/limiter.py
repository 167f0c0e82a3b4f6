"""Lets a request have its place, holds it while its stream runs, and books what it used, once.

admit ─▶ Place ─▶ began ─▶ left: its stream has ended ─▶ settled: given back, booked, counted as used
                           left: its client may come back ─▶ held for as long ─▶ settled
"""

import math
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import structlog

from gateway.guard.keyring import Principal
from gateway.limits.allowance import Allowance
from gateway.limits.counts import Counts, Verdict
from gateway.limits.day import Day
from gateway.limits.place import Place
from gateway.limits.usage import DAYS, Of, Spent, Usage, told

log = structlog.get_logger()

ROWS_TOLD: Final = 1000
"""Of a day, in its line: some 150 KB. GET /api/usage has all."""


@dataclass(slots=True)
class _Held:
    """A stream whose place this gateway holds.

    ``until`` is when a stream that nobody reads here is given up, None while somebody does. Only the gateway at which
    it ``began`` counts it as used.
    """

    place: Place
    model: str
    began: bool
    readers: int = 0
    until: float | None = None
    spent: Spent = field(default_factory=Spent)


class Limiter:
    """The limits of all principals, as one gateway holds them.

    Args:
        zone: whose days are counted.
        named: returns what people call a model.
        used: told the key's id and the tokens of each answer that is booked.
    """

    def __init__(
        self,
        zone: tzinfo,
        *,
        named: Callable[[str], str] = str,
        used: Callable[[str, Spent], None] = lambda _key_id, _spent: None,
    ) -> None:
        self._zone = zone
        self._named = named
        self._used = used
        self._counts = Counts()
        self._held: dict[tuple[str, str], _Held] = {}
        self._told_day = self._today().name  # the day that runs, until its line is written
        self.usage = Usage()

    async def admit(self, principal: Principal, tokens: int) -> Place:
        """Count a request for an answer of at most ``tokens``, and let it have a place, if its verdict says so."""
        place = self._place(principal, Verdict(tokens=tokens))
        if not principal.owner:
            return place
        place.lease = secrets.token_hex(8)
        place.verdict = self._counts.admit(
            place.owner, Allowance.of(principal.key), place.lease, tokens, day=place.day, now=place.since
        )
        if place.verdict.passed_limit is not None:
            place.lease = ""
        return place

    async def count(self, principal: Principal) -> Place:
        """Count a request that makes nothing."""
        place = self._place(principal, Verdict())
        if principal.owner:
            place.verdict = self._counts.count(place.owner, Allowance.of(principal.key), place.since)
        return place

    def began(self, place: Place, stream_id: str, model: str, *, joined: bool) -> None:
        """The stream of ``place`` is there; one that it ``joined`` has its place, and its tokens, already."""
        if not place.lease:
            return
        tokens = self._counts.release(place.owner, place.lease)
        place.stream_id = place.lease = stream_id
        self._counts.hold(place.owner, stream_id, 0 if joined else tokens)
        self._read(place, model, began=not joined)

    def follows(self, principal: Principal, stream_id: str, model: str) -> Place:
        """Let a running stream have its place, whoever held it before."""
        place = self._place(principal, Verdict())
        if principal.owner:
            place.stream_id = place.lease = stream_id
            self._counts.hold(place.owner, stream_id)
            self._read(place, model, began=False)
        return place

    def left(self, place: Place, spent: Spent, *, again_within_s: float | None) -> None:
        """A connection of ``place`` is over.

        Args:
            spent: as far as it saw.
            again_within_s: how long its stream may go on for who comes back; None for one that has ended.
        """
        if not place.lease:
            return
        held = self._held.get((place.owner, place.stream_id))
        if held is None:
            if not place.stream_id:  # it never came to a stream
                self._counts.release(place.owner, place.lease)
            return
        held.readers -= 1
        held.spent = max(held.spent, spent, key=lambda one: one.tokens)
        if again_within_s is None or (held.readers == 0 and again_within_s == 0):
            self._settle(held)
        elif held.readers == 0:
            held.until = time.monotonic() + again_within_s

    def book(self, place: Place, spent: Spent, model: str) -> None:
        """Give the place of a request without a stream back, and book what it used."""
        if place.lease:
            place.stream_id = place.lease
            self._settle(_Held(place, model, began=True, spent=spent))

    def stopped(self, principal: Principal, stream_id: str) -> None:
        """A stream was stopped by name: nobody comes back to it."""
        held = self._held.get((principal.owner, stream_id))
        if held is not None and held.readers == 0:
            self._settle(held)

    def sweep(self) -> None:
        """Settle the streams to which nobody came back, tell of a day that is over, forget what is old; each second."""
        now, today = time.monotonic(), self._today().name
        if today != self._told_day:
            self.tell_usage()
            self._told_day = today
        for held in [one for one in self._held.values() if one.until is not None and one.until <= now]:
            self._settle(held)
        self._counts.forget_idle(now)
        self.usage.forget_before((datetime.now(self._zone).date() - timedelta(days=DAYS - 1)).isoformat())

    def tell_usage(self) -> None:
        """Write the line of what a day saw used: at its end, and at the process's, since only memory has it."""
        rows = told(self.usage.of_day(self._told_day), None)
        if rows:
            log.info("usage.day", day=self._told_day, rows=len(rows), usage=rows[:ROWS_TOLD])

    async def page(self, principal: Principal, keys: Collection[str], *, of_all: bool) -> dict[str, object]:
        """Return the answer of ``GET /api/usage``.

        Args:
            keys: the ids of the principal's own keys.
            of_all: whether the rows of everybody are told.
        """
        day = self._today()
        rows = self.usage.rows
        return {
            "day": day.name,
            "time_zone": str(self._zone),
            "resets_in_s": math.ceil(day.left_s),
            "tokens_used": self._counts.spent(principal.owner, day),
            "tokens_per_day": principal.key.tokens_per_day,
            "tokens_left": self._counts.left(principal.owner, Allowance.of(principal.key), day),
            "streams": self._counts.running(principal.owner),
            "requests": sum(used.requests for of, used in rows.items() if of.day == day.name and of.key in keys),
            "usage": told(rows, None if of_all else keys),
        }

    # --- inside

    def _place(self, principal: Principal, verdict: Verdict) -> Place:
        return Place(principal.owner, principal.key.id, verdict, self._today())

    def _today(self) -> Day:
        return Day.at(datetime.now(UTC), self._zone)

    def _read(self, place: Place, model: str, *, began: bool) -> None:
        held = self._held.setdefault((place.owner, place.stream_id), _Held(replace(place), model, began))
        held.readers += 1
        held.until = None

    def _settle(self, held: _Held) -> None:
        place, day = held.place, self._today()
        self._held.pop((place.owner, place.stream_id), None)
        self._counts.release(place.owner, place.lease)
        if held.began:
            self._counts.book(place.owner, held.spent.tokens, day)
            self.usage.add(
                Of(day.name, place.key_id, self._named(held.model)), held.spent, time.monotonic() - place.since
            )
            self._used(place.key_id, held.spent)
