"""What is told of an answer that another gateway keeps: gateway/conversations/keeping.py."""

import asyncio

import pytest

from gateway.conversations.keeping import Keeping
from gateway.relay.proxies import Proxies
from gateway.store.answers import Answers
from gateway.store.database import Database
from gateway.store.refusals import StoreUnavailable
from gateway.store.rows import AnswerRow
from tests.gateway.store.keeping import STREAM


class RowsElsewhere(Answers):
    """A database that answers as a test says; None: it hangs."""

    def __init__(self, answer: AnswerRow | Exception | None) -> None:
        super().__init__(Database("sqlite:///never opened"))
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def of_stream(self, owner: str, stream_id: str) -> AnswerRow | None:
        self.asked.append((owner, stream_id))
        if self.answer is None:
            await asyncio.get_running_loop().create_future()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def keeping(rows: RowsElsewhere) -> Keeping:
    return Keeping(rows, Proxies(()), lambda _loss: None, most_characters=100)


async def test_who_follows_from_the_beginning_is_told_the_rows_and_who_comes_back_asks_for_none() -> None:
    rows = RowsElsewhere(AnswerRow("ms_a", "ms_q"))

    followed = await keeping(rows).followed("", STREAM, 0)
    back = await keeping(rows).followed("", STREAM, 7)

    assert (followed.told, back.told) == ({"message_id": "ms_a", "parent": "ms_q"}, {})
    assert rows.asked == [("anonymous", STREAM)]


@pytest.mark.parametrize("answer", [None, StoreUnavailable("away")], ids=["hangs", "is_away"])
async def test_a_database_that_does_not_say_keeps_nobody_from_following(
    answer: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.conversations.keeping.FOLLOWED_S", 0.1)

    assert (await keeping(RowsElsewhere(answer)).followed("", STREAM, 0)).told == {}


async def test_who_leaves_while_the_database_hangs_is_let_go() -> None:
    following = asyncio.get_running_loop().create_task(keeping(RowsElsewhere(None)).followed("", STREAM, 0))
    await asyncio.sleep(0)
    following.cancel()

    with pytest.raises(asyncio.CancelledError):
        await following
