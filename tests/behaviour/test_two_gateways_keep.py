"""Two gateways on one database: what one does the other tells, and what one leaves behind the other takes over.

gateway/conversations/watching.py, gateway/routes/conversation_events.py, gateway/store/changes.py
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.behaviour.kept import HERE, asked, new_conversation, rows_of, settled
from tests.behaviour.script import scripted
from tests.chain import Chain, Server, running_chain
from tests.databases import running_database
from tests.eventually import soon_told
from tests.machine import needs
from tests.reader import Answer, Client, Reading

EVENTS = f"{HERE}/events"


@dataclass
class Two:
    """A chain, and a second gateway of it that a test may kill."""

    chain: Chain
    other: Server


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=needs("postgres"))])
def two(request: pytest.FixtureRequest) -> Iterator[Two]:
    with running_database(request.param) as database:
        gateway = {"DATABASE": database.url}
        with running_chain(simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, gateway=gateway) as chain:
            yield Two(chain, chain.another_gateway())


@pytest.fixture
async def client(two: Two) -> AsyncIterator[Client]:
    async with Client(two.chain.gateway.url) as client:
        yield client


async def told(reading: Reading, kind: str, count: int = 1) -> list[dict[str, object]]:
    """Read until so many events of ``kind`` have come; return them."""
    async with asyncio.timeout(20):
        while len(found := [data for data in reading.answer.data if data["type"] == kind]) < count:
            assert await reading.some()
    return found


async def test_what_happens_at_another_gateway_is_told(two: Two, client: Client) -> None:
    async with Client(two.other.url) as other, client.open("GET", EVENTS) as listening:
        await told(listening, "reload")
        conversation = await new_conversation(other)
        await told(listening, "changed")
        body = {"model": scripted().name, "conversation_id": conversation, "message": "hi"}
        async with other.open("POST", "/api/chat/stream", body) as reading:
            answer = await reading.until_end()
        (finished, *_) = await told(listening, "changed", 2)
        async with other.open("DELETE", f"{HERE}/{conversation}") as reading:
            assert (await reading.until_end()).status == 204
        (deleted,) = await told(listening, "deleted")

    assert answer.status == 200
    assert finished["conversation_id"] == deleted["conversation_id"] == conversation
    assert all("content" not in data for data in listening.answer.data)


async def test_a_request_that_joins_its_answer_at_another_gateway_is_told_its_rows(two: Two, client: Client) -> None:
    conversation, key = await new_conversation(client), {"Idempotency-Key": secrets.token_urlsafe(24)}
    model = scripted(tokens=2000, rate=50).name
    body = {"model": model, "conversation_id": conversation, "message": "hi", "on_disconnect": "continue"}

    async def told_again(method: str, path: str, body: object = None) -> dict[str, Any]:
        async with Client(two.other.url) as other, other.open(method, path, body, key) as reading:
            answer = await reading.until(lambda so_far: so_far.events)
        return {name: value for name, value in answer.data[0].items() if name in {"message_id", "parent", "history"}}

    async with client.open("POST", "/api/chat/stream", body, key) as reading:
        start = (await reading.until_tokens(1)).data[0]
        rows = {name: start[name] for name in ("message_id", "parent")}
        await soon_told(partial(rows_of, client, conversation), "they are written")
        followed = await told_again("GET", f"/api/chat/stream/{start['stream_id']}")
        joined = await told_again("POST", "/api/chat/stream", body)
        await asked(client, "POST", f"/api/chat/stream/{start['stream_id']}/cancel")
        await reading.until_end()

    assert joined == {**rows, "history": start["history"]}
    assert followed == rows


async def test_an_answer_whose_first_reader_left_before_it_began_is_kept_by_who_joined_it(
    two: Two, client: Client
) -> None:
    conversation, key = await new_conversation(client), {"Idempotency-Key": secrets.token_urlsafe(24)}
    model = scripted(prefill=1)
    body = {"model": model.name, "conversation_id": conversation, "message": "hi", "on_disconnect": "continue"}

    async def ask(at: Client) -> Answer:
        async with at.open("POST", "/api/chat/stream", body, key) as reading:
            return await reading.until_end()

    async def is_read_by(count: int) -> bool:
        async with Client(two.chain.proxy.url) as proxy:
            streams = (await asked(proxy, "GET", "/api/streams"))["streams"]
        return any((one["model"], one["followers"]) == (model.name, count) for one in streams)

    async with Client(two.other.url) as other, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(ask(client))
        await soon_told(partial(is_read_by, 1), "its model is asked")
        second = tasks.create_task(ask(other))
        await soon_told(partial(is_read_by, 2), "it is joined")
        first.cancel()
    rows = await settled(client, conversation)

    assert [row["content"] for row in rows] == ["hi", model.text]
    assert [row["id"] for row in rows] == [second.result().data[0][name] for name in ("parent", "message_id")]


async def test_who_listens_is_let_go_when_its_gateway_stops(two: Two) -> None:
    gateway = two.chain.another_gateway()
    async with Client(gateway.url) as client, client.open("GET", EVENTS) as listening:
        await told(listening, "reload")
        gateway.signal(15)
        async with asyncio.timeout(20):
            answer = await listening.until_end()

    assert not answer.ended_cleanly
    assert gateway.wait() == 0


async def test_of_a_gateway_that_dies_another_one_keeps_the_answers(two: Two, client: Client) -> None:
    """L15: one goes on and is followed to its end; one is left by its reader, who cannot say so, and ends."""
    models = {"continue": scripted(tokens=150, rate=50), "cancel": scripted(tokens=2000, rate=50)}
    conversations = {leave: await new_conversation(client) for leave in models}
    shown = {}
    async with Client(two.other.url) as other, client.open("GET", EVENTS) as listening:
        for leave, model in models.items():
            body = {"model": model.name, "conversation_id": conversations[leave], "message": "hi"}
            async with other.open("POST", "/api/chat/stream", {**body, "on_disconnect": leave}) as reading:
                shown[leave] = (await reading.until_tokens(5)).text
                await soon_told(partial(rows_of, client, conversations[leave]), "its rows are written")
                if leave == "cancel":
                    two.other.kill()
        rows = {leave: await settled(client, name) for leave, name in conversations.items()}
        finished = {one["conversation_id"] for one in await told(listening, "finished", 2)}

    assert [[row["role"] for row in found] for found in rows.values()] == [["user", "assistant"]] * 2
    assert (rows["continue"][1]["status"], rows["continue"][1]["content"]) == ("sent", models["continue"].text)
    assert (rows["cancel"][1]["status"], rows["cancel"][1]["finish_reason"]) == ("interrupted", "abandoned")
    assert rows["cancel"][1]["content"].startswith(shown["cancel"])
    assert finished == set(conversations.values())
