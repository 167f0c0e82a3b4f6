"""Rows wait for a database that is away, and lose nothing (L16)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gateway.conversations.pending import PendingWrites
from gateway.conversations.writer import Loss, Writer
from gateway.store.refusals import NotFound, StoreUnavailable
from gateway.store.rows import Answer, NewTurn, Status
from services.runtime.tasks import Tasks
from tests.eventually import soon
from tests.gateway.conversations.test_pending import final, partial, room, turn


class ScriptedRows:
    """A database that is away, broken, or hangs, as a test says."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Status | None]] = []
        self.raises: Exception | None = None
        self.hangs = False
        self.is_deleted = False
        self.gone: list[str] = []
        self.asked = 0

    async def begin(self, turn: NewTurn, answer: Answer | None = None) -> None:
        await self._ask()
        if self.is_deleted:
            raise NotFound
        self.written.append((turn.answer_id, None if answer is None else answer.status))

    async def save(self, answer: Answer, _keeper: str) -> bool:
        await self._ask()
        self.written.append((answer.id, answer.status))
        return not self.is_deleted

    async def _ask(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.raises is not None:
            raise self.raises


def writing(rows: ScriptedRows, pending: PendingWrites, lost: list[Loss] | None = None) -> Writer:
    """Return a writer that nothing runs yet."""
    return Writer(rows, pending, "keeper", ([] if lost is None else lost).append, rows.gone.append)


@asynccontextmanager
async def running(rows: ScriptedRows, pending: PendingWrites, lost: list[Loss] | None = None) -> AsyncIterator[Writer]:
    writer = writing(rows, pending, lost)
    tasks = Tasks()
    tasks.spawn(writer.run(), "writer")
    try:
        yield writer
    finally:
        await tasks.close()


async def test_a_turn_and_its_answer_are_written_in_the_order_of_their_coming() -> None:
    rows, pending = ScriptedRows(), PendingWrites()
    async with running(rows, pending) as writer:
        writer.begin(turn(1))
        assert await writer.save(final(1)) is True

    assert rows.written[-1] == ("ms_a1", Status.SENT)
    assert len(pending) == 0


async def test_while_the_database_is_away_nothing_is_lost_and_afterwards_all_is_written_once() -> None:
    rows, pending = ScriptedRows(), PendingWrites()
    rows.raises = StoreUnavailable("away")
    async with running(rows, pending) as writer:
        with capture_logs() as lines:
            for number in (1, 2):
                writer.begin(turn(number))
            writer.save(partial(1))
            saved = writer.save(final(1))
            await soon(lambda: rows.asked >= 3, "it was asked again")
            assert not saved.done()
            rows.raises = None
            assert await saved is True
            await soon(lambda: len(pending) == 0, "all is written")

    assert rows.written == [("ms_a1", Status.SENT), ("ms_a1", Status.SENT), ("ms_a2", None)]
    assert [line["event"] for line in lines] == ["conversations.waiting", "conversations.written"]


async def test_a_row_that_cannot_be_written_is_dropped_and_told_without_a_word_of_it() -> None:
    rows, pending, lost = ScriptedRows(), PendingWrites(), list[Loss]()
    rows.raises = ValueError("a secret")
    async with running(rows, pending, lost) as writer:
        with capture_logs() as lines:
            assert await writer.save(final(1, "a secret")) is False
        rows.raises = None
        assert await writer.save(final(2)) is True

    assert [line["event"] for line in lines] == ["conversation.not_kept"]
    assert "secret" not in str(lines)
    assert lost == [Loss.UNWRITABLE]


async def test_an_answer_whose_conversation_was_deleted_before_it_began_is_told_of_and_is_no_loss() -> None:
    rows, pending, lost = ScriptedRows(), PendingWrites(), list[Loss]()
    rows.is_deleted = True
    async with running(rows, pending, lost) as writer:
        writer.begin(turn(1))
        assert await writer.save(final(1)) is False

    assert (rows.gone, rows.written, lost, len(pending)) == (["ms_a1"], [], [], 0)


async def test_an_answer_whose_row_was_deleted_is_not_called_written() -> None:
    rows = ScriptedRows()
    rows.is_deleted = True
    async with running(rows, PendingWrites()) as writer:
        assert await writer.save(final(1)) is False

    assert rows.written == [("ms_a1", Status.SENT)]


async def test_what_there_is_no_room_for_is_said_at_once_and_lost_where_no_more_will_come() -> None:
    lost: list[Loss] = []
    writer = writing(ScriptedRows(), PendingWrites(most_bytes=room(1)), lost)
    writer.save(final(1))

    assert await writer.save(partial(2)) is False
    assert lost == []
    assert await writer.save(final(2)) is False
    writer.begin(turn(3))
    assert lost == [Loss.FULL] * 2


async def test_who_waits_for_an_older_state_hears_when_a_newer_one_took_its_place() -> None:
    writer = writing(ScriptedRows(), PendingWrites())
    older = writer.save(partial(1))
    writer.save(final(1))

    assert await older is False


@pytest.mark.parametrize("hangs", [True, False])
async def test_at_the_end_what_is_left_is_written_or_given_up_in_time(hangs: bool) -> None:
    rows = ScriptedRows()
    rows.hangs = hangs
    writer = writing(rows, PendingWrites())
    saved = writer.save(final(1))

    await writer.finish(within_s=0.05)

    assert await saved is not hangs


async def test_a_writer_that_is_cancelled_while_the_database_hangs_lets_go_and_keeps_the_row() -> None:
    rows, pending = ScriptedRows(), PendingWrites()
    rows.hangs = True
    async with running(rows, pending) as writer:
        writer.begin(turn(1))
        await soon(lambda: rows.asked == 1, "it is asked")

    assert len(pending) == 1
