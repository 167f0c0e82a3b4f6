import asyncio
from dataclasses import replace

import orjson
import pytest

from gateway.store.answers import title_of
from gateway.store.ids import new_conversation_id, new_message_id
from gateway.store.refusals import NotFound
from gateway.store.rows import Answer, AnswerRow, Status
from gateway.store.store import Store
from tests.gateway.store.keeping import ANOTHER, BOTH, KEEPER, OWNER, STREAM, conversation, question, said, turn


@pytest.fixture(params=BOTH)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_turn_s_rows_are_there_when_it_begins_and_the_conversation_goes_on_with_it(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("What is\n a  log?"), system="be brief")

    await store.answers.begin(begun)

    asked, answer = (await store.conversations.messages(OWNER, name, None)).rows
    kept = await store.conversations.one(OWNER, name)
    assert (asked["content"], asked["status"], answer["parent"]) == ("What is\n a  log?", "sent", asked["id"])
    assert (answer["status"], answer["stream_id"], answer["model"]) == ("streaming", begun.stream_id, "tiny")
    assert (kept["title"], kept["current"], kept["version"]) == ("What is a log?", begun.answer_id, 2)
    assert (kept["system"], kept["model"]) == ("be brief", "tiny")


async def test_a_turn_that_is_written_twice_is_there_once(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))

    await store.answers.begin(begun)
    assert await store.answers.save(Answer(begun.answer_id, Status.SENT, content="ho"), KEEPER)
    await store.answers.begin(begun)

    rows = (await store.conversations.messages(OWNER, name, None)).rows
    assert [row["content"] for row in rows] == ["hi", "ho"]


async def test_a_turn_that_is_written_late_is_written_whole(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))
    whole = Answer(begun.answer_id, Status.FAILED, content="h", tools=({"call_id": "call_1"},), code="upstream_error")

    await store.answers.begin(begun, whole)

    _, answer = (await store.conversations.messages(OWNER, name, None)).rows
    assert (answer["status"], answer["error"]) == ("failed", {"code": "upstream_error"})
    assert orjson.dumps(answer["tools"]) == b'[{"call_id":"call_1"}]'
    assert "stream_id" not in answer


async def test_a_nul_in_any_text_of_a_turn_is_kept_as_what_stands_for_it(store: Store) -> None:
    name = await conversation(store)
    begun = replace(turn(name, question("a\0b"), system="be\0kind"), model="ti\0ny", asked_as="k\0")
    answer = Answer(
        begun.answer_id,
        Status.SENT,
        content="ho\0",
        thinking="hm\0",
        turns=({"role": "assistant", "content": "ho\0"},),
        tool_calls=({"call_id": "1", "name": "n", "arguments": {"\0": "\0"}},),
        code="st\0op",
        usage={"\0": 1},
    )

    await store.answers.begin(begun)
    assert await store.answers.save(answer, KEEPER)

    kept = await store.conversations.one(OWNER, name)
    asked, told = (await store.conversations.messages(OWNER, name, None)).rows
    assert (kept["title"], kept["system"], kept["model"]) == ("a\ufffdb", "be\ufffdkind", "ti\ufffdny")
    assert (asked["content"], told["content"], told["thinking"]) == ("a\ufffdb", "ho\ufffd", "hm\ufffd")
    assert (told["model"], told["finish_reason"]) == ("ti\ufffdny", "st\ufffdop")


async def test_a_turn_under_a_message_that_is_gone_or_another_s_writes_nothing(store: Store) -> None:
    name, other = await conversation(store), await conversation(store)
    foreign = await said(store, other, "hi", "ho")

    await store.answers.begin(turn(name, question("hi", parent=new_message_id())))
    await store.answers.begin(turn(name, question("hi", parent=foreign.answer_id)))
    await store.answers.begin(turn(name, None, answers=foreign.answer_parent))
    for gone in (turn(name, question("hi"), owner=ANOTHER), turn(new_conversation_id(), question("hi"))):
        with pytest.raises(NotFound):
            await store.answers.begin(gone)

    assert (await store.conversations.messages(OWNER, name, None)).rows == []


async def test_asking_again_adds_a_sibling_and_the_path_leads_through_it(store: Store) -> None:
    name = await conversation(store)
    first = await said(store, name, "hi", "ho")
    again = turn(name, None, answers=first.answer_parent)

    await store.answers.begin(again)
    assert await store.answers.save(Answer(again.answer_id, Status.SENT, content="hey"), KEEPER)

    path = await store.answers.path(OWNER, name, None, 10)
    assert [message.content for message in path.messages] == ["hi", "hey"]
    older = await store.answers.path(OWNER, name, first.answer_id, 10)
    assert [message.content for message in older.messages] == ["hi", "ho"]


async def test_a_path_has_its_newest_messages_and_no_more_than_were_asked_for(store: Store) -> None:
    name, parent = await conversation(store), None
    for number in range(4):
        parent = (await said(store, name, f"q{number}", f"a{number}", parent)).answer_id

    path = await store.answers.path(OWNER, name, None, 3)

    assert [message.content for message in path.messages] == ["a2", "q3", "a3"]
    with pytest.raises(NotFound):
        await store.answers.path(OWNER, name, new_message_id(), 3)


async def test_a_partial_answer_is_taken_from_its_keeper_and_the_end_from_whoever_knows_it(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))
    await store.answers.begin(begun)
    before = (await store.conversations.one(OWNER, name))["version"]

    assert await store.answers.save(Answer(begun.answer_id, Status.STREAMING, content="h"), KEEPER)
    assert not await store.answers.save(Answer(begun.answer_id, Status.STREAMING, content="?"), "another")
    assert (await store.conversations.one(OWNER, name))["version"] == before

    assert await store.answers.save(Answer(begun.answer_id, Status.SENT, content="ho", code="stop"), "another")
    assert await store.answers.save(Answer(begun.answer_id, Status.FAILED), KEEPER)  # an end is there, and stays
    assert not await store.answers.save(Answer(new_message_id(), Status.SENT), KEEPER)
    _, answer = (await store.conversations.messages(OWNER, name, None)).rows
    assert (answer["content"], answer["finish_reason"]) == ("ho", "stop")
    assert (await store.conversations.one(OWNER, name))["version"] == before + 1


async def test_an_answer_begins_before_its_conversation_is_deleted_and_is_told_or_after_and_hears_of_it(
    store: Store,
) -> None:
    """However the two meet: an answer that neither knows of would cost its model to its end."""
    for _ in range(10):
        name = await conversation(store)
        begun = turn(name, question("hi"))
        told, heard = await asyncio.gather(
            store.conversations.delete(OWNER, name), store.answers.begin(begun), return_exceptions=True
        )

        assert (told, type(heard)) in (([STREAM], type(None)), ([], NotFound))
        assert not await store.answers.save(Answer(begun.answer_id, Status.SENT), KEEPER)


async def test_an_answer_ends_while_its_conversation_is_deleted_and_neither_waits_for_the_other(store: Store) -> None:
    for _ in range(10):
        begun = turn(await conversation(store), question("hi"))
        await store.answers.begin(begun)

        await asyncio.gather(
            store.answers.save(Answer(begun.answer_id, Status.SENT), KEEPER),
            store.conversations.delete(OWNER, begun.conversation_id),
        )


async def test_a_row_whose_lease_is_given_back_is_taken_over_once(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))
    await store.answers.begin(begun)
    assert await store.answers.save(Answer(begun.answer_id, Status.STREAMING, content="h"), KEEPER)

    assert await store.answers.sweep("another") == ()
    await store.answers.release(KEEPER)
    taken = [*await store.answers.sweep("another"), *await store.answers.sweep("a third")]

    (orphan,) = taken
    assert (orphan.message_id, orphan.owner) == (begun.answer_id, OWNER)
    assert (orphan.stream_id, orphan.leave, orphan.content) == (begun.stream_id, "continue", "h")
    await store.answers.renew("another", [begun.answer_id])
    assert not await store.answers.save(Answer(begun.answer_id, Status.STREAMING), KEEPER)


async def test_the_row_of_a_stream_is_found_by_its_owner_as_long_as_it_streams(store: Store) -> None:
    begun = turn(await conversation(store), question("hi"))
    await store.answers.begin(begun)

    assert await store.answers.of_stream(OWNER, STREAM) == AnswerRow(begun.answer_id, begun.answer_parent)
    assert await store.answers.of_stream(ANOTHER, STREAM) is None

    assert await store.answers.save(Answer(begun.answer_id, Status.SENT), KEEPER)
    assert await store.answers.of_stream(OWNER, STREAM) is None


async def test_two_gateways_that_keep_one_answer_write_one_and_both_know_that_it_is_there(store: Store) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))
    again = replace(begun, keeper="another")

    await asyncio.gather(store.answers.begin(begun), store.answers.begin(again))
    whole = Answer(begun.answer_id, Status.SENT, content="ho")
    assert all(await asyncio.gather(*(store.answers.save(whole, keeper) for keeper in (KEEPER, "another"))))
    await store.answers.begin(again)

    rows = (await store.conversations.messages(OWNER, name, None)).rows
    assert [(row["content"], row["status"]) for row in rows] == [("hi", "sent"), ("ho", "sent")]


async def test_sweepers_side_by_side_share_what_is_lost(store: Store) -> None:
    name = await conversation(store)
    for _ in range(5):
        await store.answers.begin(turn(name, question("hi")))
    await store.answers.release(KEEPER)

    swept = await asyncio.gather(*(store.answers.sweep(str(number)) for number in range(3)))

    assert len({orphan.message_id for some in swept for orphan in some}) == sum(map(len, swept)) == 5


async def test_versions_tell_what_changed_and_what_streams(store: Store) -> None:
    quiet, busy = await conversation(store), await conversation(store)
    begun = turn(busy, question("hi"))
    await store.answers.begin(begun)

    assert await store.answers.versions(OWNER) == {quiet: (1, ()), busy: (2, (begun.answer_id,))}
    assert await store.answers.versions(ANOTHER) == {}


async def test_what_postgresql_does_not_know_is_kept_as_a_mark(store: Store) -> None:
    name = await conversation(store)

    await said(store, name, "a\0b", "c\0d")

    rows = (await store.conversations.messages(OWNER, name, None)).rows
    assert [row["content"] for row in rows] == ["a\ufffdb", "c\ufffdd"]


def test_a_title_is_the_beginning_of_a_question_in_one_line() -> None:
    assert title_of(" a\n\nb ") == "a b"
    assert len(title_of("x" * 10_000)) == 80
