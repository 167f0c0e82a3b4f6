"""From the first schema with data to the newest, and back: nothing that the older one knew is lost.

gateway/store/migrations/env.py, gateway/store/migrations/versions/schema_0001.py and
gateway/store/migrations/versions/schema_0002.py, as ``migrate`` has alembic run them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, text

from gateway.store.database import Database
from gateway.store.migrating import MIGRATIONS, NewerSchema, migrate, schema_of
from gateway.store.schema import METADATA, SCHEMA, SCHEMAS, conversations, messages
from gateway.store.store import NEWER, Store
from services.runtime.settings import SettingsError
from tests.gateway.store.keeping import BOTH, OWNER, file_url, running
from tests.postgres import PostgresServer

ROWS: dict[str, Any] = {"owner": OWNER, "created_at": 1, "version": 1, "updated_at": 1}


def fill(connection: Connection) -> None:
    kept = {"id": "cv_" + "A" * 26, "title": "the harbour", "named": True, **ROWS}
    connection.execute(insert(conversations).values(kept))
    of = {"conversation": kept["id"], "owner": OWNER, "thinking": "", "status": "sent", "created_at": 1, "bytes": 5}
    said = [
        {"id": f"ms_{letter * 26}", "parent": parent, "role": role, "content": content, **of}
        for letter, parent, role, content in (
            ("A", None, "user", "ships"),
            ("B", "ms_" + "A" * 26, "assistant", "Boats that sail"),
        )
    ]
    connection.execute(insert(messages).values(said))


def everything(connection: Connection) -> list[dict[str, Any]]:
    found = []
    for table in (conversations, messages):
        rows = connection.execute(select(table).order_by(table.c.number)).mappings()
        found += [dict(row) for row in rows]
    return found


async def done(database: Database, *steps: Callable[[Connection], Any]) -> list[Any]:
    return [await database.prepare(step) for step in steps]


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return file_url(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    server.ask("CREATE DATABASE there_and_back")
    return server.url.replace("/postgres", "/there_and_back")


async def test_data_of_the_first_schema_goes_up_and_comes_back_as_it_was(url: str) -> None:
    database = Database(url)
    _, _, before = await done(database, lambda c: migrate(c, SCHEMAS[0]), fill, everything)
    await database.close()

    async with running(url) as store:
        found = [await store.search.page(OWNER, words, None) for words in ("harbour", "sail", "ships boats")]
        assert [len(page.rows) for page in found] == [1, 1, 0]

    database = Database(url)
    up, _, down, after = await done(database, everything, lambda c: migrate(c, SCHEMAS[0]), schema_of, everything)
    await done(database, migrate)
    again = (await done(database, everything))[0]
    await database.close()
    assert before == up == after == again
    assert down == SCHEMAS[0]


async def test_the_tables_are_those_that_statements_are_written_for(tmp_path: Path) -> None:
    database = Database(file_url(tmp_path))

    def columns(connection: Connection) -> dict[str, list[str]]:
        migrate(connection)
        asked = {table: connection.execute(text(f"PRAGMA table_info({table})")) for table in METADATA.tables}
        return {table: [row.name for row in rows] for table, rows in asked.items()}

    (found,) = await done(database, columns)
    await database.close()

    assert found == {name: [column.name for column in table.c] for name, table in METADATA.tables.items()}


def test_the_schemas_that_are_known_are_those_of_the_folder() -> None:
    script = ScriptDirectory(str(MIGRATIONS))

    assert [step.revision for step in script.walk_revisions()] == list(reversed(SCHEMAS))
    assert script.get_current_head() == SCHEMA


async def test_a_database_of_a_newer_version_is_not_touched_and_ends_the_start(tmp_path: Path) -> None:
    url = file_url(tmp_path)
    database = Database(url)

    def from_the_future(connection: Connection) -> None:
        migrate(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    await done(database, from_the_future)
    with pytest.raises(NewerSchema):
        await done(database, migrate)
    await database.close()

    store = Store(url)
    with pytest.raises(SettingsError) as refused:
        await store.start()
    await store.close()
    assert refused.value.problems == [NEWER]


async def test_a_step_that_fails_leaves_the_tables_as_they_were(tmp_path: Path) -> None:
    database = Database(file_url(tmp_path))

    def broken(connection: Connection) -> None:
        migrate(connection)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await done(database, broken)
    (schema,) = await done(database, schema_of)
    await database.close()

    assert schema is None


async def test_the_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    async with running(file_url(tmp_path)) as store:
        assert store.available
        modes = {file.name: file.stat().st_mode & 0o777 for file in files_of(tmp_path)}

    assert modes == {f"conversations.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm")}


def files_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())
