"""Full text over titles and messages: by the index, or, for languages whose words are not apart, over the newest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, and_, column, func, literal_column, or_, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.conversations import Page, newest_first, page_of
from gateway.store.database import Database
from gateway.store.schema import conversations, messages
from gateway.store.words import Words, excerpt

NEWEST: Final = 2_000
"""Messages that are looked through one by one."""
INDEXED_CHARACTERS: Final = 200_000
WORDS_OF: Final = {"conversations": "title_words", "messages": "message_words"}


class Search:
    """Finds conversations in ``database`` by what was said in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, owner: str, asked: str, before: str | None) -> Page:
        """Return those of ``owner`` in whose title, or in one of whose messages, all words of ``asked`` stand.

        Raises:
            StoreUnavailable: the database does not answer in time.
            BadBody: ``before`` is no place of this list.
        """
        words = Words.of(asked)
        if not words.words:
            return Page((), None)
        place = f"search {owner} {asked}"

        async def work(connection: AsyncConnection) -> tuple[Sequence[RowMapping], Mapping[str, Mapping[Any, Any]]]:
            found = _matching(connection, owner, words)
            mine = select(conversations).where(
                conversations.c.owner == owner,
                or_(
                    found.title,
                    conversations.c.id.in_(select(messages.c.conversation).where(found.message)),
                ),
            )
            rows = (await connection.execute(newest_first(mine, place, before))).mappings().all()
            return rows, await _matches(connection, rows, found.message)

        rows, matches = await self._database.read(work)
        page = page_of(rows, place)
        nothing = {"id": None, "content": ""}
        shown = []
        for row in page.rows:
            match = matches.get(row["id"], nothing)
            told = excerpt(match["content"] or row["title"], words)
            shown.append({**row, "match": {"message_id": match["id"], "excerpt": told}})
        return Page(shown, page.next)


@dataclass(frozen=True, slots=True)
class _Matching:
    """When a conversation's title matches, and when a message does."""

    title: ColumnElement[bool]
    message: ColumnElement[bool]


def _matching(connection: AsyncConnection, owner: str, words: Words) -> _Matching:
    mine = messages.c.owner == owner
    if not words.are_indexed:
        newest = select(messages.c.number).where(mine).order_by(messages.c.number.desc()).limit(NEWEST)
        content = func.substr(messages.c.content, 1, INDEXED_CHARACTERS)
        return _Matching(
            _like(conversations.c.title, words), and_(messages.c.number.in_(newest), _like(content, words))
        )
    if connection.dialect.name == "postgresql":
        query = _tsquery(words)
        title, message = (_postgres_words(one).op("@@")(query) for one in ("conversations", "messages"))
    else:
        title = conversations.c.number.in_(_fts5("conversations", words))
        message = messages.c.number.in_(_fts5("messages", words))
    return _Matching(title, and_(mine, message))


def _like(content: ColumnElement[str], words: Words) -> ColumnElement[bool]:
    return and_(*(content.ilike(one, escape="\\") for one in words.for_like))


def _fts5(of: str, words: Words) -> Select[Any]:
    name = WORDS_OF[of]
    return (
        select(column("rowid"))
        .select_from(table(name))
        .where(text(f"{name} MATCH :words").bindparams(words=words.for_fts5))
    )


def _postgres_words(of: str) -> ColumnElement[Any]:
    return literal_column(f"{of}.words")


def _tsquery(words: Words) -> ColumnElement[Any]:
    """Each word is a phrase, as the index splits it; all of them must match."""
    query: ColumnElement[Any] = func.phraseto_tsquery("simple", words.words[0])
    for word in words.words[1:]:
        query = query.op("&&")(func.phraseto_tsquery("simple", word))
    return query


async def _matches(
    connection: AsyncConnection, rows: Sequence[RowMapping], matching: ColumnElement[bool]
) -> Mapping[str, Mapping[Any, Any]]:
    """Return the newest message that matches in each of these conversations."""
    names = [row["id"] for row in rows]
    newest = select(func.max(messages.c.number)).where(messages.c.conversation.in_(names), matching)
    newest = newest.group_by(messages.c.conversation)
    content = func.substr(messages.c.content, 1, INDEXED_CHARACTERS).label("content")
    asked = select(messages.c.conversation, messages.c.id, content).where(messages.c.number.in_(newest))
    return {row["conversation"]: row for row in (await connection.execute(asked)).mappings()}
