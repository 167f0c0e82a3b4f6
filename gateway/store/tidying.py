"""What is old goes, and what is gone is nowhere: rows past their days; words and pages of what was deleted."""

import time
from functools import partial
from typing import Final

from sqlalchemy import delete, exists, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.conversations import changed
from gateway.store.database import Database
from gateway.store.rows import Status
from gateway.store.schema import conversations, messages
from gateway.store.search import WORDS_OF

BATCH: Final = 100
"""Conversations deleted in one transaction: others write between two of them."""
MERGED_PAGES: Final = 500
"""Of SQLite's index in one transaction, some 20 ms."""
_MERGED: Final = 2
"""A step that changes less had nothing left to do, as FTS5 says."""
_DAY_MS: Final = 86_400_000


async def delete_old(database: Database, days: int) -> int:
    """Delete conversations whose last message came more than ``days`` ago, unless one still comes; return how many."""
    before = int(time.time() * 1000) - days * _DAY_MS
    streams = exists().where(messages.c.conversation == conversations.c.id, messages.c.status == Status.STREAMING)
    old = select(conversations.c.number).where(conversations.c.updated_at < before, ~streams).limit(BATCH)

    async def work(connection: AsyncConnection) -> int:
        gone = delete(conversations).where(conversations.c.number.in_(old), ~streams)
        owners = (await connection.execute(gone.returning(conversations.c.owner))).scalars().all()
        for owner in sorted(set(owners)):
            await changed(connection, owner)
        return len(owners)

    total = 0
    while deleted := await database.write(work):
        total += deleted
    return total


async def forget(database: Database) -> None:
    """Let nothing be left of what was deleted in SQLite's files: PostgreSQL's vacuum does that by itself.

    FTS5 marks the words of a deleted row, and drops them when it merges; the log beside the file holds old pages.
    """
    if not database.is_sqlite:
        return
    for words in WORDS_OF.values():
        pages = -MERGED_PAGES  # the first step: all of it, however little there is
        while await database.write(partial(_merged, words=words, pages=pages)):
            pages = MERGED_PAGES
    await database.empty_log()


async def _merged(connection: AsyncConnection, words: str, pages: int) -> bool:
    """Merge a part of an index; return whether there may be more."""
    counted = text("SELECT total_changes()")
    before = (await connection.execute(counted)).scalar_one()
    merge = text(f"INSERT INTO {words}({words}, rank) VALUES ('merge', :pages)")  # noqa: S608 a name of ours
    await connection.execute(merge, {"pages": pages})
    return int((await connection.execute(counted)).scalar_one()) - int(before) >= _MERGED
