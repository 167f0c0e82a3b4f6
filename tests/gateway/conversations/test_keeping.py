"""What is told of an answer that another gateway keeps: gateway/conversations/keeping.py."""

import asyncio

import pytest

from gateway.conversations.keeping import Keeping
from gateway.conversations.turn import PreparedTurn
from gateway.relay.proxies import Proxies
from gateway.store.answers import Answers
from gateway.store.database import Database
from gateway.store.refusals import StoreUnavailable
from gateway.store.rows import AnswerRow
from services.wire.request import NextTurn
from tests.gateway.conversations.test_turn import SAYS, turn_of
from tests.gateway.store.keeping import STREAM

ROW = AnswerRow("ms_a", "ms_q", is_over=False)
TOLD = {"message_id": "ms_a", "parent": "ms_q"}
HISTORY = {"sent": 2, "left_out": 0}


class RowsElsewhere(Answers):
    """A database that answers as a test says, one look after the other; at last it hangs."""

    def __init__(self, *answers: AnswerRow | Exception | None) -> None:
        super().__init__(Database("sqlite:///never opened"))
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str | None]] = []

    async def of_stream(self, owner: str, stream_id: str, conversation_id: str | None = None) -> AnswerRow | None:
        self.asked.append((owner, stream_id, conversation_id))
        if not self.answers:
            await asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def keeping(rows: RowsElsewhere) -> Keeping:
    return Keeping(rows, Proxies(()), lambda _loss: None, most_characters=100)


@pytest.mark.parametrize(
    ("turn", "row", "told"),
    [
        (SAYS, ROW, {**TOLD, "history": HISTORY}),
        (SAYS, AnswerRow("ms_a", "ms_q", is_over=True), TOLD),
        (NextTurn("cv_1", "and then?", parent="ms_a1"), AnswerRow("ms_a", "ms_q", True), {**TOLD, "history": HISTORY}),
    ],
    ids=["runs", "over", "over_under_a_parent_that_was_named"],
)
async def test_who_joins_an_answer_is_told_its_rows_and_a_history_that_is_surely_its_own(
    turn: NextTurn, row: AnswerRow, told: dict[str, object]
) -> None:
    assert (await keeping(RowsElsewhere(row)).joined(turn_of(turn), STREAM)).told == told


async def test_a_row_that_is_about_to_be_written_is_waited_for() -> None:
    rows = RowsElsewhere(None, None, ROW)

    assert (await keeping(rows).joined(turn_of(SAYS), STREAM)).told["message_id"] == "ms_a"
    assert rows.asked == [("anonymous", STREAM, "cv_1")] * 3


@pytest.mark.parametrize("answers", [(), (None,), (StoreUnavailable("away"),)], ids=["hangs", "hangs_then", "is_away"])
async def test_a_database_that_does_not_say_keeps_nobody_from_joining_or_following(
    answers: tuple[Exception | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.conversations.keeping.JOINED_S", 0.1)
    turn: PreparedTurn = turn_of(SAYS)

    assert (await keeping(RowsElsewhere(*answers)).joined(turn, STREAM)).told == {}
    assert await keeping(RowsElsewhere(*answers)).followed("", STREAM, 0) is None


async def test_who_follows_from_the_beginning_is_told_the_rows_and_who_comes_back_asks_for_none() -> None:
    rows = RowsElsewhere(ROW)

    followed = await keeping(rows).followed("", STREAM, 0)

    assert followed is not None
    assert (followed.told, rows.asked) == (TOLD, [("anonymous", STREAM, None)])
    assert await keeping(RowsElsewhere()).followed("", STREAM, 7) is None


async def test_who_leaves_while_the_database_hangs_is_let_go() -> None:
    joining = asyncio.get_running_loop().create_task(keeping(RowsElsewhere()).joined(turn_of(SAYS), STREAM))
    await asyncio.sleep(0)
    joining.cancel()

    with pytest.raises(asyncio.CancelledError):
        await joining
