"""What 100,000 kept messages cost: lists, search, a page, a history; and which index the database names for each.

``python -m tests.bench.kept [URL]``: of one owner among three, in 2,000 conversations of 50. Without a URL, in a SQLite
file of its own; a PostgreSQL has to be empty, and stays filled. docs/performance.md has what it printed.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import Database
from gateway.store.schema import conversations, messages
from gateway.store.store import Store

OWNERS: Final = ("a" * 32, "b" * 32, "c" * 32)
CONVERSATIONS: Final = 2_000
MESSAGES: Final = 50
WORDS: Final = 60
"""Of a message, of some 400 characters."""
ASKED: Final = 15
_NUMBERS: Final = random.Random(7)
_VOCABULARY: Final = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in ("r", "st", "ving", "mos", "la", "n")]


def name(prefix: str, number: int) -> str:
    """Return an id of ours."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return prefix + "A" * 16 + "".join(digits[number >> shift & 31] for shift in range(45, -5, -5))


def said(number: int) -> str:
    """Return a message; each has the word everywhere, and every thousandth the word seldom."""
    words = _NUMBERS.choices(_VOCABULARY, k=WORDS)
    return " ".join([*words, "everywhere", *(["seldom"] if number % 1_000 == 0 else []), f"only{number}"])


def rows_of(conversation: int, owner: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a conversation's row and those of its messages."""
    first = conversation * MESSAGES
    now = 1_700_000_000_000 + first * 1_000
    kept = {
        "id": name("cv_", conversation),
        "owner": owner,
        "title": said(first + 1)[:80],
        "named": False,
        "version": 1,
        "current": name("ms_", first + MESSAGES - 1),
        "created_at": now,
        "updated_at": now,
    }
    of = {"conversation": kept["id"], "owner": owner, "thinking": "", "status": "sent", "bytes": 400}
    return kept, [
        {
            "id": name("ms_", first + place),
            "role": ("user", "assistant")[place % 2],
            "content": said(first + place),
            "parent": name("ms_", first + place - 1) if place else None,
            "created_at": now + place,
            **of,
        }
        for place in range(MESSAGES)
    ]


async def fill(database: Database) -> None:
    """Write it all, a hundred conversations in a transaction; every second one is the first owner's."""

    async def work(connection: AsyncConnection, start: int) -> None:
        for number in range(start, start + 100):
            kept, those = rows_of(number, OWNERS[0] if number % 2 else OWNERS[1 + number % 4 // 2])
            await connection.execute(insert(conversations).values(kept))
            await connection.execute(insert(messages), those)

    for start in range(0, 2 * CONVERSATIONS, 100):
        await database.write(lambda connection, start=start: work(connection, start), within_s=600)  # type: ignore[misc] # a default binds it
    if not database.is_sqlite:
        await database.write(lambda connection: connection.execute(text("ANALYZE")), within_s=600)


def questions(store: Store) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    """Yield what is asked, in words."""
    owner, kept = OWNERS[0], name("cv_", 2 * CONVERSATIONS - 1)
    yield "the list, its newest 50", lambda: store.conversations.page(owner, None)
    yield "one conversation", lambda: store.conversations.one(owner, kept)
    yield "a page of 50 messages", lambda: store.conversations.messages(owner, kept, None)
    yield "a history of 50 messages", lambda: store.answers.path(owner, kept, None, 1_000)
    yield (
        "search: a word of one message",
        lambda: store.search.page(owner, f"only{2 * CONVERSATIONS * MESSAGES - 1}", None),
    )
    yield "search: a word of every thousandth", lambda: store.search.page(owner, "seldom", None)
    yield "search: a word of all 100,000", lambda: store.search.page(owner, "everywhere", None)
    yield "search: two words of all", lambda: store.search.page(owner, "everywhere mar", None)
    yield "search: without spaces, 2,000 looked through", lambda: store.search.page(owner, "港", None)


async def plans(database: Database, asking: Callable[[], Awaitable[Any]]) -> str:
    """Return which indexes the database names for what is asked."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            statements.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await asking()
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "

    async def work(connection: AsyncConnection) -> list[str]:
        told = []
        for statement, parameters in statements:
            found = await connection.exec_driver_sql(explain + statement, parameters)
            told += [str(row[-1]) for row in found.all()]
        return told

    lines = await database.read(work, within_s=60)
    known = (
        "conversations_of_owner", "messages_of_owner", "messages_of_conversation", "message_words", "title_words",
        "conversations_by_age", "messages_pkey",
        "sqlite_autoindex_messages_1", "sqlite_autoindex_conversations_1", "messages_id_key", "conversations_id_key",
    )  # fmt: skip
    used = [index for index in known if any(index in line for line in lines)]
    scans = sorted(
        {line.strip() for line in lines if line.strip().startswith(("SCAN messages", "Seq Scan", "->  Seq Scan"))}
    )
    return ", ".join(used) + (f"; {'; '.join(scans)}" if scans else "")


async def measure(url: str) -> None:
    """Fill it, and print a row for each question."""
    store = Store(url)
    await store.start()
    try:
        began = time.perf_counter()
        await fill(store.database)
        print(f"written in {time.perf_counter() - began:.0f} s")
        for words, asking in questions(store):
            taken = []
            for _ in range(ASKED):
                began = time.perf_counter()
                await asking()
                taken.append((time.perf_counter() - began) * 1000)
            middle, worst = statistics.median(taken), max(taken)
            print(f"| {words} | {middle:.1f} | {worst:.1f} | {await plans(store.database, asking)} |", flush=True)
    finally:
        await store.close()


def main(words: list[str]) -> None:
    """Measure what is named, or a file of its own."""
    if words:
        asyncio.run(measure(words[0]))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kept.db"
        asyncio.run(measure(f"sqlite:///{file}"))
        print(f"{file.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
