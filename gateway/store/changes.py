"""Hears that conversations changed, at whichever gateway: PostgreSQL says whose; SQLite is asked each second."""

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.conversations import CHANNEL
from gateway.store.database import Database
from gateway.store.refusals import StoreUnavailable

LOOK_S: Final = 1.0
Tell = Callable[[str | None], None]


class Changes:
    """Listens to ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hear(self, tell: Tell) -> None:
        """Tell whose conversations changed, None for anybody's, until the database is lost.

        Raises:
            StoreUnavailable: it is.
        """
        if not self._database.is_ready:
            raise StoreUnavailable("not ready")
        work = _looks if self._database.is_sqlite else _hears
        await self._database.listen(lambda connection: work(connection, tell))


async def _looks(connection: AsyncConnection, tell: Tell) -> None:
    """Ask for the number that grows with every change of another connection: all but this one write."""
    before = None
    while True:
        version = (await connection.exec_driver_sql("PRAGMA data_version")).scalar()
        await connection.rollback()
        if version != before:
            tell(None)
        before = version
        await asyncio.sleep(LOOK_S)


async def _hears(connection: AsyncConnection, tell: Tell) -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None

    def over(_connection: object) -> None:
        if not lost.done():
            lost.set_result(None)

    driver.add_termination_listener(over)
    await driver.add_listener(CHANNEL, lambda _connection, _pid, _channel, owner: tell(owner))
    tell(None)  # what changed before it was heard
    await lost
    raise StoreUnavailable("the connection was lost")
