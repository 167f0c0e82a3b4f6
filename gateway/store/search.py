"""Full text over titles and messages: by the index, or, for languages whose words are not apart, over the newest.

words ─▶ hits: one's newest messages in which they stand ─▶ the newest of each conversation ─▶ a page of these
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    TableClause,
    TextClause,
    and_,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.conversations import Page, newest_first, page_of
from gateway.store.database import Database
from gateway.store.schema import conversations, messages
from gateway.store.words import Words, excerpt

NEWEST: Final = 2_000
"""Messages that are looked through one by one."""
MOST_HITS: Final = 5_000
"""Messages that count: of a word that stands everywhere the newest do, and a tenth of a second is enough for them."""
INDEXED_CHARACTERS: Final = 200_000
WORDS_OF: Final = {"conversations": "title_words", "messages": "message_words"}
_CONTENT: Final = func.substr(messages.c.content, 1, INDEXED_CHARACTERS)


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

        async def work(connection: AsyncConnection) -> tuple[Sequence[RowMapping], Mapping[int, RowMapping]]:
            is_sqlite = connection.dialect.name == "sqlite"
            statement = newest_first(_found(owner, words, is_sqlite=is_sqlite), place, before)
            rows: Sequence[RowMapping] = (await connection.execute(statement)).mappings().all()
            asked = select(messages.c.number, messages.c.id, _CONTENT.label("content"))
            hits = asked.where(messages.c.number.in_([row["hit"] for row in rows if row["hit"] is not None]))
            return rows, {row["number"]: row for row in (await connection.execute(hits)).mappings()}

        rows, hits = await self._database.read(work)
        page = page_of(rows, place)
        shown = [
            {**told, "match": _match(row["title"], hits.get(row["hit"]), words)}
            for told, row in zip(page.rows, rows, strict=False)
        ]
        return Page(shown, page.next)


def _match(title: str, hit: RowMapping | None, words: Words) -> dict[str, str | None]:
    """Return where the words stand: in a message, or in the title alone."""
    if hit is None:
        return {"message_id": None, "excerpt": excerpt(title, words)}
    return {"message_id": hit["id"], "excerpt": excerpt(hit["content"], words)}


def _found(owner: str, words: Words, *, is_sqlite: bool) -> Select[tuple[Any, ...]]:
    """Return the statement of all conversations that are found, each with the number of its newest hit."""
    if not words.are_indexed:
        hits, title = _looked_through(owner, words), _like(conversations.c.title, words)
    elif is_sqlite:
        hits, title = _hits_of_fts5(owner, words), _title_in_fts5(words)
    else:
        query = _tsquery(words)
        hits = _hits().where(messages.c.owner == owner, literal_column("messages.words").op("@@")(query))
        hits = hits.order_by(messages.c.number.desc()).limit(MOST_HITS)
        title = literal_column("conversations.words").op("@@")(query)
    hit = hits.cte("hits")
    newest = select(hit.c.conversation, func.max(hit.c.number).label("hit")).group_by(hit.c.conversation).cte("newest")
    found = select(conversations, newest.c.hit).outerjoin(newest, newest.c.conversation == conversations.c.id)
    return found.where(conversations.c.owner == owner, or_(newest.c.hit.is_not(None), title))


def _hits() -> Select[Any]:
    return select(messages.c.number, messages.c.conversation)


def _looked_through(owner: str, words: Words) -> Select[Any]:
    newest = select(messages.c.number).where(messages.c.owner == owner)
    newest = newest.order_by(messages.c.number.desc()).limit(NEWEST)
    return _hits().where(messages.c.number.in_(newest), _like(_CONTENT, words))


def _like(content: ColumnElement[str], words: Words) -> ColumnElement[bool]:
    return and_(*(content.ilike(one, escape="\\") for one in words.for_like))


def _hits_of_fts5(owner: str, words: Words) -> Select[Any]:
    """Return the newest hits: FTS5 gives its rows from the newest on, and is asked for no more than are wanted."""
    index, matching = _fts5("messages", words)
    found = _hits().join(index, index.c.rowid == messages.c.number).where(matching, messages.c.owner == owner)
    return found.order_by(index.c.rowid.desc()).limit(MOST_HITS)


def _title_in_fts5(words: Words) -> ColumnElement[bool]:
    index, matching = _fts5("conversations", words)
    return conversations.c.number.in_(select(index.c.rowid).where(matching))


def _fts5(of: str, words: Words) -> tuple[TableClause, TextClause]:
    """Return the index, and when it matches: every word a phrase."""
    name = WORDS_OF[of]
    return table(name, column("rowid")), text(f"{name} MATCH :words").bindparams(words=words.for_fts5)


def _tsquery(words: Words) -> ColumnElement[Any]:
    """Each word is a phrase, as the index splits it; all of them must match."""
    query: ColumnElement[Any] = func.phraseto_tsquery("simple", words.words[0])
    for word in words.words[1:]:
        query = query.op("&&")(func.phraseto_tsquery("simple", word))
    return query
