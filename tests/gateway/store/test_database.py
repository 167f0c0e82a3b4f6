import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.conversations import Conversations
from gateway.store.database import CLOSE_S, Database, Fault
from gateway.store.migrating import migrate
from gateway.store.refusals import StoreUnavailable
from gateway.store.store import State, Store
from tests.eventually import soon
from tests.gateway.store.keeping import OWNER, conversation, file_url
from tests.machine import needs
from tests.postgres import PostgresServer


async def slowly(connection: AsyncConnection) -> None:
    """Take a good part of a second, on a quick machine."""
    counted = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000) SELECT count(*) FROM c"
    await connection.execute(text(counted))


async def test_who_asks_waits_no_longer_than_the_time_given(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.database.read(slowly, within_s=0.01)


async def test_who_leaves_in_the_middle_of_a_write_keeps_nobody_from_writing(store: Store) -> None:
    """What was begun goes on to its end: a driver that is cut off in it may keep the only place for a writer."""
    begun = asyncio.Event()

    async def work(connection: AsyncConnection) -> None:
        begun.set()
        await slowly(connection)

    writing = asyncio.get_running_loop().create_task(store.database.write(work))
    await begun.wait()
    await asyncio.sleep(0)  # the statement is in the driver's thread
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing

    await conversation(store)


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


@pytest.mark.parametrize("kind", [pytest.param("postgres", marks=needs("postgres"))])
@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT convert_from('\\x00', 'UTF8')", "22021"),
        ("SELECT CAST(:number AS bigint)", "22000"),  # the driver's own word
        ("SELECT to_tsvector('simple', string_agg(md5(n::text), ' ')) FROM generate_series(1, 100000) n", "54000"),
    ],
)
async def test_what_postgresql_never_takes_is_a_fault_and_not_waited_for(
    store: Store, statement: str, code: str
) -> None:
    """A row that waits for ever holds up everybody's."""
    values = {"number": 2**64} if ":number" in statement else {}

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text(statement), values)

    with pytest.raises(Fault, match=code):
        await store.database.read(work)


@pytest.mark.parametrize("kind", [pytest.param("postgres", marks=needs("postgres"))])
async def test_a_right_that_is_withdrawn_is_waited_for(store: Store, postgres: PostgresServer) -> None:
    """An operator takes it and gives it back; what is said meanwhile is not lost."""
    assert store.available
    postgres.ask("CREATE ROLE poor LOGIN")
    poor = Database(postgres.url.replace("sluice@", "poor@"))
    poor.is_ready = True
    try:
        with pytest.raises(StoreUnavailable) as away:
            await Conversations(poor).create(OWNER, {})
        for kind in ("TABLES", "SEQUENCES"):
            postgres.ask(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO poor")
        await Conversations(poor).create(OWNER, {})
    finally:
        await poor.close()
        postgres.ask("DROP OWNED BY poor; DROP ROLE poor")

    assert away.value.why == "ProgrammingError 42501"


@needs("postgres")
async def test_a_server_that_hangs_holds_up_no_end(postgres: PostgresServer) -> None:
    """A gateway that stops has people to hand over, and its supervisor kills it soon."""
    store = Store(postgres.url)
    listening = asyncio.Event()

    async def work(_connection: AsyncConnection) -> None:
        listening.set()
        await asyncio.get_running_loop().create_future()

    await store.start()
    task = asyncio.get_running_loop().create_task(store.database.listen(work))
    await listening.wait()
    with postgres.frozen():
        task.cancel()
        async with asyncio.timeout(4 * CLOSE_S):
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await store.close()

    assert task.cancelled()


async def test_another_writer_delays_a_write_and_no_read(store: Store, tmp_path: Path) -> None:
    name = await conversation(store)
    other = sqlite3.connect(tmp_path / "conversations.db", isolation_level=None, check_same_thread=False)
    await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # the store may be tidying, on this loop

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


async def test_a_file_that_is_no_database_is_said_and_the_gateway_comes_up_without(tmp_path: Path) -> None:
    write(tmp_path / "conversations.db")
    store = Store(file_url(tmp_path))
    try:
        await store.start()
        assert store.state is State.AWAY
    finally:
        await store.close()


async def test_a_file_that_was_read_only_is_written_once_it_is_not(tmp_path: Path) -> None:
    """L16: SQLite opens such a file for reading, and says nothing: the connection is not to be kept."""
    open_already, opened = Database(file_url(tmp_path)), Database(file_url(tmp_path))
    try:
        await open_already.prepare(migrate)
        opened.is_ready = True
        with read_only(tmp_path), pytest.raises(StoreUnavailable) as away:
            await Conversations(opened).create(OWNER, {})
        await Conversations(opened).create(OWNER, {})
    finally:
        await opened.close()
        await open_already.close()

    assert away.value.why == "OperationalError SQLITE_READONLY"


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let files of ``folder`` that are opened now be opened for reading alone; root is held up by a mount alone."""
    if os.geteuid():
        (folder / "conversations.db").chmod(0o400)
        yield
        (folder / "conversations.db").chmod(0o600)
        return
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False).returncode:
        pytest.skip("this machine's root may not mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw,bind", folder], check=True)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def write(file: Path) -> None:
    file.write_bytes(b"a letter to somebody, and no database" * 1000)


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
