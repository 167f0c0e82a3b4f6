"""services/termchat/opening.py, as `sluice --conversation` is used."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.chain import Chain
from tests.termchat.person import Person, person
from tests.termchat.piped import run, sluice
from tests.termchat.scripted_gateway import HELLO, plain, scripted

ID = "cv_" + "A" * 26
MADE = {"id": ID, "title": "", "current": None}
NO_SUCH = (
    b'{"error":{"code":"not_found","message":"There is no such conversation.","retryable":false,"request_id":"x"}}'
)


def one_that_keeps(head: str) -> bytes:
    """Answer as a gateway that keeps one conversation of one question and its answer."""
    if head.startswith("POST /api/chat/stream "):
        return HELLO
    row = {**MADE, "current": "ms_a"}
    question = {"id": "ms_q", "parent": None, "role": "user", "content": "hi"}
    answer = {"id": "ms_a", "parent": "ms_q", "role": "assistant", "content": "Hello", "status": "sent"}
    bodies = {
        "GET /api/conversations ": {"conversations": [row], "next": None},
        "POST /api/conversations ": MADE,
        f"GET /api/conversations/{ID} ": row,
        f"GET /api/conversations/{ID}/messages ": {"messages": [question, answer], "next": None},
    }
    found = next((body for path, body in bodies.items() if head.startswith(path)), None)
    return plain("404 Not Found", NO_SUCH) if found is None else plain("200 OK", json.dumps(found).encode())


@pytest.mark.parametrize(("which", "parent"), [(ID, "ms_a"), ("last", "ms_a"), ("new", "")])
async def test_a_question_goes_on_with_what_the_gateway_keeps(which: str, parent: str) -> None:
    async with scripted(one_that_keeps) as gateway:
        done = await run("--conversation", which, "and?", url=gateway.url)

    assert (done.code, done.out) == (0, "Hello\n")
    sent = json.loads(gateway.bodies[-1])
    assert (sent["conversation_id"], sent["message"], sent["parent"]) == (ID, "and?", parent)
    assert "messages" not in sent


def test_what_was_said_in_a_kept_conversation_is_known_to_the_next_run(chain: Chain, tmp_path: Path) -> None:
    gateway = chain.another_gateway(DATABASE=f"sqlite:///{tmp_path / 'conversations.db'}")
    model = "sim:tokens=3,seed=71"
    first = sluice("--conversation", "new", "--model", model, "one", url=gateway.url)
    second = sluice("--conversation", "last", "two", url=gateway.url)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    told = chain.calls(model)[-1]["body"]["messages"]
    assert [one["role"] for one in told] == ["system", "user", "assistant", "user"]
    assert [told[1]["content"], told[2]["content"], told[3]["content"]] == ["one", first.out.rstrip("\n"), "two"]


async def test_one_that_is_loaded_is_not_kept_which_is_said_and_may_use_the_tools_that_are_on(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"

    def talk(somebody: Person) -> None:
        somebody.enter(f"/save {path}")
        somebody.enter(f"/load {path}")
        somebody.sees("loaded, 2 messages; from here on the gateway keeps nothing")
        somebody.enter("and?")
        somebody.sees("first word")

    async with scripted(one_that_keeps) as gateway:
        with person("--tools", "--conversation", ID, url=gateway.url) as somebody:
            await asyncio.to_thread(talk, somebody)

    sent = json.loads(gateway.bodies[-1])
    assert sent["server_tools"] is True
    assert "conversation_id" not in sent


async def test_a_page_of_messages_as_large_as_one_may_be_is_read() -> None:
    long = {"id": "ms_a", "parent": None, "role": "assistant", "content": '"' * (8 << 20), "status": "sent"}

    def script(head: str) -> bytes:
        return (
            plain("200 OK", json.dumps({"messages": [long]}).encode()) if "/messages " in head else one_that_keeps(head)
        )

    async with scripted(script) as gateway:
        done = await run("--conversation", ID, "and?", url=gateway.url)

    assert (done.code, done.out) == (0, "Hello\n")


async def test_a_list_of_strange_names_is_said_to_be_wrong() -> None:
    def script(head: str) -> bytes:
        rows = json.dumps({"conversations": [{"id": "a b\r\nX: y"}]}).encode()
        return plain("200 OK", rows) if head.startswith("GET /api/conversations ") else one_that_keeps(head)

    async with scripted(script) as gateway:
        done = await run("--conversation", "last", "and?", url=gateway.url)

    assert (done.code, done.err) == (1, "sluice: There is no such conversation. [not_found]\n")


async def test_one_that_is_not_there_is_said_and_nothing_is_asked() -> None:
    async with scripted(one_that_keeps) as gateway:
        done = await run("--conversation", "cv_" + "B" * 26, "and?", url=gateway.url)

    assert done.code == 1
    assert "There is no such conversation." in done.err
    assert not any("/api/chat/stream" in request for request in gateway.requests)


async def test_what_is_no_id_is_not_understood() -> None:
    done = await run("--conversation", "../x", "and?", url="http://127.0.0.1:9")

    assert done.code == 2
    assert "expected the id of one that the gateway keeps" in done.err


async def test_what_is_kept_is_shown_on_a_terminal_and_not_obeyed() -> None:
    """T25."""
    evil = {**MADE, "model": "m\x1b]0;title\x07", "current": "ms_q"}
    question = {"id": "ms_q", "parent": None, "role": "user", "content": "red: \x1b[31m"}

    def script(head: str) -> bytes:
        found = {"messages": [question]} if "/messages " in head else evil
        return plain("200 OK", json.dumps(found).encode())

    def talk(somebody: Person) -> None:
        somebody.sees(">>>")
        for line, words in (("/model", "\nmodel m␛]0;title␇"), ("/edit", "\nred: ␛[31m"), ("exit", "exit")):
            somebody.type(f"{line}\n")
            somebody.sees(words)
        assert somebody.leaves() == 0

    async with scripted(script) as gateway:
        with person("--conversation", ID, url=gateway.url, environ={"TERM": "dumb"}) as somebody:
            await asyncio.to_thread(talk, somebody)

    assert not {"\x1b", "\x07"} & {*somebody.raw}
