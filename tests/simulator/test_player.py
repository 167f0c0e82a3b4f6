"""Steps in time, on a real connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from services.simulator.alarms import Alarms
from services.simulator.player import Player
from services.simulator.server import Connection, Exchange, OpenConnections
from services.simulator.steps import FIN, RST, SILENCE, TURN, WHOLE, Step, Steps, Wait, Write
from services.simulator.witness import Witness
from tests.eventually import soon
from tests.simulator.reader import Reader, get

HEAD = Write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")


@asynccontextmanager
async def playing(steps: Callable[[], Steps]) -> AsyncIterator[tuple[Reader, list[Player]]]:
    """Serve ``steps`` to every request on a connection; yield its reader and the players."""
    players: list[Player] = []
    witness, open_connections, alarms = Witness(asyncio.get_running_loop().time), OpenConnections(), Alarms()

    def serve(exchange: Exchange) -> None:
        exchange.call = witness.opened("GET", "/", {}, 0)
        player = Player(steps(), exchange, lambda _lines, _tokens: None, alarms)
        players.append(player)
        player.start()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(serve, witness, open_connections), "127.0.0.1", 0)
    try:
        reader = await Reader.connect(server.sockets[0].getsockname()[1])
        reader.send(get("/"))
        yield reader, players
    finally:
        server.close()
        open_connections.cut()
        await open_connections.gone()


@pytest.mark.parametrize(("end", "seen_end"), [(WHOLE, "whole"), (FIN, "fin"), (RST, "reset")])
async def test_writes_and_waits_are_performed_up_to_the_end(end: Step, seen_end: str) -> None:
    body = b"abcdef" if end == WHOLE else b"abc"
    async with playing(lambda: iter([HEAD, Write(body[:3]), Wait(0.01), TURN, Write(body[3:]), end])) as (
        reader,
        players,
    ):
        seen = await reader.response()
        await asyncio.wait_for(players[0].done, 5)

    assert (seen.status, seen.end) == (200, seen_end)


async def test_a_step_is_not_made_before_its_wait_is_over() -> None:
    made: list[str] = []

    def steps() -> Steps:
        yield HEAD
        yield SILENCE
        made.append("too early")

    async with playing(steps) as (reader, players):
        await reader.until(b"\r\n\r\n")

        assert (made, players[0].done.done()) == ([], False)


async def test_a_player_that_is_stopped_makes_no_further_step() -> None:
    made: list[int] = []

    def steps() -> Iterator[Step]:
        while True:
            made.append(1)
            yield TURN

    async with playing(steps) as (_, players):
        await soon(lambda: len(made) > 10)
        players[0].stop()
        stopped_at = len(made)
        for _ in range(50):
            await asyncio.sleep(0)

    assert len(made) == stopped_at
    assert players[0].done.cancelled()


async def test_steps_that_fail_are_the_end_and_its_reason() -> None:
    def steps() -> Iterator[Step]:
        yield HEAD
        raise LookupError

    async with playing(steps) as (_, players):
        await soon(lambda: bool(players))
        with pytest.raises(LookupError):
            await asyncio.wait_for(players[0].done, 5)


async def test_steps_without_waits_share_the_loop() -> None:
    """A thousand writes take several turns of the loop, in which others may run."""
    turns = 0

    async def others(players: list[Player]) -> None:
        nonlocal turns
        while not (players and players[0].done.done()):
            turns += 1
            await asyncio.sleep(0)

    async with playing(lambda: iter([Write(b"")] * 1000 + [FIN])) as (_, players):
        await asyncio.wait_for(others(players), 5)

    assert turns > 10


async def test_alarms_ring_soonest_first_and_cancelled_ones_not_at_all() -> None:
    loop, alarms, rung = asyncio.get_running_loop(), Alarms(), list[str]()
    over = asyncio.Event()
    now = loop.time()

    alarms.at(now + 0.03, over.set)
    alarms.at(now + 0.02, lambda: rung.append("late"))
    alarms.at(now + 0.01, lambda: rung.append("cancelled")).cancel()
    alarms.at(now + 0.005, lambda: rung.append("soon"))
    alarms.at(now - 1, lambda: rung.append("overdue"))
    await asyncio.wait_for(over.wait(), 5)

    assert rung == ["overdue", "soon", "late"]


async def test_an_alarm_may_be_set_by_one_that_rings() -> None:
    alarms, over = Alarms(), asyncio.Event()

    def again() -> None:
        alarms.at(0.0, over.set)

    alarms.at(0.0, again)

    assert await asyncio.wait_for(over.wait(), 5)
