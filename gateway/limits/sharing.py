"""When the shared counts are asked, and what a gateway does while they cannot be: it counts alone, at its share.

shared ─▶ one failure ─▶ alone: nobody asks; one probe a second ─▶ it answers ─▶ shared

What changes here, a lease or a booking, is told behind the requests that caused it, in order, and kept while nobody
hears it. Nobody waits for that, but who is refused a place while one of its own is being given back.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from gateway.limits.allowance import Allowance, Standing
from gateway.limits.counts import Limit, Verdict
from gateway.limits.day import Day
from gateway.limits.usage import Of, Spent, Used

log = structlog.get_logger()

ANSWER_S: Final = 0.05
"""A request waits no longer for the shared counts, connecting and waiting for a connection included."""
LEASE_S: Final = 15.0
"""A gateway that dies gives its leases back so soon; three renewals may be lost."""
PROBE_S: Final = 1.0
RENEW_S: Final = 5.0
CHANGES_MAX: Final = 10_000
"""What is to be told, while nobody hears it: a quarter of an hour of ten answers a second. Then the oldest go."""


class Away(Exception):
    """Valkey cannot be had, is slow, or takes nothing now (full, a replica, loading)."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it is told: by which name it went ``before``, if by another."""

    owner: str
    name: str
    tokens: int = 0
    before: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """A lease that is given back."""

    owner: str
    lease: str


@dataclass(frozen=True, slots=True)
class Booking:
    """What an answer used, to be booked once however many gateways saw its end.

    ``unless_held`` is that of a gateway which did not see it: another one may still read on.
    """

    owner: str
    lease: str
    of: Of
    spent: Spent
    seconds: float
    unless_held: bool = False


Change = Lease | Release | Booking


class SharedCounts(Protocol):
    """What is asked of the counts that all gateways share.

    Each is one exchange, and raises Away if it does not come about in time.

    Attributes:
        answer_s: how long a request waits.
    """

    answer_s: float

    async def admit(self, owner: str, allowance: Allowance, lease: str, tokens: int | None, day: Day) -> Verdict:
        """Count a request as :meth:`Counts.admit` does; ``tokens`` None is one that makes nothing."""

    async def hold(self, leases: Iterable[Lease]) -> None:
        """Let these live for fifteen seconds from now."""

    async def release(self, release: Release) -> None:
        """Give a lease back."""

    async def book(self, booking: Booking) -> None:
        """Give a lease back, and book what its answer used unless that is done."""

    async def present(self, name: str) -> int:
        """Say that the gateway ``name`` is there; return how many are."""

    async def answers_in_time(self) -> None:
        """Answer, as soon as a request needs it."""

    async def standing(self, owner: str, day: Day) -> Standing:
        """Return how ``owner`` stands."""

    async def usage(self, days: Sequence[str]) -> dict[Of, Used]:
        """Return what was used on these days."""

    async def close(self) -> None:
        """Close every connection."""


class Sharing:
    """The shared counts, as long as they can be had.

    Args:
        name: this gateway's, among those that share.
        held: returns the leases that are held here.
        told: hears whether they cannot be had.
    """

    def __init__(
        self, counts: SharedCounts, name: str, held: Callable[[], Collection[Lease]], told: Callable[[bool], None]
    ) -> None:
        self._counts = counts
        self._name = name
        self._held = held
        self._told = told
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)  # to be told, in order
        self._telling = asyncio.Lock()
        self._wake = asyncio.Event()
        self._present = 1  # gateways that were there at the last look
        self.is_alone = False
        self.gateways = 1
        """By how many a limit is divided while each counts alone: the most that were there at the last two looks."""

    async def admit(self, owner: str, allowance: Allowance, lease: str, tokens: int | None, day: Day) -> Verdict | None:
        """Ask the shared counts; None if they cannot be had, and the gateway has to count alone."""
        if self.is_alone:
            return None
        try:
            verdict = await self._counts.admit(owner, allowance, lease, tokens, day)
            if verdict.passed_limit is Limit.STREAMS and any(one.owner == owner for one in self._changes):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._counts.answer_s):
                        await self._tell()
                        uncounted = replace(allowance, requests_per_minute=None)
                        again = await self._counts.admit(owner, uncounted, lease, tokens, day)
                        verdict = replace(again, rate=verdict.rate)
        except Away as away:
            self._lost(away)
            return None
        except asyncio.CancelledError:  # its client has left, and nobody knows whether it was let in
            self.changed(Release(owner, lease))
            raise
        return verdict

    def changed(self, change: Change) -> None:
        """Have it told: a lease is held here from now on, or given back, or an answer has ended."""
        self._changes.append(change)
        if not self.is_alone:
            self._wake.set()

    async def standing(self, owner: str, day: Day) -> Standing | None:
        """Return how ``owner`` stands with all gateways; None while alone."""
        try:
            return None if self.is_alone else await self._counts.standing(owner, day)
        except Away:
            return None

    async def usage(self, days: Collection[str]) -> dict[Of, Used] | None:
        """Return what was used on these days at all gateways; None while alone."""
        try:
            return None if self.is_alone else await self._counts.usage(sorted(days))
        except Away:
            return None

    async def keep(self) -> None:
        """Tell what changes, renew what is held, and look for what was lost, until cancelled."""
        loop = asyncio.get_running_loop()
        renew_at = 0.0
        while True:
            try:
                if self.is_alone or loop.time() >= renew_at:
                    async with self._telling:  # or one that is given back meanwhile would be renewed behind that
                        is_settled = self._counted(await self._counts.present(self._name))
                        await self._counts.hold(self._held())
                    renew_at = loop.time() + (RENEW_S if is_settled else 0.0)
                if self.is_alone:  # slow is away, or each second a request would find out
                    await self._counts.answers_in_time()
                await self._tell()
                self._found()
            except Away as away:
                self._lost(away)
            await self._until(PROBE_S)

    async def close(self) -> None:
        """Tell what is left to tell, if anybody hears it, and close."""
        if not self.is_alone:
            with contextlib.suppress(Away):
                await self._tell()
        await self._counts.close()

    # --- inside

    def _counted(self, present: int) -> bool:
        """Note how many gateways are there; return whether they are as many as before.

        Where gateways or Valkey have just started not all have said so yet: then the next probe looks again.
        """
        before, self._present = self._present, max(1, present)
        self.gateways = max(before, self._present)
        return before == self._present

    async def _until(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _tell(self) -> None:
        """Tell what changed, in order; what was not heard stays, and may be told twice: that changes nothing."""
        async with self._telling:
            while self._changes:
                match change := self._changes[0]:
                    case Lease():
                        await self._counts.hold([change])
                    case Release():
                        await self._counts.release(change)
                    case Booking():
                        await self._counts.book(change)
                if self._changes and self._changes[0] is change:  # else it fell out meanwhile
                    self._changes.popleft()

    def _lost(self, away: Away) -> None:
        if not self.is_alone:
            self.is_alone = True
            log.warning("limits.alone", why=str(away), gateways=self.gateways, advice="each counts its share")
            self._told(True)

    def _found(self) -> None:
        if self.is_alone:
            self.is_alone = False
            log.info("limits.shared", gateways=self.gateways)
            self._told(False)
