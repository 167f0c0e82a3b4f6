"""services/termchat/answering.py, with gateway.py, against the real chain: what an answer leaves behind."""

import asyncio

from services.termchat.answer_events import AnswerFinished
from services.termchat.answering import Answering
from services.termchat.approving import Refuser
from services.termchat.following import KEEP_CHARACTERS, Following, Heard
from services.termchat.gateway import Gateway
from services.termchat.server_url import ServerUrl
from services.wire.events import Token
from tests.chain import Chain


class Record:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.text = ""
        self.closed: list[Following] = []
        self.told: list[str] = []

    def take(self, heard: Heard, _now: float) -> None:
        if isinstance(heard.event, Token):
            self.text += heard.event.content

    def reconnecting(self, now: float) -> None:
        raise AssertionError(f"no line broke, at {now}")

    def tick(self, _now: float) -> None:
        return None

    def close(self, answer: Following, _now: float) -> None:
        self.closed.append(answer)


async def answered(chain: Chain, model: str) -> tuple[Answering, Record]:
    gateway, record = Gateway(ServerUrl.parse(chain.gateway.url), {}, None), Record()
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "on_disconnect": "continue"}
    answering = Answering(gateway, body, record, Refuser(record.told.append), asyncio.Event())
    try:
        await answering.run()
    finally:
        await gateway.close()
    return answering, record


async def test_an_answer_is_shown_and_kept(chain: Chain) -> None:
    answering, record = await answered(chain, "story")

    assert answering.following.text == record.text
    assert record.text.startswith("The keeper climbed ninety steps")
    assert record.closed == [answering.following]
    assert isinstance(answering.following.end, AnswerFinished)


async def test_of_an_answer_beyond_the_bound_all_is_shown_and_the_beginning_is_kept(chain: Chain) -> None:
    answering, record = await answered(chain, "sim:tokens=40,size=60000,rate=80")

    assert len(record.text.encode()) == 40 * 60_000
    assert record.text.startswith(answering.following.text)
    assert KEEP_CHARACTERS <= len(answering.following.text) < KEEP_CHARACTERS + 65_536
