import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import Database, Fault
from gateway.store.refusals import StoreUnavailable
from gateway.store.store import State, Store
from tests.eventually import soon
from tests.gateway.store.keeping import OWNER, conversation, file_url


async def asleep(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT 1"))
    await asyncio.sleep(60)


async def test_who_asks_waits_no_longer_than_the_time_given(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.database.read(asleep, within_s=0.05)

    assert (await store.conversations.page(OWNER, None)).next is None


async def test_who_leaves_while_it_is_read_gives_the_connection_back(store: Store) -> None:
    for _ in range(10):  # more than there are connections
        asking = asyncio.get_running_loop().create_task(store.database.read(asleep))
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking

    assert (await store.conversations.page(OWNER, None)).next is None


async def test_a_write_that_fails_halfway_writes_nothing(store: Store) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE conversations SET title = 'half'"))
        raise LookupError

    name = await conversation(store)
    with pytest.raises(LookupError):
        await store.database.write(work)

    assert (await store.conversations.one(OWNER, name))["title"] == ""


async def test_a_statement_that_is_wrong_is_a_fault_and_says_nothing_of_what_it_was_about(store: Store) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT secret FROM nowhere WHERE a = :a"), {"a": "canary"})

    with pytest.raises(Fault) as fault:
        await store.database.read(work)

    assert str(fault.value) == "OperationalError SQLITE_ERROR"


async def test_another_writer_delays_a_write_and_no_read(store: Store, tmp_path: Path) -> None:
    name = await conversation(store)
    other = sqlite3.connect(tmp_path / "conversations.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    writing = asyncio.get_running_loop().create_task(store.conversations.change(OWNER, name, {"title": "after"}))
    assert (await store.conversations.one(OWNER, name))["title"] == ""
    assert not writing.done()
    other.execute("COMMIT")
    other.close()

    assert (await writing)["title"] == "after"


async def test_a_database_that_is_away_at_the_start_is_said_and_is_used_once_it_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "not there yet"
    told: list[bool] = []
    store = Store(file_url(folder), told=told.append)
    try:
        await store.start()
        with pytest.raises(StoreUnavailable):
            await store.conversations.page(OWNER, None)
        assert (store.state, told) == (State.AWAY, [True])

        make(folder)
        await soon(lambda: store.available, "the database is found")
        assert (await store.conversations.page(OWNER, None)).next is None
        assert told == [True, False]
    finally:
        await store.close()


def make(folder: Path) -> None:
    folder.mkdir()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:////tmp/a.db", True),
        ("postgresql://a:b@c/d?sslmode=require", False),
    ],
)
async def test_which_of_the_two_it_is_is_in_its_url(url: str, kind: bool) -> None:
    database = Database(url)
    await database.close()

    assert database.is_sqlite is kind
