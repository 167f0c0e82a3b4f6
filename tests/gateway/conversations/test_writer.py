"""Rows wait for a database that is away, and lose nothing (L16)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gateway.conversations.pending import PendingWrites
from gateway.conversations.writer import Writer
from gateway.store.refusals import StoreUnavailable
from gateway.store.rows import Answer, NewTurn, Status
from services.runtime.tasks import Tasks
from tests.eventually import soon
from tests.gateway.conversations.test_pending import final, partial, turn


class ScriptedRows:
    """A database that is away, broken, or hangs, as a test says."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Status | None]] = []
        self.raises: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def begin(self, turn: NewTurn, answer: Answer | None = None) -> None:
        await self._ask()
        self.written.append((turn.answer_id, None if answer is None else answer.status))

    async def save(self, answer: Answer, _keeper: str) -> bool:
        await self._ask()
        self.written.append((answer.id, answer.status))
        return True

    async def _ask(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.raises is not None:
            raise self.raises


@asynccontextmanager
async def running(rows: ScriptedRows, pending: PendingWrites) -> AsyncIterator[Writer]:
    writer = Writer(rows, pending, "keeper")
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
    rows, pending = ScriptedRows(), PendingWrites()
    rows.raises = ValueError("a secret")
    async with running(rows, pending) as writer:
        with capture_logs() as lines:
            assert await writer.save(final(1, "a secret")) is False
        rows.raises = None
        assert await writer.save(final(2)) is True

    assert [line["event"] for line in lines] == ["conversation.not_kept"]
    assert "secret" not in str(lines)


async def test_what_there_is_no_room_for_is_said_at_once() -> None:
    rows = ScriptedRows()
    writer = Writer(rows, PendingWrites(most_rows=1), "keeper")
    writer.save(final(1))

    assert await writer.save(final(2)) is False
    assert writer.refused == 1


async def test_who_waits_for_an_older_state_hears_when_a_newer_one_took_its_place() -> None:
    writer = Writer(ScriptedRows(), PendingWrites(), "keeper")
    older = writer.save(partial(1))
    writer.save(final(1))

    assert await older is False


@pytest.mark.parametrize("hangs", [True, False])
async def test_at_the_end_what_is_left_is_written_or_given_up_in_time(hangs: bool) -> None:
    rows = ScriptedRows()
    rows.hangs = hangs
    writer = Writer(rows, PendingWrites(), "keeper")
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
