"""What goes out comes in again, once, and under nobody else: gateway/store/transfer.py."""

import asyncio
from typing import Any

import orjson
import pytest

from gateway.store.importing import imported
from gateway.store.limits import PAGE, PAGE_BYTES
from gateway.store.refusals import Conflict
from gateway.store.rows import Answer, Status
from gateway.store.store import Store
from services.wire.request import BadBody
from tests.gateway.store.keeping import ANOTHER, BOTH, KEEPER, OWNER, conversation, question, said, turn


@pytest.fixture(params=BOTH)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def exported(store: Store, owner: str = OWNER) -> list[dict[str, Any]]:
    """Return what each piece of the export is, as a file."""
    pieces, place = [], None
    while True:
        piece = await store.transfer.piece(owner, place)
        pieces.append({"sluice_export": 1, "conversations": list(piece.conversations)})
        if (place := piece.next) is None:
            return pieces


async def taken_in(store: Store, piece: dict[str, Any], owner: str = OWNER) -> tuple[int, int, int, int]:
    told = await store.transfer.take_in(owner, imported(orjson.dumps(piece), owner))
    return (
        told.conversations.imported,
        told.conversations.skipped,
        told.messages.imported,
        told.messages.skipped,
    )


async def everything(store: Store, owner: str = OWNER) -> list[dict[str, Any]]:
    """Return what an owner has, without what each copy counts anew."""
    pieces = orjson.loads(orjson.dumps(await exported(store, owner)))
    found = [one for piece in pieces for one in piece["conversations"]]
    return [{name: value for name, value in one.items() if name != "version"} for one in found]


async def test_a_nul_in_a_file_is_taken_in_as_what_stands_for_it(store: Store) -> None:
    told = {"id": "m", "role": "assistant", "content": "a\0", "model": "b\0", "finish_reason": "c\0", "created_at": 1}
    one = {"id": "c", "title": "t\0", "model": "m\0", "created_at": 1, "updated_at": 1, "messages": [told]}

    assert await taken_in(store, {"sluice_export": 1, "conversations": [one]}) == (1, 0, 1, 0)

    (kept,) = await everything(store)
    (message,) = kept["messages"]
    assert (kept["title"], kept["model"], message["content"]) == ("t\ufffd", "m\ufffd", "a\ufffd")
    assert (message["model"], message["finish_reason"]) == ("b\ufffd", "c\ufffd")


async def test_what_is_exported_and_deleted_comes_back_as_it_was(store: Store) -> None:
    name = await conversation(store)
    first = await said(store, name, "where?", "there")
    again = turn(name, None, answers=first.answer_parent)
    tool = {"call_id": "call_1", "name": "clock", "arguments": {"tz": "UTC"}, "ok": True, "content": "12:00"}
    turns = ({"role": "assistant", "content": "", "tool_calls": []}, {"role": "tool", "content": "12:00"})
    await store.answers.begin(again)
    whole = Answer(
        again.answer_id, Status.FAILED, "no", "hm", (), (tool,), turns, "upstream_error", {"input_tokens": 1}
    )
    assert await store.answers.save(whole, KEEPER)
    before = await everything(store)
    pieces = await exported(store)

    await store.conversations.delete(OWNER, name)
    assert [await taken_in(store, piece) for piece in pieces] == [(1, 0, 3, 0)]

    assert await everything(store) == before
    assert [message["status"] for message in before[0]["messages"]] == ["sent", "sent", "failed"]
    assert len((await store.answers.path(OWNER, name, None, 10)).messages) == 2


async def test_what_is_there_is_skipped_and_stays_as_it_is(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "hi", "ho")
    (piece,) = await exported(store)
    await store.conversations.change(OWNER, name, {"title": "mine now", "named": True})

    assert await taken_in(store, piece) == (0, 1, 0, 2)
    assert (await store.conversations.one(OWNER, name))["title"] == "mine now"


async def test_a_file_that_names_another_s_conversation_adds_nothing_to_it(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "hi", "ho")
    (piece,) = await exported(store)
    piece["conversations"][0]["messages"].append(
        {"id": "ms_" + "Z" * 26, "parent": None, "role": "user", "content": "injected", "created_at": 1}
    )

    assert await taken_in(store, piece, ANOTHER) == (0, 1, 0, 3)
    assert len((await store.conversations.messages(OWNER, name, None)).rows) == 2
    assert await everything(store, ANOTHER) == []


async def test_a_large_conversation_comes_in_pieces_and_is_put_together_in_order(store: Store) -> None:
    name, parent = await conversation(store), None
    for number in range(4):
        parent = (await said(store, name, f"q{number}", "x" * (PAGE_BYTES // 3), parent)).answer_id
    before, pieces = await everything(store), await exported(store)
    assert len(pieces) > 1

    await store.conversations.delete(OWNER, name)
    for piece in pieces:
        await taken_in(store, piece)

    assert [message for one in await everything(store) for message in one["messages"]] == [
        message for one in before for message in one["messages"]
    ]
    assert (await store.conversations.one(OWNER, name))["current"] == parent


async def test_an_export_has_every_conversation_once(store: Store) -> None:
    names = [await conversation(store) for _ in range(PAGE + 2)]

    assert [one["id"] for one in await everything(store)] == names


async def test_an_answer_that_streams_is_exported_as_interrupted(store: Store) -> None:
    name = await conversation(store)
    await store.answers.begin(turn(name, question("hi")))

    (piece,) = await exported(store)

    assert [message["status"] for message in piece["conversations"][0]["messages"]] == ["sent", "interrupted"]
    assert "stream_id" not in piece["conversations"][0]["messages"][1]


async def test_a_message_without_its_parent_brings_nothing_of_its_file(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "hi", "ho")
    (piece,) = await exported(store)
    del piece["conversations"][0]["messages"][0]
    await store.conversations.delete(OWNER, name)
    whole = {**piece["conversations"][0], "id": "before", "messages": []}

    with pytest.raises(BadBody):
        await taken_in(store, {**piece, "conversations": [whole, *piece["conversations"]]})

    assert await everything(store) == []


async def test_more_than_one_may_have_brings_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    name = await conversation(store)
    await said(store, name, "hi", "ho")
    (piece,) = await exported(store)
    await store.conversations.delete(OWNER, name)

    monkeypatch.setattr("gateway.store.transfer.MOST_MESSAGES", 1)
    with pytest.raises(Conflict):
        await taken_in(store, piece)
    monkeypatch.setattr("gateway.store.conversations.MOST_CONVERSATIONS", 0)
    with pytest.raises(Conflict):
        await taken_in(store, piece)
    with pytest.raises(Conflict):
        await conversation(store)

    assert await everything(store) == []


async def test_a_place_that_is_none_of_the_export_is_refused(store: Store) -> None:
    with pytest.raises(BadBody):
        await store.transfer.piece(OWNER, "x")


async def test_two_imports_of_one_file_at_once_bring_it_once(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "hi", "ho")
    (piece,) = await exported(store)
    await store.conversations.delete(OWNER, name)

    told = await asyncio.gather(taken_in(store, piece), taken_in(store, piece))

    assert sorted(told) == [(0, 1, 0, 2), (1, 0, 2, 0)]
