"""Lets a request have its place, holds it while its stream runs, and books what it used, once.

admit ─▶ Place ─▶ began ─▶ left: its stream has ended ─▶ settled: given back, booked, counted as used
                           left: it may go on ─▶ held as long as its proxy says that it does ─▶ settled
"""

import math
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

import structlog

from gateway.guard.keyring import Principal
from gateway.limits.allowance import Allowance, Standing
from gateway.limits.counts import Counts, Verdict
from gateway.limits.day import Day
from gateway.limits.place import Place
from gateway.limits.sharing import LEASE_S, Booking, Lease, Release, SharedCounts, Sharing
from gateway.limits.usage import DAYS, Of, Spent, Usage, Used, told

log = structlog.get_logger()

ROWS_TOLD: Final = 1000
"""Of a day, in its line: some 150 KB. GET /api/usage has all."""
UNHEARD_S: Final = 15.0
"""So long a stream that nobody reads keeps its place without its proxy's word that it runs: some looks may be lost."""


class Unread(NamedTuple):
    """A stream whose place is held here, and that nobody reads here."""

    principal: Principal
    stream_id: str


@dataclass(slots=True)
class _Held:
    """A stream whose place this gateway holds.

    ``until`` is when a stream that nobody reads here is given up, None while somebody does; later each time that its
    proxy says that it runs. Only the gateway at which it ``began`` counts it as used.
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
        shared: the counts that all gateways share, or None for one gateway, whose own count.
        name: this gateway's, among those that share.
        alone: told whether the shared counts cannot be had.
    """

    def __init__(
        self,
        zone: tzinfo,
        *,
        named: Callable[[str], str] = str,
        used: Callable[[str, Spent], None] = lambda _key_id, _spent: None,
        shared: SharedCounts | None = None,
        name: str = "",
        alone: Callable[[bool], None] = lambda _is_alone: None,
    ) -> None:
        self._sharing = None if shared is None else Sharing(shared, name, self._leases, alone)
        self._zone = zone
        self._named = named
        self._used = used
        self._counts = Counts()
        self._held: dict[tuple[str, str], _Held] = {}
        self._told_day = self._today().name  # the day that runs, until its line is written
        self.usage = Usage()

    async def admit(self, principal: Principal, tokens: int, repeat_key: str | None = None) -> Place:
        """Count a request for an answer of at most ``tokens``, and let it have a place, if its verdict says so.

        One that repeats an answer that is held here is let in beside it, with as many tokens: its proxy joins it to
        that answer, or else it has a place from its beginning.
        """
        place = self._place(principal, Verdict(tokens=tokens))
        if not principal.owner:
            return place
        place.lease, place.repeat_key = secrets.token_hex(8), repeat_key
        allowance, granted = Allowance.of(principal.key), self._granted_before(place)
        if granted is None:
            place.verdict = await self._admitted(place, allowance, tokens)
        else:
            place.verdict = replace(await self._admitted(place, allowance, None), tokens=min(tokens, granted))
        if place.verdict.passed_limit is not None:
            place.lease = ""
        return place

    async def count(self, principal: Principal) -> Place:
        """Count a request that makes nothing."""
        place = self._place(principal, Verdict())
        if principal.owner:
            place.verdict = await self._admitted(place, Allowance.of(principal.key), None)
        return place

    def began(self, place: Place, stream_id: str, model: str, *, joined: bool) -> None:
        """The stream of ``place`` is there; one that it ``joined`` has its place, and its tokens, already."""
        if not place.lease:
            return
        before = place.lease
        self._counts.release(place.owner, before)
        place.stream_id = place.lease = stream_id
        self._hold(Lease(place.owner, stream_id, 0 if joined else place.verdict.tokens, before))
        self._read(place, model, began=not joined)

    def follows(self, principal: Principal, stream_id: str, model: str) -> Place:
        """Let a running stream have its place, whoever held it before."""
        place = self._place(principal, Verdict())
        if principal.owner:
            place.stream_id = place.lease = stream_id
            self._hold(Lease(place.owner, stream_id))
            self._read(place, model, began=False)
        return place

    def ended(self, place: Place, spent: Spent) -> None:
        """The stream of ``place`` has ended: all that it used is known."""
        held = self._held.get((place.owner, place.stream_id))
        if held is not None:
            held.spent = spent
            self._settle(held)

    def left(self, place: Place, spent: Spent, *, may_go_on: bool) -> None:
        """A connection of ``place`` is over; harmless where its stream has ended.

        Args:
            spent: as far as it saw.
            may_go_on: whether its stream may run on; that is its proxy's to say.
        """
        if not place.lease:
            return
        held = self._held.get((place.owner, place.stream_id))
        if held is None:
            if not place.stream_id:  # it never came to a stream
                self._release(place)
            return
        held.readers -= 1
        held.spent = max(held.spent, spent, key=lambda one: one.tokens)
        if held.readers == 0:
            held.until = time.monotonic() + UNHEARD_S
            if not may_go_on:
                self._give_up(held, now=math.inf)

    def book(self, place: Place, spent: Spent, model: str) -> None:
        """Give the place of a request without a stream back, and book what it used."""
        if place.lease:
            place.stream_id = place.lease
            self._settle(_Held(place, model, began=True, spent=spent))

    def unread(self) -> list[Unread]:
        """Return the streams that are held and that nobody reads here: their proxies know what becomes of them."""
        unread = [held.place for held in self._held.values() if held.until is not None]
        return [Unread(place.principal, place.stream_id) for place in unread]

    def is_unread(self, stream: Unread) -> bool:
        """Whether a stream is one of these."""
        return self._held_unread(stream) is not None

    def goes_on(self, stream: Unread, spent: Spent) -> None:
        """Its proxy says that a stream runs: it keeps its place, though nobody may come back to it."""
        if (held := self._held_unread(stream)) is not None:
            held.spent = max(held.spent, spent, key=lambda one: one.tokens)
            held.until = time.monotonic() + UNHEARD_S

    def is_over(self, stream: Unread, spent: Spent | None) -> None:
        """Its proxy says that a stream is over; None for one of which it knows no more than was read.

        One that is read again meanwhile is its reader's to tell of.
        """
        if (held := self._held_unread(stream)) is not None:
            held.spent = held.spent if spent is None else spent
            self._settle(held)

    def sweep(self) -> None:
        """Settle the streams of which nobody hears, tell of a day that is over, forget what is old; each second."""
        now, today = time.monotonic(), self._today().name
        if today != self._told_day:
            self.tell_usage()
            self._told_day = today
            self.usage.forget_before(self._days_shown()[-1])
        for held in tuple(self._held.values()):
            self._give_up(held, now)
        self._counts.forget_idle(now)

    def tell_usage(self) -> None:
        """Write the line of what a day saw used: at its end, and at the process's, since only memory has it."""
        rows = told(self.usage.of_day(self._told_day), None)
        if rows and self._sharing is None:
            log.info("usage.day", day=self._told_day, rows=len(rows), usage=rows[:ROWS_TOLD])

    @property
    def kept_in(self) -> str:
        """Where the counts are kept: memory, valkey, or alone, in memory while Valkey cannot be had."""
        if self._sharing is None:
            return "memory"
        return "alone" if self._sharing.is_alone else "valkey"

    async def keep_shared(self) -> None:
        """Keep the shared counts told of what is held and booked here, until cancelled."""
        if self._sharing is not None:
            await self._sharing.keep()

    async def close(self) -> None:
        """Tell what only memory has."""
        self.tell_usage()
        if self._sharing is not None:
            await self._sharing.close()

    async def page(self, principal: Principal, keys: Collection[str], *, of_all: bool) -> dict[str, object]:
        """Return the answer of ``GET /api/usage``.

        Args:
            keys: the ids of the principal's own keys.
            of_all: whether the rows of everybody are told.
        """
        day, allowance = self._today(), Allowance.of(principal.key)
        rows = await self._rows()
        standing = await self._standing(principal.owner, day)
        return {
            "day": day.name,
            "time_zone": str(self._zone),
            "resets_in_s": math.ceil(day.left_s),
            "tokens_used": standing.spent,
            "tokens_per_day": allowance.tokens_per_day,
            "tokens_left": allowance.tokens_left(standing),
            "streams": standing.streams,
            "requests": sum(used.requests for of, used in rows.items() if of.day == day.name and of.key in keys),
            "usage": told(rows, None if of_all else keys),
        }

    # --- inside

    def _place(self, principal: Principal, verdict: Verdict) -> Place:
        return Place(principal, verdict, self._today())

    def _today(self) -> Day:
        return Day.at(datetime.now(UTC), self._zone)

    def _held_unread(self, stream: Unread) -> _Held | None:
        held = self._held.get((stream.principal.owner, stream.stream_id))
        return None if held is None or held.until is None else held

    def _granted_before(self, place: Place) -> int | None:
        """Return how many tokens the answer may have that this request repeats; None if it repeats none."""
        if place.repeat_key is None:
            return None
        named = (place.owner, place.repeat_key)
        held = (one.place for one in self._held.values() if (one.place.owner, one.place.repeat_key) == named)
        return next((before.verdict.tokens for before in held), None)

    def _read(self, place: Place, model: str, *, began: bool) -> None:
        held = self._held.setdefault((place.owner, place.stream_id), _Held(replace(place), model, began))
        held.readers += 1
        held.until = None

    def _give_up(self, held: _Held, now: float) -> None:
        """Book a stream to whose end nobody came back here; unless it is another gateway's to do so."""
        if held.until is None or now < held.until:
            return
        if not held.began:
            self._held.pop((held.place.owner, held.place.stream_id), None)
            self._counts.release(held.place.owner, held.place.lease)
        elif self._sharing is None or now >= held.until + LEASE_S:
            self._settle(held, unless_held=now < math.inf)

    def _settle(self, held: _Held, *, unless_held: bool = False) -> None:
        place, day = held.place, self._today()
        self._held.pop((place.owner, place.stream_id), None)
        self._counts.release(place.owner, place.lease)
        of, seconds = Of(day.name, place.principal.key.id, self._named(held.model)), time.monotonic() - place.since
        if self._sharing is not None:
            self._sharing.changed(Booking(place.owner, place.lease, of, held.spent, seconds, unless_held))
        if held.began:
            self._counts.book(place.owner, held.spent.tokens, day)
            self.usage.add(of, held.spent, seconds)
            self._used(place.principal.key.id, held.spent)

    async def _admitted(self, place: Place, allowance: Allowance, tokens: int | None) -> Verdict:
        """Ask the counts of all gateways, or count alone; ``tokens`` None is a request that makes nothing."""
        if self._sharing is not None:
            shared = await self._sharing.admit(place.owner, allowance, place.lease, tokens, place.day)
            if shared is not None:
                if shared.passed_limit is None and tokens is not None:
                    self._counts.hold(place.owner, place.lease, shared.tokens)
                return shared
            allowance = allowance.share(self._sharing.gateways)
        if tokens is None:
            return self._counts.count(place.owner, allowance, place.since)
        return self._counts.admit(place.owner, allowance, place.lease, tokens, day=place.day, now=place.since)

    def _hold(self, lease: Lease) -> None:
        self._counts.hold(lease.owner, lease.name, lease.tokens)
        if self._sharing is not None:
            self._sharing.changed(lease)

    def _release(self, place: Place) -> None:
        self._counts.release(place.owner, place.lease)
        if self._sharing is not None:
            self._sharing.changed(Release(place.owner, place.lease))

    def _leases(self) -> list[Lease]:
        """Return the leases to be renewed: those that were given up run out, if no other gateway reads on."""
        now = time.monotonic()
        given_up = {key for key, held in self._held.items() if held.until is not None and held.until <= now}
        leases = self._counts.leases()
        return [Lease(owner, name, tokens) for owner, name, tokens in leases if (owner, name) not in given_up]

    async def _standing(self, owner: str, day: Day) -> Standing:
        shared = None if self._sharing is None else await self._sharing.standing(owner, day)
        return self._counts.standing(owner, day) if shared is None else shared

    async def _rows(self) -> Mapping[Of, Used]:
        shared = None if self._sharing is None else await self._sharing.usage(self._days_shown())
        return self.usage.rows if shared is None else shared

    def _days_shown(self) -> list[str]:
        """Return the days whose usage is kept and shown, today first."""
        today = datetime.now(self._zone).date()
        return [(today - timedelta(days=before)).isoformat() for before in range(DAYS)]
