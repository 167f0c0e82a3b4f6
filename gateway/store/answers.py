"""What an answer needs of its conversation: the history before it, its own row, and a lease on that.

begin ─▶ the question's row, and the answer's: streaming, with a lease ─▶ save, save, … ─▶ save: final, without one
lease ran out ─▶ sweep: another gateway takes the row over
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Insert, Table, Update, and_, case, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.conversations import changed, demand_own
from gateway.store.database import Database
from gateway.store.limits import MOST_MESSAGES
from gateway.store.refusals import Conflict, NotFound
from gateway.store.rows import (
    MOST_WATCHED,
    Answer,
    AnswerRow,
    NewTurn,
    Orphan,
    Status,
    StoredMessage,
    StoredPath,
    size_of,
)
from gateway.store.schema import conversations, messages, now_ms

LEASE_S: Final = 10.0
MOST_SWEPT: Final = 100
TITLE_CHARACTERS: Final = 80
_OF_ORPHAN: Final = ("id", "owner", "stream_id", "leave", "content", "thinking")
_ON_LEAVING: Final = {"stream_id": None, "leave": None, "keeper": None, "lease": None, "asked_as": None}
_HISTORY: Final = (
    messages.c.id,
    messages.c.parent,
    messages.c.role,
    messages.c.content,
    messages.c.images,
    messages.c.status,
    messages.c.turns,
    messages.c.tool_calls,
    messages.c.asked_as,
)


class Answers:
    """What is asked of ``database`` while answers come; each raises StoreUnavailable where it does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def path(self, owner: str, conversation_id: str, leaf: str | None, most: int) -> StoredPath:
        """Return the newest ``most`` messages of the path that ends in ``leaf``, or in the current message.

        Raises:
            NotFound: there is no such conversation, or no such message in it.
            Conflict: it has as many messages as one may.
        """

        async def work(connection: AsyncConnection) -> StoredPath:
            row = await demand_own(connection, owner, conversation_id)
            there = messages.c.conversation == conversation_id
            counted = select(func.count()).select_from(messages).where(there)
            if (await connection.execute(counted)).scalar_one() >= MOST_MESSAGES:
                raise Conflict(f"This conversation has {MOST_MESSAGES:,} messages: begin a new one.")
            end = row["current"] if leaf is None else leaf
            if not end:
                return StoredPath(row["system"], ())
            step = select(messages.c.number, messages.c.parent, literal(1).label("depth"))
            way = step.where(messages.c.id == end, there).cte("way", recursive=True)
            before = select(messages.c.number, messages.c.parent, way.c.depth + 1)
            way = way.union_all(before.where(messages.c.id == way.c.parent, there, way.c.depth < most))
            asked = select(*_HISTORY).join(way, way.c.number == messages.c.number).order_by(way.c.depth.desc())
            found = (await connection.execute(asked)).mappings().all()
            if not found:
                raise NotFound("There is no such message in this conversation.")
            return StoredPath(row["system"], tuple(_stored(one) for one in found))

        return await self._database.read(work)

    async def begin(self, turn: NewTurn, answer: Answer | None = None) -> None:
        """Write the rows of a turn; harmless when written twice, or under a message that is not there.

        Args:
            answer: what the answer says already, where its row is written late.

        Raises:
            NotFound: its conversation was deleted.
        """

        async def work(connection: AsyncConnection) -> None:
            if not await _may_begin(connection, turn):
                return
            if turn.user is not None:
                await connection.execute(unless_there(connection, messages, [_question(turn, turn.user)]))
            first = Answer(turn.answer_id, Status.STREAMING) if answer is None else answer
            row = {**_beginning(turn, first), **_said(first)}
            written = await connection.execute(unless_there(connection, messages, [row]))
            if written.rowcount:
                await connection.execute(_gone_on_with(turn))
                await changed(connection, turn.owner)

        await self._database.write(work)

    async def save(self, answer: Answer, keeper: str) -> bool:
        """Write what an answer says now; return whether its row has it.

        A partial one is taken from its keeper alone; who knows the end wins, and then the row has that.
        """
        row = update(messages).where(messages.c.id == answer.id)

        async def partial(connection: AsyncConnection) -> bool:
            own = row.where(messages.c.status == Status.STREAMING, messages.c.keeper == keeper)
            return bool((await connection.execute(own.values(_said(answer)))).rowcount)

        async def final(connection: AsyncConnection) -> bool:
            own = select(conversations.c.id, conversations.c.owner).join(
                messages, messages.c.conversation == conversations.c.id
            )  # and locked first, as who deletes it does: the other way round each might wait for the other
            asked = own.where(messages.c.id == answer.id).with_for_update(of=conversations)
            of = (await connection.execute(asked)).one_or_none()
            if of is None:
                return False
            is_open = messages.c.status.in_((Status.STREAMING, Status.INTERRUPTED))
            if (await connection.execute(row.where(is_open).values({**_said(answer), **_ON_LEAVING}))).rowcount:
                more = {"version": conversations.c.version + 1}
                await connection.execute(update(conversations).where(conversations.c.id == of.id).values(more))
                await changed(connection, of.owner)
            return True

        return await self._database.write(final if answer.is_final else partial)

    async def of_stream(self, owner: str, stream_id: str) -> AnswerRow | None:
        """Return which row the answer of a stream has as long as it streams."""

        async def work(connection: AsyncConnection) -> AnswerRow | None:
            streams = (messages.c.status == Status.STREAMING, messages.c.owner == owner)
            asked = select(messages.c.id, messages.c.parent).where(*streams, messages.c.stream_id == stream_id)
            row = (await connection.execute(asked)).first()
            return None if row is None else AnswerRow(row.id, row.parent or "")

        return await self._database.read(work)

    async def renew(self, keeper: str, message_ids: Collection[str]) -> None:
        """Let the leases of these answers of ``keeper`` live for ten seconds from now; others of it run out."""
        await self._lease(keeper, int(LEASE_S * 1000), messages.c.id.in_(message_ids))

    async def release(self, keeper: str) -> None:
        """Let whoever sweeps next take over what ``keeper`` holds."""
        await self._lease(keeper, -1)

    async def sweep(self, keeper: str) -> tuple[Orphan, ...]:
        """Take over what nobody keeps any more, a hundred at most."""

        async def work(connection: AsyncConnection) -> tuple[Orphan, ...]:
            lost = and_(messages.c.status == Status.STREAMING, messages.c.lease < now_ms())
            some = select(messages.c.number).where(lost).limit(MOST_SWEPT).with_for_update(skip_locked=True)
            taken = update(messages).where(messages.c.number.in_(some), lost)
            taken = taken.values(keeper=keeper, lease=now_ms() + int(LEASE_S * 1000))
            told = [getattr(messages.c, name) for name in _OF_ORPHAN]
            rows = (await connection.execute(taken.returning(*told))).all()
            return tuple(Orphan(*(value or "" for value in row)) for row in rows)

        return await self._database.write(work)

    async def versions(self, owner: str) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Return the version of each of the newest 500 conversations, and which answers stream in it."""

        async def work(connection: AsyncConnection) -> dict[str, tuple[int, tuple[str, ...]]]:
            of = conversations.c.owner == owner
            newest = select(conversations.c.id, conversations.c.version).where(of)
            newest = newest.order_by(conversations.c.updated_at.desc(), conversations.c.number.desc())
            found = {row.id: row.version for row in await connection.execute(newest.limit(MOST_WATCHED))}
            running: dict[str, list[str]] = {}
            asked = select(messages.c.conversation, messages.c.id).where(
                messages.c.status == Status.STREAMING, messages.c.owner == owner
            )
            for row in await connection.execute(asked.order_by(messages.c.number)):
                running.setdefault(row.conversation, []).append(row.id)
            return {name: (version, tuple(running.get(name, ()))) for name, version in found.items()}

        return await self._database.read(work)

    async def _lease(self, keeper: str, ms: int, *which: ColumnElement[bool]) -> None:
        async def work(connection: AsyncConnection) -> None:
            own = update(messages).where(messages.c.status == Status.STREAMING, messages.c.keeper == keeper, *which)
            await connection.execute(own.values(lease=now_ms() + ms))

        await self._database.write(work)


async def _may_begin(connection: AsyncConnection, turn: NewTurn) -> bool:
    """Whether what the turn follows is there.

    Raises:
        NotFound: the conversation is not.
    """
    await demand_own(connection, turn.owner, turn.conversation_id, alone=True)
    parent = turn.answer_parent if turn.user is None else turn.user.parent
    if not parent:
        return turn.user is not None
    asked = select(messages.c.id).where(messages.c.id == parent, messages.c.conversation == turn.conversation_id)
    return (await connection.execute(asked)).one_or_none() is not None


def _question(turn: NewTurn, user: StoredMessage) -> Mapping[str, Any]:
    return {
        **_place(turn, user.id, user.parent, user.role),
        "content": user.content,
        "thinking": "",
        "images": user.images,
        "status": user.status,
        "bytes": size_of(user.content, user.images),
    }


def _beginning(turn: NewTurn, answer: Answer) -> Mapping[str, Any]:
    row = {**_place(turn, turn.answer_id, turn.answer_parent, "assistant"), "model": turn.model}
    if answer.is_final:
        return row
    lease = {"keeper": turn.keeper, "lease": now_ms() + int(LEASE_S * 1000), "asked_as": turn.asked_as}
    return {**row, "stream_id": turn.stream_id, "leave": turn.leave, **lease}


def _place(turn: NewTurn, message_id: str, parent: str | None, role: str) -> Mapping[str, Any]:
    return {
        "id": message_id,
        "conversation": turn.conversation_id,
        "owner": turn.owner,
        "parent": parent or None,
        "role": role,
        "created_at": int(turn.asked_at * 1000),
    }


def _said(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "content": answer.content,
        "thinking": answer.thinking,
        "tool_calls": answer.tool_calls,
        "tools": answer.tools,
        "turns": answer.turns,
        "code": answer.code,
        "usage": answer.usage,
        "timing": answer.timing,
        "served_by": answer.served_by,
        "bytes": size_of(answer.content, answer.thinking, answer.tools, answer.tool_calls),
    }


def _gone_on_with(turn: NewTurn) -> Update:
    """Return the statement by which a conversation goes on with this turn."""
    at = int(turn.asked_at * 1000)
    values: dict[str, Any] = {
        "current": turn.answer_id,
        "version": conversations.c.version + 1,
        "updated_at": case((conversations.c.updated_at < at, at), else_=conversations.c.updated_at),
    }
    if turn.user is not None and (title := title_of(turn.user.content)):
        of = conversations.c.title
        values["title"] = case((of == "", literal(title, of.type)), else_=of)
    values |= {name: value for name in ("model", "system") if (value := getattr(turn, name)) is not None}
    return update(conversations).where(conversations.c.id == turn.conversation_id).values(values)


def title_of(question: str) -> str:
    """Return what a list calls a conversation that nobody named: the first characters of its first question."""
    return " ".join(question[: 4 * TITLE_CHARACTERS].split())[:TITLE_CHARACTERS]


def unless_there(connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]) -> Insert:
    """Return the statement that writes rows, but for those whose ids exist."""
    writing = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    return writing.values(rows).on_conflict_do_nothing(index_elements=["id"])


def _stored(row: Mapping[Any, Any]) -> StoredMessage:
    return StoredMessage(
        row["id"],
        row["parent"],
        row["role"],
        row["content"],
        tuple(row["images"] or ()),
        Status(row["status"]),
        tuple(row["turns"] or ()),
        tuple(row["tool_calls"] or ()),
        row["asked_as"],
    )
