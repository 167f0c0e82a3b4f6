"""Whose conversations there are, what each is set to, and its messages: what their owner reads and changes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import RowMapping, Select, and_, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store import cursor
from gateway.store.database import Database
from gateway.store.ids import new_conversation_id
from gateway.store.limits import MOST_CONVERSATIONS, PAGE, PAGE_BYTES
from gateway.store.refusals import Conflict, NotFound
from gateway.store.rows import Status
from gateway.store.schema import as_shown, conversations, messages
from gateway.store.shapes import conversation_of, message_of
from services.wire.request import BadBody

CHANNEL: Final = "sluice_conversations"
_LIGHT: Final = as_shown(column for column in messages.c if column.name != "turns")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, and where the next one begins; None: there is none."""

    rows: Sequence[Mapping[str, Any]]
    next: str | None


async def changed(connection: AsyncConnection, owner: str) -> None:
    """Tell who listens at other gateways that something of ``owner`` is another now, once this is committed."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_notify(CHANNEL, owner)))


async def demand_own(
    connection: AsyncConnection, owner: str, conversation_id: str, *, alone: bool = False
) -> RowMapping:
    """Return the row of a conversation.

    Args:
        alone: whoever else wants it so waits until this is committed; SQLite's writers are alone anyhow.

    Raises:
        NotFound: there is none, or it is another's.
    """
    asked = select(conversations).where(conversations.c.id == conversation_id, conversations.c.owner == owner)
    asked = asked.with_for_update() if alone else asked
    row = (await connection.execute(asked)).mappings().one_or_none()
    if row is None:
        raise NotFound
    return row


async def demand_room(connection: AsyncConnection, owner: str, more: int = 1) -> None:
    """Refuse more conversations than an owner may have.

    Raises:
        Conflict: so many.
    """
    counted = select(func.count()).select_from(conversations).where(conversations.c.owner == owner)
    if (await connection.execute(counted)).scalar_one() + more > MOST_CONVERSATIONS:
        raise Conflict(f"You have {MOST_CONVERSATIONS:,} conversations, or would: delete some first.")


class Conversations:
    """What is asked of ``database`` by the routes; each raises StoreUnavailable where it does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, owner: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Make one, empty; ``settings`` are its columns.

        Raises:
            Conflict: there are too many.
        """
        now = int(time.time() * 1000)
        row = {
            "id": new_conversation_id(),
            "owner": owner,
            "title": "",
            "named": False,
            "model": None,
            "system": None,
            "think": None,
            "options": None,
            **settings,
            "current": None,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }

        async def work(connection: AsyncConnection) -> RowMapping:
            await demand_room(connection, owner)
            written = await connection.execute(insert(conversations).values(row).returning(conversations))
            made: RowMapping = written.mappings().one()
            await changed(connection, owner)
            return made

        return conversation_of(await self._database.write(work))

    async def page(self, owner: str, before: str | None) -> Page:
        """Return the newest, or those before a place that an earlier page ended at.

        Raises:
            BadBody: that is no such place.
        """
        place = f"list {owner}"
        asked = select(conversations).where(conversations.c.owner == owner)

        async def work(connection: AsyncConnection) -> Sequence[RowMapping]:
            found = await connection.execute(newest_first(asked, place, before))
            rows: Sequence[RowMapping] = found.mappings().all()
            return rows

        return page_of(await self._database.read(work), place)

    async def one(self, owner: str, conversation_id: str) -> dict[str, Any]:
        """Return a conversation.

        Raises:
            NotFound: there is none.
        """

        async def work(connection: AsyncConnection) -> RowMapping:
            return await demand_own(connection, owner, conversation_id)

        row = await self._database.read(work)
        return conversation_of(row)

    async def change(self, owner: str, conversation_id: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Set some of its columns; return it as it is then.

        Raises:
            NotFound: there is none.
            BadBody: ``current`` is none of its messages.
        """

        async def work(connection: AsyncConnection) -> RowMapping:
            await demand_own(connection, owner, conversation_id)
            if "current" in settings:
                await _demand_message(connection, conversation_id, settings["current"])
            values = {**settings, "version": conversations.c.version + 1}
            await connection.execute(update(conversations).where(conversations.c.id == conversation_id).values(values))
            await changed(connection, owner)
            return await demand_own(connection, owner, conversation_id)

        row = await self._database.write(work)
        return conversation_of(row)

    async def messages(self, owner: str, conversation_id: str, before: str | None) -> Page:
        """Return its newest messages, or those before one of them: oldest first, all branches.

        Raises:
            NotFound: there is no such conversation.
            BadBody: ``before`` is none of its messages.
        """

        async def work(connection: AsyncConnection) -> tuple[Sequence[RowMapping], bool]:
            await demand_own(connection, owner, conversation_id)
            number = None if before is None else await _demand_message(connection, conversation_id, before)
            there = messages.c.conversation == conversation_id
            if number is not None:
                there = and_(there, messages.c.number < number)
            sizes = select(messages.c.number, messages.c.bytes).where(there).order_by(messages.c.number.desc())
            found = (await connection.execute(sizes.limit(PAGE + 1))).all()
            taken = fitting([row.bytes for row in found[:PAGE]])
            if not taken:
                return (), False
            asked = select(*_LIGHT).where(there, messages.c.number >= found[taken - 1].number)
            return (await connection.execute(asked.order_by(messages.c.number))).mappings().all(), taken < len(found)

        rows, more = await self._database.read(work)
        shown = [message_of(row) for row in rows]
        return Page(shown, shown[0]["id"] if more else None)

    async def streaming(self, owner: str, conversation_id: str) -> list[str]:
        """Return the streams of its answers that are not over.

        Raises:
            NotFound: there is no such conversation.
        """

        async def work(connection: AsyncConnection) -> list[str]:
            await demand_own(connection, owner, conversation_id)
            return await _streaming(connection, conversation_id)

        return await self._database.read(work)

    async def delete(self, owner: str, conversation_id: str) -> list[str]:
        """Delete it with all its messages and what is searched of them; return the streams of answers not over.

        An answer that begins meanwhile has either its row, and is among them, or hears that the conversation is gone.

        Raises:
            NotFound: there is none.
        """

        async def work(connection: AsyncConnection) -> list[str]:
            await demand_own(connection, owner, conversation_id, alone=True)
            running = await _streaming(connection, conversation_id)
            await connection.execute(delete(conversations).where(conversations.c.id == conversation_id))
            await changed(connection, owner)
            return running

        return await self._database.write(work)


def newest_first(asked: Select[tuple[Any, ...]], place: str, before: str | None) -> Select[tuple[Any, ...]]:
    """Return the statement of one page, and one row more."""
    order = tuple_(conversations.c.updated_at, conversations.c.number)
    if before is not None:
        asked = asked.where(order < tuple_(*cursor.read(place, before)))
    return asked.order_by(conversations.c.updated_at.desc(), conversations.c.number.desc()).limit(PAGE + 1)


def page_of(rows: Sequence[RowMapping], place: str) -> Page:
    """Return what such a statement found, as it is shown."""
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    return Page(
        [conversation_of(row) for row in rows[:PAGE]],
        None if last is None else cursor.written(place, last["updated_at"], last["number"]),
    )


def fitting(sizes: Sequence[int]) -> int:
    """Return how many of these make a page: one at least."""
    total = 0
    for place, size in enumerate(sizes):
        total += size
        if place and total > PAGE_BYTES:
            return place
    return len(sizes)


async def _streaming(connection: AsyncConnection, conversation_id: str) -> list[str]:
    there = (messages.c.conversation == conversation_id, messages.c.status == Status.STREAMING)
    found = await connection.execute(select(messages.c.stream_id).where(*there))
    return [row.stream_id for row in found if row.stream_id]


async def _demand_message(connection: AsyncConnection, conversation_id: str, message_id: str) -> int:
    """Return the number of a message of that conversation.

    Raises:
        BadBody: it is none.
    """
    asked = select(messages.c.number).where(messages.c.id == message_id, messages.c.conversation == conversation_id)
    number = (await connection.execute(asked)).scalar_one_or_none()
    if number is None:
        raise BadBody("this message is none of this conversation")
    return int(number)
