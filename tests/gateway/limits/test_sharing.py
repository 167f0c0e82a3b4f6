"""When shared counts are asked, and what a gateway does alone, over counts that can be lost and found."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from gateway.limits.allowance import Allowance, Standing
from gateway.limits.counts import Counts, Limit, Verdict
from gateway.limits.day import Day
from gateway.limits.sharing import ANSWER_S, CHANGES_MAX, PROBE_S, Away, Booking, Change, Lease, Release, Sharing
from gateway.limits.usage import Of, Spent, Used
from services.runtime.tasks import Tasks
from tests.eventually import soon

TODAY = Day("2026-11-28", 3600.0)
ONE = Allowance(streams=1)
BOOKING = Booking("Ada", "stream", Of(TODAY.name, "a1B2c3D4", "tiny"), Spent(1, 2), 0.5)


@dataclass
class Scripted:
    """Shared counts that may be away, or hang, and remember what they were told."""

    counts: Counts = field(default_factory=Counts)
    told: list[Change] = field(default_factory=list)
    asked: int = 0
    away: bool = False
    hangs: bool = False
    slow: bool = False
    gateways: int = 4
    answer_s: float = ANSWER_S
    looks: int = 0
    closed: bool = False

    async def admit(self, owner: str, allowance: Allowance, lease: str, tokens: int | None, day: Day) -> Verdict:
        self.asked += 1
        await self._reached()
        return self.counts.admit(owner, allowance, lease, tokens or 0, day=day, now=0.0)

    async def hold(self, leases: Iterable[Lease]) -> None:
        await self._reached()
        for lease in leases:
            self.counts.hold(lease.owner, lease.name)
            self.told.append(lease)

    async def release(self, release: Release) -> None:
        await self._reached()
        self.counts.release(release.owner, release.lease)
        self.told.append(release)

    async def book(self, booking: Booking) -> None:
        await self._reached()
        self.counts.release(booking.owner, booking.lease)
        self.told.append(booking)

    async def present(self, name: str) -> int:
        await self._reached()
        self.looks += 1
        return self.gateways if name else 0

    async def answers_in_time(self) -> None:
        if self.slow:
            raise Away("TimeoutError")

    async def standing(self, owner: str, day: Day) -> Standing:
        await self._reached()
        return self.counts.standing(owner, day)

    async def usage(self, days: Sequence[str]) -> dict[Of, Used]:
        await self._reached()
        return {Of(day, "a1B2c3D4", "tiny"): Used() for day in days}

    async def close(self) -> None:
        self.closed = True

    async def _reached(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise Away("ConnectionError")


@asynccontextmanager
async def kept(scripted: Scripted, held: Sequence[Lease] = ()) -> AsyncIterator[tuple[Sharing, list[bool]]]:
    """Share as a gateway does, until the block ends."""
    tasks, alone = Tasks(), list[bool]()
    sharing = Sharing(scripted, "this", lambda: held, alone.append)
    tasks.spawn(sharing.keep(), "keep")
    try:
        yield sharing, alone
    finally:
        await tasks.close()
        await sharing.close()


async def test_a_gateway_says_that_it_is_there_and_what_it_holds() -> None:
    scripted, held = Scripted(), Lease("Ada", "stream", 100)
    async with kept(scripted, [held]) as (sharing, alone):
        await soon(lambda: scripted.told == [held], "it was told")
        await soon(lambda: sharing.gateways == 4, "they are counted")

    assert (alone, scripted.closed) == ([], True)


async def test_how_many_gateways_share_is_asked_until_it_is_settled_and_fewer_are_believed_at_the_second_look() -> None:
    """A Valkey that lost everything knows of those alone who have told it since: their shares would be too large."""
    scripted = Scripted()
    async with kept(scripted) as (sharing, _):
        await soon(lambda: scripted.looks == 2, "it was looked at again", within_s=5 * PROBE_S)
        scripted.away = True
        sharing.changed(BOOKING)
        await soon(lambda: sharing.is_alone, "it is lost")
        scripted.away, scripted.gateways = False, 1
        await soon(lambda: not sharing.is_alone, "it is found", within_s=5 * PROBE_S)
        at_first = sharing.gateways
        await soon(lambda: sharing.gateways == 1, "they are fewer", within_s=5 * PROBE_S)

    assert at_first == 4


async def test_changes_are_told_in_order_and_nobody_waits_for_them() -> None:
    scripted = Scripted()
    changes: list[Change] = [Lease("Ada", "stream", 10, "request"), Release("Bob", "request"), BOOKING]
    async with kept(scripted) as (sharing, _):
        for change in changes:
            sharing.changed(change)
        assert scripted.told == []
        await soon(lambda: scripted.told == changes, "they were told")


async def test_after_one_failure_nobody_asks_until_it_answers_and_what_changed_is_told_then() -> None:
    scripted = Scripted(away=True)
    with capture_logs() as lines:
        async with kept(scripted) as (sharing, alone):
            await soon(lambda: sharing.is_alone, "it is noticed without a request")
            verdicts = [await sharing.admit("Ada", ONE, f"{number}", 10, TODAY) for number in range(50)]
            asked = scripted.asked
            told = await sharing.standing("Ada", TODAY), await sharing.usage([TODAY.name])
            sharing.changed(BOOKING)
            scripted.away = False
            await soon(lambda: not sharing.is_alone, "it is found")
            again = await sharing.admit("Ada", ONE, "again", 10, TODAY)

    assert (verdicts, asked, told) == ([None] * 50, 0, (None, None))
    assert (alone, again, scripted.told) == ([True, False], Verdict(tokens=10), [BOOKING])
    assert [line["event"] for line in lines] == ["limits.alone", "limits.shared"]


async def test_one_that_answers_later_than_a_request_may_wait_stays_away() -> None:
    scripted = Scripted(away=True, slow=True)
    async with kept(scripted, [Lease("Ada", "stream")]) as (sharing, alone):
        await soon(lambda: sharing.is_alone, "it is away")
        scripted.away = False
        await soon(lambda: scripted.told, "it was reached")
        still = sharing.is_alone
        scripted.slow = False
        await soon(lambda: not sharing.is_alone, "it is quick again")

    assert (still, alone) == (True, [True, False])


async def test_a_request_that_finds_it_away_is_counted_alone_and_is_the_last_to_ask() -> None:
    scripted = Scripted()
    async with kept(scripted) as (sharing, alone):
        await soon(lambda: sharing.gateways == 4, "it is kept")
        scripted.away = True
        assert [await sharing.admit("Ada", ONE, lease, 10, TODAY) for lease in "abc"] == [None] * 3

    assert (scripted.asked, alone) == (1, [True])


async def test_a_place_that_is_being_given_back_here_is_free_for_the_next_request() -> None:
    """Who reads an answer's end may ask the next at once."""
    scripted = Scripted()
    sharing = Sharing(scripted, "this", list, lambda _alone: None)
    await sharing.admit("Ada", ONE, "request", 10, TODAY)
    refused = await sharing.admit("Ada", ONE, "early", 10, TODAY)
    sharing.changed(Release("Ada", "request"))
    let_in = await sharing.admit("Ada", ONE, "next", 10, TODAY)

    assert refused == Verdict(Limit.STREAMS)
    assert let_in == Verdict(tokens=10)


async def test_a_client_that_leaves_while_it_is_asked_leaves_no_lease_behind() -> None:
    scripted, tasks = Scripted(hangs=True), Tasks()
    sharing = Sharing(scripted, "this", list, lambda _alone: None)
    asking = tasks.spawn(sharing.admit("Ada", ONE, "request", 10, TODAY), "asks")
    await soon(lambda: scripted.asked == 1, "it is asked")
    asking.cancel()
    await asyncio.wait([asking])
    scripted.hangs = False
    await sharing.close()

    assert scripted.told == [Release("Ada", "request")]


async def test_while_nobody_hears_it_no_more_is_kept_than_may_be() -> None:
    scripted = Scripted(away=True)
    async with kept(scripted) as (sharing, _):
        await soon(lambda: sharing.is_alone, "it is away")
        for number in range(CHANGES_MAX + 5):
            sharing.changed(Release("Ada", f"{number}"))
        scripted.away = False
        await soon(lambda: len(scripted.told) == CHANGES_MAX, "what was kept is told")

    assert scripted.told[0] == Release("Ada", "5")


@pytest.mark.parametrize("lost", [True, False])
async def test_what_it_knows_is_told_while_it_can_be_had(*, lost: bool) -> None:
    scripted = Scripted()
    sharing = Sharing(scripted, "this", list, lambda _alone: None)
    scripted.away = lost
    standing, usage = await sharing.standing("Ada", TODAY), await sharing.usage([TODAY.name])

    assert (standing, usage is None) == ((None, True) if lost else (Standing(), False))
