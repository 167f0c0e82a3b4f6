from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.store import Store
from tests.gateway.store.keeping import file_url, running
from tests.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One cluster for all that need one."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def kind() -> str:
    """Which database; a module that is about statements has both: ``keeping.BOTH``."""
    return "sqlite"


@pytest.fixture
async def store(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store that holds nothing: in a file of its own, or in the cluster of all."""
    url = file_url(tmp_path) if kind == "sqlite" else request.getfixturevalue("postgres").url
    async with running(url) as one:
        if kind == "postgres":
            await one.database.write(emptied)
        yield one


async def emptied(connection: AsyncConnection) -> None:
    await connection.execute(text("TRUNCATE conversations CASCADE"))
