"""services/termchat/approving.py: a tool that must be approved, at a terminal and in a pipe."""

import asyncio
import fcntl
import json
import os
import termios
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from services.termchat.approving import Asker
from services.termchat.terminal import Terminal
from services.wire.events import ToolCall
from tests.termchat.person import Person, person
from tests.termchat.piped import run
from tests.termchat.scripted_gateway import SSE_HEAD, STREAM, ScriptedGateway, plain, serving

CALL = {"type": "tool_call", "call_id": "call_1", "name": "door", "arguments": {"room": 7}, "runs": "server"}
WAITS = {"type": "status", "phase": "approval", "name": "door", "call_id": "call_1"}
OPEN = {"type": "tool_result", "call_id": "call_1", "name": "door", "ok": True, "content": "open", "duration_ms": 4}
SHUT = {**OPEN, "ok": False, "content": "The person refused.", "approval": "refused"}
DONE = {"type": "done", "finish_reason": "stop", "timing": {"tools_ms": 2000, "total_ms": 2100}}


def frame(number: int, data: Mapping[str, object]) -> bytes:
    name = "" if data["type"] == "status" else f"id: {STREAM}-{number}\n"
    return f"{name}event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


@dataclass
class Asking(ScriptedGateway):
    """Streams an answer that waits for a person's word on a tool."""

    said: list[bool] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, head: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if "/tools/" in head:
            self.said.append(json.loads(body)["approve"])
            self.came.set()
            writer.write(plain("202 Accepted", b"{}"))
        elif head.startswith("POST /api/chat/stream "):
            start = {"type": "start", "stream_id": STREAM, "model": "m", "tools": ["door"]}
            writer.write(SSE_HEAD + frame(1, start) + frame(2, {**CALL, "approval": "needed"}) + frame(0, WAITS))
            await self.came.wait()
            token = {"type": "token", "content": "Well."}
            writer.write(frame(3, OPEN if self.said[0] else SHUT) + frame(4, token) + frame(5, DONE))
        else:
            writer.write(plain("200 OK", b'{"models":[{"name":"m","default":true}],"server_tools":["door"]}'))


@pytest.mark.parametrize(
    ("word", "approve", "shown"), [("y", True, "← door: open"), ("no", False, "✗ door: The person")]
)
async def test_the_person_is_asked_and_the_gateway_told(word: str, approve: bool, shown: str) -> None:
    def talk(somebody: Person) -> None:
        somebody.enter("open the door")
        somebody.sees('→ door({"room": 7})')
        somebody.sees("run door? [y/n]")
        somebody.type(f"perhaps\r{word}\r")
        somebody.sees(shown)
        somebody.sees("Well.")
        somebody.enter("/stats")
        somebody.sees("tools       2.000 s")

    async with serving(Asking(lambda _: b"")) as gateway:
        with person("--tools", url=gateway.url) as somebody:
            await asyncio.to_thread(talk, somebody)

    assert gateway.said == [approve]
    assert '"server_tools": true' in "".join(gateway.bodies)


async def test_who_is_asked_sees_what_a_tool_is_called_with_though_the_answer_is_shown_whole() -> None:
    def talk(somebody: Person) -> None:
        somebody.enter("open the door")
        assert '→ door({"room": 7})\nrun door? [y/n]' in somebody.sees("run door? [y/n]")
        somebody.type("y\r")
        assert "← door: open\nWell." in somebody.sees("Well.")

    async with serving(Asking(lambda _: b"")) as gateway:
        with person("--tools", "--no-stream", url=gateway.url) as somebody:
            await asyncio.to_thread(talk, somebody)


async def test_in_a_pipe_it_is_refused_at_once_and_said() -> None:
    async with serving(Asking(lambda _: b"")) as gateway:
        done = await run("--tools", "open the door", url=gateway.url)

    assert gateway.said == [False]
    assert (done.code, done.out) == (0, "Well.\n")
    assert "door: refused, for nobody is there to ask" in done.err


async def test_the_tools_of_the_gateway_are_listed_and_turned_on() -> None:
    async with serving(Asking(lambda _: b"")) as gateway:
        with person(url=gateway.url) as somebody:
            await asyncio.to_thread(somebody.enter, "/tools")
            await asyncio.to_thread(somebody.sees, "off: door")
            await asyncio.to_thread(somebody.enter, "/tools on")
            await asyncio.to_thread(somebody.sees, "on: door")


@pytest.fixture
def keyboard() -> Iterator[int]:
    """Where a person types into this process's standard input."""
    keys, terminal = os.openpty()
    before = os.dup(0)
    os.dup2(terminal, 0)
    yield keys
    os.dup2(before, 0)
    for one in (keys, terminal, before):
        os.close(one)


def typed(keyboard: int, text: str) -> None:
    """Type lines, all of which are there before anybody reads."""
    os.write(keyboard, text.encode())
    there = array("i", [0])
    while there[0] < len(text):
        fcntl.ioctl(0, termios.FIONREAD, there)


async def test_what_was_typed_before_a_question_stood_there_is_no_word_on_it(keyboard: int) -> None:
    came = asyncio.Event()
    asker = Asker(Terminal(0, {}), came)
    for name in ("a", "b", "c"):
        asker.ask(ToolCall(name, name, {}, needs_approval=True))

    typed(keyboard, "y\ny\ny\n")
    await came.wait()
    first = asker.decided()
    typed(keyboard, "y\n")
    asker.withdraw("b")  # it was answered elsewhere
    came.clear()
    typed(keyboard, "n\n")
    await came.wait()

    assert (first, asker.decided()) == ([("a", True)], [("c", False)])
    assert not asker.is_asking
