"""Messages of a conversation that is kept: what the model is sent, and which rows there are afterwards.

gateway/conversations/keeping.py and gateway/conversations/kept_answer.py, as a client meets them.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.behaviour.connections import sample
from tests.behaviour.kept import HERE, SETTLED_S, asked, new_conversation, rows_of, settled
from tests.behaviour.script import Scripted, scripted
from tests.chain import Chain, running_chain
from tests.databases import Database, running_database
from tests.eventually import soon, soon_told
from tests.machine import needs
from tests.reader import Answer, Client

PICTURE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SLOW: Final = 50
"""Tokens a second."""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=needs("postgres"))])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with running_database(request.param) as database:
        yield database


@pytest.fixture(scope="module")
def chain(database: Database) -> Iterator[Chain]:
    gateway = {"DATABASE": database.url, "HISTORY_CHARS": "4000"}
    with running_chain(simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, gateway=gateway) as chain:
        yield chain


async def said(client: Client, conversation: str, model: Scripted, **body: Any) -> Answer:
    sent = {"model": model.name, "conversation_id": conversation, **body}
    async with client.open("POST", "/api/chat/stream", sent) as reading:
        return await reading.until_end()


async def answered(client: Client, conversation: str, model: Scripted, **body: Any) -> Answer:
    answer = await said(client, conversation, model, **body)
    assert answer.status == 200, answer.body
    return answer


async def test_a_message_and_its_answer_are_kept_and_the_next_one_goes_with_both(chain: Chain, client: Client) -> None:
    conversation = await new_conversation(client, system="be brief")
    first, second = scripted("viewer"), scripted("viewer")

    answers = [await answered(client, conversation, first, message="one", images=[PICTURE])]
    await settled(client, conversation)
    answers.append(await answered(client, conversation, second, message="two"))

    rows = await settled(client, conversation, count=4)
    assert [(row["role"], row["content"], row["status"]) for row in rows] == [
        ("user", "one", "sent"),
        ("assistant", first.text, "sent"),
        ("user", "two", "sent"),
        ("assistant", second.text, "sent"),
    ]
    assert [row["parent"] for row in rows] == [None, *(row["id"] for row in rows[:-1])]
    starts = [answer.data[0] for answer in answers]
    assert [start["history"] for start in starts] == [{"sent": 0, "left_out": 0}, {"sent": 2, "left_out": 0}]
    assert [(start["parent"], start["message_id"]) for start in starts] == [
        (rows[0]["id"], rows[1]["id"]),
        (rows[2]["id"], rows[3]["id"]),
    ]
    assert rows[1]["served_by"] == answers[0].data[-1]["served_by"]
    (call,) = chain.calls(second.name)
    assert [message["role"] for message in call["body"]["messages"]] == ["system", "user", "assistant", "user"]
    assert [message["content"] for message in call["body"]["messages"]] == ["be brief", "one", first.text, "two"]
    assert call["body"]["messages"][1]["images"] == [PICTURE]


async def test_an_answer_that_was_stored_in_time_says_so(client: Client) -> None:
    """Its end waits a quarter of a second for that, which a busy machine may not have each time."""

    async def says_so() -> bool:
        answer = await answered(client, await new_conversation(client), scripted(), message="hi")
        assert answer.end is not None
        return bool(answer.end["stored"])

    await soon_told(says_so, "an answer's end says that it is stored", within_s=SETTLED_S)


async def test_what_does_not_fit_is_left_out_and_told(client: Client) -> None:
    conversation = await new_conversation(client)
    await answered(client, conversation, scripted(tokens=900), message="tell me all")
    await settled(client, conversation)

    answer = await answered(client, conversation, scripted(), message="more")

    assert answer.data[0]["history"] == {"sent": 0, "left_out": 2}


async def test_an_answer_is_given_anew_and_a_question_edited_as_siblings(client: Client) -> None:
    conversation = await new_conversation(client)
    models = [scripted() for _ in range(3)]
    await answered(client, conversation, models[0], message="one")
    question, _ = await settled(client, conversation)

    anew = await answered(client, conversation, models[1], parent=question["id"])
    await settled(client, conversation, count=3)
    edited = await answered(client, conversation, models[2], message="one, better", parent="")

    rows = await settled(client, conversation, count=5)
    assert [(row["role"], row["content"], row["parent"]) for row in rows] == [
        ("user", "one", None),
        ("assistant", models[0].text, question["id"]),
        ("assistant", models[1].text, question["id"]),
        ("user", "one, better", None),
        ("assistant", models[2].text, edited.data[0]["parent"]),
    ]
    assert anew.data[0]["history"] == edited.data[0]["history"] == {"sent": 0, "left_out": 0}
    assert (await asked(client, "GET", f"{HERE}/{conversation}"))["current"] == edited.data[0]["message_id"]


async def test_a_message_while_the_newest_answer_streams_is_a_conflict_and_a_repeated_one_joins(client: Client) -> None:
    conversation = await new_conversation(client)
    model, key = scripted(tokens=200, rate=SLOW), {"Idempotency-Key": "a" * 32}
    body = {"model": model.name, "conversation_id": conversation, "message": "one"}
    async with client.open("POST", "/api/chat/stream", body, key) as reading:
        await reading.until_tokens(1)
        await soon_told(lambda: rows_of(client, conversation), "the rows are written")

        refused = await said(client, conversation, scripted(), message="two")
        async with client.open("POST", "/api/chat/stream", body, key) as again:
            joined = await again.until_end()
        answer = await reading.until_end()

    assert (refused.status, refused.error["code"]) == (409, "conflict")
    assert (joined.stream_id, joined.text) == (answer.stream_id, model.text)
    assert joined.data[0]["message_id"] == answer.data[0]["message_id"]
    assert len(await settled(client, conversation)) == 2


async def test_a_request_repeated_after_its_answer_joins_it_and_keeps_nothing_twice(client: Client) -> None:
    conversation = await new_conversation(client)
    model, key = scripted(), {"Idempotency-Key": "b" * 32}
    body = {"model": model.name, "conversation_id": conversation, "message": "one"}

    starts = []
    for _ in range(2):
        async with client.open("POST", "/api/chat/stream", body, key) as reading:
            starts.append((await reading.until_end()).data[0])
        await settled(client, conversation)

    for name in ("stream_id", "message_id", "parent"):
        assert starts[0][name] == starts[1][name]
    assert len(await settled(client, conversation)) == 2


@pytest.mark.parametrize(
    ("leave", "status"), [("cancel", "stopped"), ("continue", "sent")], ids=["stopped", "followed_to_its_end"]
)
async def test_an_answer_whose_reader_left_is_kept_as_far_as_it_came(client: Client, leave: str, status: str) -> None:
    conversation = await new_conversation(client)
    model = scripted(tokens=100, rate=SLOW)
    body = {"model": model.name, "conversation_id": conversation, "message": "one", "on_disconnect": leave}
    async with client.open("POST", "/api/chat/stream", body) as reading:
        shown = (await reading.until_tokens(5)).text

    _, answer = await settled(client, conversation)

    assert answer["status"] == status
    assert answer["content"].startswith(shown)
    assert leave == "cancel" or answer["content"] == model.text
    assert "stream_id" not in answer


async def test_an_answer_that_has_no_row_yet_stops_as_well_when_its_conversation_is_deleted(client: Client) -> None:
    conversation = await new_conversation(client)
    model = scripted(tokens=500, rate=SLOW, prefill=2)

    async def is_asked() -> bool:
        running = (await asked(client, "GET", "/api/chat/streams"))["streams"]
        return any(one["model"] == model.name for one in running)

    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(said(client, conversation, model, message="one", on_disconnect="continue"))
        await soon_told(is_asked, "its model is asked")
        async with client.open("DELETE", f"{HERE}/{conversation}") as deleting:
            assert (await deleting.until_end()).status == 204
    answer = answering.result()

    assert answer.reason == "cancelled"


async def test_an_answer_that_failed_is_kept_with_its_text_and_its_code(client: Client) -> None:
    conversation = await new_conversation(client)
    model = scripted(tokens=20, fault="cut", at=10)

    answer = await answered(client, conversation, model, message="one")

    row = (await settled(client, conversation))[-1]
    assert (row["status"], row["error"]["code"], row["content"]) == ("failed", answer.reason, answer.text)


async def test_a_database_that_takes_no_writes_fails_no_answer_and_has_all_of_them_afterwards(
    chain: Chain, client: Client, database: Database
) -> None:
    """L16: the next message goes with what was said before, though that is in no row yet; what waits is counted."""
    conversation, models = await new_conversation(client), [scripted(), scripted()]
    with database.refusing_writes():
        answers = [await answered(client, conversation, model, message="hi") for model in models]
        stored_meanwhile = await rows_of(client, conversation)
        pending_bytes = sample(chain.gateway, "llm_store_pending_bytes")

    rows = await settled(client, conversation, count=4)
    assert [answer.end and answer.end["stored"] for answer in answers] == [False, False]
    assert stored_meanwhile == []
    assert pending_bytes > sum(len(model.text) for model in models)
    await soon(lambda: sample(chain.gateway, "llm_store_pending_bytes") == 0, "nothing waits any more")
    assert [row["content"] for row in rows] == ["hi", models[0].text, "hi", models[1].text]
    (call,) = chain.calls(models[1].name)
    assert [message["content"] for message in call["body"]["messages"]] == ["hi", models[0].text, "hi"]


async def test_what_is_refused_before_its_stream_leaves_nothing(client: Client) -> None:
    conversation = await new_conversation(client)

    refused = await said(client, conversation, Scripted("no-such-model", []), message="one")

    assert (refused.status, await rows_of(client, conversation)) == (404, [])


async def test_a_clients_own_label_and_its_own_messages_are_not_kept(client: Client) -> None:
    conversation = await new_conversation(client)
    messages = [{"role": "user", "content": "hi"}]

    label = await answered(client, "mine", scripted(), message="hi")
    own = await answered(client, conversation, scripted(), messages=messages)

    for answer in (label, own):
        assert answer.end is not None
        assert "stored" not in answer.end
        assert "history" not in answer.data[0]
    assert await rows_of(client, conversation) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"conversation_id": "cv_" + "A" * 26, "message": "hi"}, 404),
        ({"message": "hi", "parent": "ms_" + "A" * 26}, 404),
        ({"parent": "ms_" + "A" * 26}, 404),
        ({"parent": "not an id"}, 400),
        ({"parent": ""}, 400),
        ({"message": ""}, 400),
    ],
)
async def test_what_is_no_turn_of_ones_own_conversation_is_refused(
    client: Client, body: dict[str, Any], status: int
) -> None:
    sent = {"model": scripted().name, "conversation_id": await new_conversation(client), **body}

    async with client.open("POST", "/api/chat/stream", sent) as reading:
        answer = await reading.until_end()

    assert answer.status == status
