"""One SQLite file, or one PostgreSQL: connections, what they may cost, and whose failure is what.

Work is done in a task of its own. Who asked waits for so long and no longer, and may leave: a driver that hangs in a
thread, or in a socket that nobody answers, holds up nobody but its connection. PostgreSQL is told to stop then; SQLite
goes on to its end, which is near.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.store.refusals import StoreUnavailable
from services.runtime.tasks import Tasks

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

READ_S: Final = 2.0
"""How long a request waits for what it reads."""
WRITE_S: Final = 5.0
BUSY_S: Final = 4.0
"""How long SQLite waits for another writer, in its own thread."""
EMPTIED_S: Final = 0.02
"""Between two looks whether another has emptied the log; it takes some milliseconds."""
CONNECT_S: Final = 2.0
CLOSE_S: Final = BUSY_S + 1.0
SQLITE_CONNECTIONS: Final = 3
POSTGRES_CONNECTIONS: Final = 8
"""SQLite has one writer at a time, and each connection is a thread. No more wait in line for PostgreSQL than for it."""
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_BEGINS: Final = "sluice_begins"
_PRAGMAS: Final = (
    "journal_mode=WAL",  # who reads waits for no writer
    "synchronous=FULL",  # what was stored is there after a power cut
    "foreign_keys=ON",
    "secure_delete=ON",  # what was deleted is overwritten
)
_OURS: Final = (IntegrityError, ProgrammingError, DataError, NotSupportedError)
"""Not mended by waiting: a bug of ours, or a row that cannot be written."""
_NEVER_TAKEN: Final = ("22", "54", "21", "44")
"""How PostgreSQL's codes begin where a row is wrong: its data, its size, that there are several, a view's check.

To SQLAlchemy they are errors like any other. Waiting is for the classes 08, 25, 40, 53, 55, 57 and 58, and for XX, too:
its own faults, which a repair of its files mends.
"""
_RIGHT_WITHDRAWN: Final = "42501"
"""PostgreSQL says that its user may not: to the driver a bug, yet mended once the right is given back."""


class Fault(Exception):
    """A statement that no waiting mends; its words are left out, for they quote what it was about."""


class Database:
    """The connections to ``url``: ``sqlite:///path`` or ``postgresql://…``."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.drivername == "sqlite"
        kind = "sqlite" if self.is_sqlite else "postgresql"
        self._file = Path(parsed.database or "") if self.is_sqlite else None
        pool = {
            "pool_size": SQLITE_CONNECTIONS if self.is_sqlite else POSTGRES_CONNECTIONS,
            "max_overflow": 0,
            "pool_timeout": READ_S,
        }
        self.engine = _engine(parsed, kind, **pool, pool_pre_ping=not self.is_sqlite)  # one started anew forgot them
        self._listening = _engine(parsed, kind, poolclass=NullPool)
        self._tasks = Tasks()
        self.is_ready = False
        """Whether its tables are known to be there, and up to date: until then nothing but that is asked."""

    async def read(self, work: Work[T], *, within_s: float = READ_S) -> T:
        """Return what ``work`` reads.

        Raises:
            StoreUnavailable: it could not be read in time.
            Fault: it never can be.
        """

        async def reading() -> T:
            async with self.engine.connect() as connection:
                return await work(connection)

        return await self._in_time(within_s, reading, demand_ready=True)

    async def write(self, work: Work[T], *, within_s: float = WRITE_S) -> T:
        """Do ``work`` in one transaction; raises as :meth:`read` does: then nothing was written, as far as is known."""

        async def writing() -> T:
            async with self.engine.execution_options(**{_BEGINS: "BEGIN IMMEDIATE"}).begin() as connection:
                return await work(connection)

        return await self._in_time(within_s, writing, demand_ready=True)

    async def prepare(self, migrate: Callable[[Connection], T]) -> T:
        """Let ``migrate`` bring the tables up to date; it has the transaction for itself, and as long as it takes."""
        if self._file is not None:
            _make_private(self._file)

        async def preparing() -> T:
            async with self.engine.execution_options(**{_BEGINS: "BEGIN IMMEDIATE"}).begin() as connection:
                return await connection.run_sync(migrate)

        return await self._translated(preparing)

    async def answers(self) -> None:
        """Answer.

        Raises:
            StoreUnavailable: it does not.
        """

        async def asking() -> None:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT version_num FROM alembic_version"))

        await self._in_time(READ_S, asking)

    async def empty_log(self) -> None:
        """Empty the log that SQLite keeps beside its file: what was deleted is in neither then.

        Another who empties it is waited for here: SQLite waits for readers and writers, yet not for that one.

        Raises:
            StoreUnavailable: somebody reads what it was before, for longer than one waits for another writer.
        """

        async def emptying() -> None:
            until = time.monotonic() + BUSY_S
            async with self.engine.execution_options(**{_BEGINS: ""}).connect() as connection:
                while (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar():
                    if time.monotonic() > until:
                        raise StoreUnavailable("SQLITE_BUSY")
                    await asyncio.sleep(EMPTIED_S)

        await self._in_time(WRITE_S, emptying)

    async def listen(self, work: Work[T]) -> T:
        """Do ``work``, for as long as it takes, on a connection of its own and outside a transaction.

        Raises:
            StoreUnavailable: there is none, or it is lost.
        """

        async def listening() -> T:
            async with self._listening.execution_options(**{_BEGINS: ""}).connect() as connection:
                try:
                    return await work(connection)
                finally:  # closed politely it would wait for the server's word, and one that hangs never says it
                    await connection.invalidate()

        return await self._translated(listening)

    async def close(self) -> None:
        """Give every connection back, once what is done on it is done; a server that hangs is left as it is."""
        await self._tasks.finish(CLOSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.engine.dispose()
                await self._listening.dispose()

    async def _in_time(self, seconds: float, work: Callable[[], Awaitable[T]], *, demand_ready: bool = False) -> T:
        if demand_ready and not self.is_ready:
            raise StoreUnavailable("away")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def tell() -> None:
            try:
                value = await self._translated(work)
            except Exception as exc:  # noqa: BLE001 whoever waits hears of it
                if not outcome.done():
                    outcome.set_exception(exc)
            else:
                if not outcome.done():
                    outcome.set_result(value)

        task = self._tasks.spawn(tell(), "database")
        try:
            async with asyncio.timeout(seconds):
                return await outcome
        except TimeoutError:
            raise StoreUnavailable("TimeoutError") from None
        finally:
            if not self.is_sqlite:  # whose driver, cancelled within a transaction, may keep the writer's place for ever
                task.cancel()  # harmless where it is done

    async def _translated(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except (DBAPIError, NoConnectionLeft, OSError, TimeoutError) as exc:
            cause = (exc.orig if isinstance(exc, DBAPIError) else None) or exc
            code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
            why = " ".join(filter(None, (type(cause).__name__, code)))
            raise Fault(why) if _is_ours(exc, code or "") else StoreUnavailable(why) from None


def _is_ours(exc: Exception, code: str) -> bool:
    """Whether no waiting mends it."""
    if isinstance(exc, _OURS):
        return code != _RIGHT_WITHDRAWN
    return code == "SQLITE_ERROR" or code.startswith(_NEVER_TAKEN)


def _engine(url: URL, kind: str, **more: Any) -> AsyncEngine:
    engine = create_async_engine(
        _for_driver(url, kind), hide_parameters=True, connect_args=_connect_args(url, kind), **more
    )
    if kind == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        event.listen(engine.sync_engine, "handle_error", _let_go_of_read_only)
    return engine


def _for_driver(url: URL, kind: str) -> URL:
    """Return ``url`` as SQLAlchemy takes it; libpq's word for TLS is asyncpg's argument."""
    return url.set(drivername=_DRIVERS[kind]).difference_update_query(["sslmode"])


def _connect_args(url: URL, kind: str) -> Mapping[str, Any]:
    if kind == "sqlite":
        return {"isolation_level": None, "timeout": BUSY_S}  # we begin transactions ourselves
    tls = url.query.get("sslmode")
    return {
        "timeout": CONNECT_S,
        "server_settings": {"application_name": "sluice"},
        **({"ssl": tls} if tls else {}),
    }


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the writer's place at once where it will be wanted: a reader that becomes a writer may find it taken."""
    if begins := connection.get_execution_options().get(_BEGINS, "BEGIN"):
        connection.exec_driver_sql(begins)


def _let_go_of_read_only(failure: ExceptionContext) -> None:
    """Have connections opened anew: SQLite opens a file that is read-only as such, and for as long as it is open."""
    code: str = getattr(failure.original_exception, "sqlite_errorname", "")
    if code.startswith("SQLITE_READONLY"):
        failure.is_disconnect = True


def _make_private(file: Path) -> None:
    """Make the file, if it is not there, readable by us alone; what SQLite puts beside it is as readable as it."""
    with suppress(OSError):  # it is there, or SQLite says what is wrong
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
