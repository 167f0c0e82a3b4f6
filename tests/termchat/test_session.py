"""services/termchat/session.py: what a person waits for beside an answer, and how the wait ends."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.termchat.gateway import Gateway
from services.termchat.options import read_options
from services.termchat.server_url import ServerUrl
from services.termchat.session import LEAVING_SIGNALS, Session
from services.termchat.terminal import Terminal
from tests.eventually import soon
from tests.termchat.person import CTRL_C, person
from tests.termchat.scripted_gateway import ScriptedGateway, plain, serving

ID = "cv_" + "A" * 26
LONG_S = 60.0


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    gateway = Gateway(ServerUrl.parse("http://127.0.0.1:9"), {}, None)
    yield Session(read_options([], {}), gateway, Terminal(1, {}), Terminal(2, {}))
    await gateway.close()


async def waits(session: Session, *numbers: signal.Signals) -> None:
    """Wait for what never comes, and get these signals meanwhile."""
    async with session.patience(LONG_S):
        for number in numbers:
            signal.raise_signal(number)
        await asyncio.Event().wait()


async def test_ctrl_c_ends_a_wait_and_not_the_session(session: Session) -> None:
    with pytest.raises(TimeoutError):
        await waits(session, signal.SIGINT, signal.SIGINT)

    assert not session.interrupts.leaving


@pytest.mark.parametrize("number", LEAVING_SIGNALS)
async def test_who_is_told_to_leave_waits_no_more(session: Session, number: signal.Signals) -> None:
    with pytest.raises(TimeoutError):
        await waits(session, number)

    assert session.interrupts.leaving
    assert session.left_by == number


async def test_a_wait_that_is_over_leaves_signals_to_others(session: Session) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with session.patience(LONG_S):
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class FallsSilent(ScriptedGateway):
    """Has one empty conversation, and answers nothing from when it is to begin another."""

    is_silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        self.is_silent = self.is_silent or head.startswith("POST ")
        if self.is_silent:
            await reader.read()  # until who asked is gone
        else:
            known: dict[str, Any] = (
                {"messages": []} if "/messages " in head else {"id": ID, "current": None, "models": []}
            )
            writer.write(plain("200 OK", json.dumps(known).encode()))
        writer.close()


async def test_a_gateway_that_falls_silent_is_waited_for_until_ctrl_c_and_the_chat_goes_on() -> None:
    async with serving(FallsSilent(lambda _: b"")) as gateway:
        with person("--conversation", ID, url=gateway.url) as somebody:
            await asyncio.to_thread(somebody.enter, "/clear")
            await soon(lambda: gateway.is_silent, what="another conversation was asked for")
            somebody.type(CTRL_C)

            await asyncio.to_thread(somebody.sees, f"still in the same: The gateway at {gateway.url} has not answered.")
            asked = len(gateway.requests)
            await asyncio.to_thread(somebody.enter, "/models")
            await soon(lambda: len(gateway.requests) > asked, what="the models were asked for")
            somebody.signal(signal.SIGTERM)

            assert await asyncio.to_thread(somebody.leaves) == 143
