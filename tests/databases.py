"""Either database that conversations may be kept in, empty: a file, or a PostgreSQL of this machine."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.postgres import running_postgres


class Database(Protocol):
    """What a gateway is given, and an operator asks."""

    @property
    def url(self) -> str:
        """Where it is, for a gateway."""
        ...

    def ask(self, statement: str) -> str:
        """Run a statement; return its rows as lines, their columns parted by ``|``."""
        ...

    def refusing_writes(self) -> contextlib.AbstractContextManager[None]:
        """Let it be read, and take no writes, until the block ends."""
        ...


@dataclass(frozen=True)
class SqliteFile:
    """A file in a folder of its own."""

    path: Path

    @property
    def url(self) -> str:
        """Where it is, for a gateway."""
        return f"sqlite:///{self.path}"

    def ask(self, statement: str) -> str:
        """Run a statement as an operator does."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
            return "\n".join("|".join(map(str, row)) for row in connection.execute(statement))

    @contextlib.contextmanager
    def refusing_writes(self) -> Iterator[None]:
        """Be another writer that takes its time."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=10)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def running_database(kind: str) -> Iterator[Database]:
    """Give one of ``kind``, "sqlite" or "postgres", until the block ends."""
    if kind == "postgres":
        with running_postgres() as server:
            yield server
        return
    folder = Path(tempfile.mkdtemp(prefix="sluice-sqlite-"))
    try:
        yield SqliteFile(folder / "conversations.db")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
