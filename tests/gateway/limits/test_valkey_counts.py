"""The shared counts in a real Valkey, or Redis: they count as one gateway's memory does.

P9, O4, O5, O7 and S18 of docs/faults.md. What Valkey runs is in `gateway/limits/scripts.py`.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from gateway.limits.allowance import Allowance, Standing
from gateway.limits.counts import Counts, Limit, Verdict
from gateway.limits.day import Day
from gateway.limits.sharing import Away, Booking, Lease, Release
from gateway.limits.usage import Of, Spent, Used
from gateway.limits.valkey_counts import ValkeyCounts
from tests.eventually import soon
from tests.machine import needs
from tests.ports import free_port
from tests.valkey import ValkeyServer, running_valkey

pytestmark = needs("valkey")
TODAY = Day("2026-11-28", 3600.0)
NONE = Allowance()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def sharing(url: str, *, lease_s: float = 60.0) -> ValkeyCounts:
    """Return patient counts: what is shown here is what is counted, and a busy machine may be slow."""
    return ValkeyCounts(url, answer_s=10.0, lease_s=lease_s)


@pytest.fixture
async def counts(valkey: ValkeyServer) -> AsyncIterator[ValkeyCounts]:
    valkey.ask("FLUSHALL")
    counts = sharing(valkey.url)
    yield counts
    await counts.close()


def booked(lease: str, input_tokens: int, output_tokens: int, model: str = "tiny") -> Booking:
    return Booking("Ada", lease, Of(TODAY.name, "a1B2c3D4", model), Spent(input_tokens, output_tokens), 1.5)


@pytest.mark.parametrize(
    "allowance",
    [
        NONE,
        Allowance(streams=2),
        Allowance(tokens_per_day=1000),
        Allowance(requests_per_minute=6, burst=3),
        Allowance(streams=3, requests_per_minute=1, burst=5, tokens_per_day=700),
    ],
)
async def test_it_lets_in_refuses_and_tells_as_a_gateway_alone_does(counts: ValkeyCounts, allowance: Allowance) -> None:
    """The same requests of both, one after the other; none takes so long that a rate would notice."""
    alone, began = Counts(), time.monotonic()
    told: list[tuple[Verdict, Verdict]] = []
    for number in range(7):
        lease, now = f"lease-{number}", time.monotonic() - began
        mine = alone.admit("Ada", allowance, lease, 300, day=TODAY, now=now)
        theirs = await counts.admit("Ada", allowance, lease, 300, TODAY)
        told.append((mine, theirs))
        if number == 4:
            alone.release("Ada", "lease-0")
            alone.book("Ada", 123, TODAY)
            await counts.book(booked("lease-0", 23, 100))

    assert [theirs.passed_limit for _, theirs in told] == [mine.passed_limit for mine, _ in told]
    assert [theirs.tokens for _, theirs in told] == [mine.tokens for mine, _ in told]
    for mine, theirs in told:
        if mine.rate and theirs.rate:
            assert theirs.rate.remaining == mine.rate.remaining
            assert theirs.rate.reset_s == pytest.approx(mine.rate.reset_s, abs=1.0)
            assert theirs.rate.wait_s == pytest.approx(mine.rate.wait_s, abs=1.0)
    assert await counts.standing("Ada", TODAY) == alone.standing("Ada", TODAY)


async def test_four_gateways_let_in_what_one_would(valkey: ValkeyServer, counts: ValkeyCounts) -> None:
    """P9: burst + rate x time, by Valkey's clock, however many ask."""
    gateways = [counts, *(sharing(valkey.url) for _ in range(3))]
    allowance, began = Allowance(requests_per_minute=600, burst=20), time.monotonic()
    last_let_in_s = 0.0

    async def hammer(gateway: ValkeyCounts) -> int:
        nonlocal last_let_in_s
        count = 0
        while time.monotonic() - began < 2.0:
            if (await gateway.admit("Ada", allowance, "", None, TODAY)).passed_limit is None:
                count, last_let_in_s = count + 1, time.monotonic() - began
        return count

    allowed = sum(await asyncio.gather(*map(hammer, gateways)))
    for gateway in gateways[1:]:
        await gateway.close()

    assert allowed <= 20 + 10 * last_let_in_s + 1
    assert allowed >= 20 + 10 * last_let_in_s - 2


async def test_a_gateway_that_dies_gives_its_leases_back_and_what_was_set_aside(valkey: ValkeyServer) -> None:
    """O5: nobody renews them."""
    valkey.ask("FLUSHALL")
    dead, alive = (sharing(valkey.url, lease_s=lease_s) for lease_s in (2.0, 60.0))
    one = Allowance(streams=1, tokens_per_day=100)
    first = await dead.admit("Ada", one, "a", 100, TODAY)
    refused = await alive.admit("Ada", one, "b", 100, TODAY)
    await dead.close()
    await soon(lambda: b"-2" in valkey.ask("PTTL", "sluice:leases:Ada"), "its leases ran out")
    verdict = await alive.admit("Ada", one, "b", 100, TODAY)
    await alive.close()

    assert (first.tokens, refused.passed_limit, verdict.tokens) == (100, Limit.STREAMS, 100)


async def test_a_lease_goes_on_under_the_stream_s_name_as_long_as_it_is_renewed(counts: ValkeyCounts) -> None:
    await counts.admit("Ada", NONE, "request", 300, TODAY)
    await counts.hold([Lease("Ada", "stream", 300, before="request")])
    await counts.hold([Lease("Ada", "stream", 300), Lease("Bob", "another", 5)])

    assert await counts.standing("Ada", TODAY) == Standing(0, 300, 1)
    assert await counts.standing("Bob", TODAY) == Standing(0, 5, 1)
    await counts.release(Release("Ada", "stream"))
    assert await counts.standing("Ada", TODAY) == Standing()


async def test_an_answer_is_booked_once_however_many_gateways_saw_its_end(counts: ValkeyCounts) -> None:
    await counts.admit("Ada", NONE, "stream", 300, TODAY)
    for output_tokens in (40, 17):
        await counts.book(booked("stream", 2, output_tokens))
    await counts.book(booked("other", 1, 1, "a model: with blanks"))

    assert (await counts.standing("Ada", TODAY)).spent == 44
    assert await counts.usage(["2026-11-27", TODAY.name]) == {
        Of(TODAY.name, "a1B2c3D4", "tiny"): Used(1, 2, 40, 1.5),
        Of(TODAY.name, "a1B2c3D4", "a model: with blanks"): Used(1, 1, 1, 1.5),
    }


async def test_a_gateway_that_did_not_see_an_answer_s_end_leaves_it_to_the_one_that_reads_on(
    counts: ValkeyCounts,
) -> None:
    await counts.admit("Ada", NONE, "stream", 300, TODAY)
    await counts.book(replace(booked("stream", 0, 5), unless_held=True))
    held = await counts.standing("Ada", TODAY)
    await counts.book(booked("stream", 2, 40))
    await counts.book(replace(booked("nobody's", 0, 5), unless_held=True))

    assert held == Standing(0, 300, 1)
    assert await counts.standing("Ada", TODAY) == Standing(47, 0, 0)


async def test_gateways_that_are_there_are_counted(counts: ValkeyCounts) -> None:
    assert [await counts.present(name) for name in ("a", "b", "a")] == [1, 2, 2]


async def test_what_it_holds_has_no_text_and_runs_out_by_itself(valkey: ValkeyServer, counts: ValkeyCounts) -> None:
    """S18: every key has an end, and stands under the prefix."""
    limited = Allowance(streams=9, requests_per_minute=60, burst=5, tokens_per_day=100)
    await counts.admit("Ada", limited, "a", 10, TODAY)
    await counts.hold([Lease("Ada", "b", 10, "a")])
    await counts.book(booked("b", 1, 1))
    await counts.admit("Ada", limited, "c", 10, TODAY)
    await counts.present("gateway")
    keys = sorted(re.findall(r"sluice:[\w:.-]+", valkey.ask("KEYS", "*").decode()))

    assert [key.split(":")[1] for key in keys] == ["booked", "gateways", "leases", "reserved", "spent", "tat", "usage"]
    assert len(keys) == int(valkey.ask("DBSIZE")[1:])
    assert all(int(valkey.ask("PTTL", key)[1:]) > 0 for key in keys)


async def test_forgotten_scripts_are_loaded_again(valkey: ValkeyServer, counts: ValkeyCounts) -> None:
    """O7: NOSCRIPT."""
    await counts.admit("Ada", NONE, "a", 10, TODAY)
    valkey.ask("SCRIPT", "FLUSH")

    assert (await counts.admit("Ada", NONE, "b", 10, TODAY)).tokens == 10


@pytest.mark.parametrize("setting", ["maxmemory", "min-replicas-to-write"])
async def test_one_that_takes_nothing_is_away(valkey: ValkeyServer, counts: ValkeyCounts, setting: str) -> None:
    """O7: OOM, and what a primary says whose replicas are lost."""
    valkey.ask("CONFIG", "SET", setting, "1")
    try:
        with pytest.raises(Away):
            await counts.admit("Ada", NONE, "a", 10, TODAY)
        with pytest.raises(Away):
            await counts.present("gateway")
    finally:
        valkey.ask("CONFIG", "SET", setting, "0")

    assert (await counts.admit("Ada", NONE, "a", 10, TODAY)).tokens == 10


@pytest.mark.parametrize("url", ["valkey://127.0.0.1:{}", "valkeys://127.0.0.1:{}", "redis://user:wrong@127.0.0.1:{}"])
async def test_one_that_nobody_reaches_is_away(url: str) -> None:
    counts = sharing(url.format(free_port()))
    with pytest.raises(Away):
        await counts.admit("Ada", NONE, "a", 10, TODAY)
    await counts.close()


async def test_who_has_no_right_to_it_is_told_that_it_is_away(valkey: ValkeyServer) -> None:
    """S18: another prefix than the user's own, or a wrong password."""
    for url in (f"{valkey.url}?prefix=others:", valkey.url.replace("sluice:", "sluice:wrong", 1)):
        counts = sharing(url)
        with pytest.raises(Away):
            await counts.present("gateway")
        await counts.close()
