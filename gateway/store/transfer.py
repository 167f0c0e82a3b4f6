"""Conversations out, as a file in pieces, and in again: here or elsewhere, whole or piece by piece."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store import cursor
from gateway.store.conversations import changed, demand_room
from gateway.store.database import Database
from gateway.store.importing import ImportedConversation
from gateway.store.limits import MOST_MESSAGES, PAGE, PAGE_BYTES
from gateway.store.refusals import Conflict
from gateway.store.schema import as_shown, conversations, messages
from gateway.store.shapes import conversation_of, message_of
from services.wire.request import BadBody

IMPORT_S: Final = 60.0
"""16 MiB take a second or two; others of a SQLite file wait for it."""
_WHOLE: Final = as_shown(messages.c)
_AT_ONCE: Final = 200
"""Rows in one statement: fifteen thousand values are too many for either database."""


@dataclass(slots=True)
class Counts:
    """How many there were of what a file brought, and how many were there already."""

    imported: int = 0
    skipped: int = 0


@dataclass(slots=True)
class Imported:
    """What became of a file."""

    conversations: Counts = field(default_factory=Counts)
    messages: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some conversations with their messages, and where the next piece begins."""

    conversations: Sequence[Mapping[str, Any]]
    next: str | None


class Transfer:
    """Moves what one owner has in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def piece(self, owner: str, after: str | None) -> Piece:
        """Return the first conversations, or those behind the piece that ended at ``after``, oldest first.

        Raises:
            BadBody: that is no such place.
        """
        place = f"export {owner}"
        first, last_message = (0, 0) if after is None else cursor.read(place, after)

        async def work(connection: AsyncConnection) -> tuple[list[Mapping[str, Any]], tuple[int, int] | None]:
            of = (conversations.c.owner == owner, conversations.c.number >= first)
            asked = select(conversations).where(*of).order_by(conversations.c.number).limit(PAGE + 1)
            found = (await connection.execute(asked)).mappings().all()
            taken: list[Mapping[str, Any]] = []
            room, behind = PAGE_BYTES, last_message
            for row in found[:PAGE]:
                said, more = await _some_messages(connection, row["id"], behind, room, demand_one=not taken)
                taken.append({**conversation_of(row), "messages": [_whole(message) for message in said]})
                behind = said[-1]["number"] if said else behind
                room -= sum(message["bytes"] for message in said) + len(row["system"] or "")
                if more:
                    return taken, (row["number"], behind)
                behind = 0
            return taken, (found[PAGE]["number"], 0) if len(found) > PAGE else None

        taken, rest = await self._database.read(work)
        return Piece(taken, None if rest is None else cursor.written(place, *rest))

    async def take_in(self, owner: str, brought: Sequence[ImportedConversation]) -> Imported:
        """Write what is not there yet; nothing that is there becomes another.

        Raises:
            BadBody: a message hangs under none that is in the file or there.
            Conflict: there would be too many.
        """

        async def work(connection: AsyncConnection) -> Imported:
            await _alone(connection, owner)
            told = Imported()
            names = [one.row["id"] for one in brought]
            owners = {row.id: row.owner for row in await _rows_of(connection, names)}
            await demand_room(connection, owner, len(names) - len(owners))
            for one in brought:
                if owners.get(one.row["id"], owner) == owner:
                    await _take_in(connection, one, told, is_new=one.row["id"] not in owners)
                else:
                    told.conversations.skipped += 1
                    told.messages.skipped += len(one.messages)
            await changed(connection, owner)
            return told

        return await self._database.write(work, within_s=IMPORT_S)


async def _alone(connection: AsyncConnection, owner: str) -> None:
    """Let imports of one owner wait for each other, or two of one file would both find nothing; SQLite's writers do."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(owner, 0))))


async def _some_messages(
    connection: AsyncConnection, conversation: str, behind: int, room: int, *, demand_one: bool
) -> tuple[Sequence[RowMapping], bool]:
    """Return the messages behind a number for which there is room, and whether there are more."""
    there = (messages.c.conversation == conversation, messages.c.number > behind)
    sizes = select(messages.c.number, messages.c.bytes).where(*there).order_by(messages.c.number)
    last, count, left = behind, 0, room
    found = (await connection.execute(sizes)).all()
    for number, size in found:
        left -= size
        if left < 0 and not (demand_one and count == 0):
            break
        last, count = number, count + 1
    rows = select(*_WHOLE).where(*there, messages.c.number <= last).order_by(messages.c.number)
    return (await connection.execute(rows)).mappings().all() if count else (), count < len(found)


def _whole(row: RowMapping) -> Mapping[str, Any]:
    """Return a message as it can be taken in: with what it is in a history, and never as one that streams."""
    shown = message_of(row) | ({"turns": row["turns"]} if row["turns"] else {})
    return shown if shown.pop("stream_id", None) is None else {**shown, "status": "interrupted"}


async def _take_in(connection: AsyncConnection, one: ImportedConversation, told: Imported, *, is_new: bool) -> None:
    name = one.row["id"]
    known = await _known_messages(connection, [message["id"] for message in one.messages])
    new = [message for message in one.messages if message["id"] not in known]
    elsewhere = await _known_messages(connection, list(one.parents_elsewhere))
    if any(elsewhere.get(parent) != name for parent in one.parents_elsewhere):
        raise BadBody("a message hangs under none that is there")
    if is_new:
        await connection.execute(insert(conversations).values({**one.row, "current": None}))
    counted = select(func.count()).select_from(messages).where(messages.c.conversation == name)
    if (await connection.execute(counted)).scalar_one() + len(new) > MOST_MESSAGES:
        raise Conflict(f"A conversation may have {MOST_MESSAGES:,} messages.")
    for start in range(0, len(new), _AT_ONCE):
        await connection.execute(insert(messages), new[start : start + _AT_ONCE])
    current = next((message["id"] for message in new if message["id"] == one.current), None)
    if current is None and is_new and new:
        current = new[-1]["id"]
    if current is not None:
        values = {"current": current, "version": conversations.c.version + 1}
        await connection.execute(update(conversations).where(conversations.c.id == name).values(values))
    told.conversations.imported += is_new
    told.conversations.skipped += not is_new
    told.messages.imported += len(new)
    told.messages.skipped += len(one.messages) - len(new)


async def _rows_of(connection: AsyncConnection, names: Sequence[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(names), _AT_ONCE):
        some = conversations.c.id.in_(names[start : start + _AT_ONCE])
        found += (await connection.execute(select(conversations.c.id, conversations.c.owner).where(some))).all()
    return found


async def _known_messages(connection: AsyncConnection, names: Sequence[str]) -> dict[str, str]:
    """Return which of these there are, and in which conversation."""
    found: dict[str, str] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = messages.c.id.in_(names[start : start + _AT_ONCE])
        rows = await connection.execute(select(messages.c.id, messages.c.conversation).where(some))
        found |= {row.id: row.conversation for row in rows}
    return found
