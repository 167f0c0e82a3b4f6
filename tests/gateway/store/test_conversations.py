"""Whose conversations there are, and their messages: gateway/store/conversations.py."""

import pytest

from gateway.store.ids import is_conversation_id, new_conversation_id, new_message_id
from gateway.store.limits import MOST_CONVERSATIONS, PAGE
from gateway.store.refusals import NotFound
from gateway.store.store import Store
from services.wire.request import BadBody
from tests.gateway.store.keeping import ANOTHER, OWNER, STREAM, conversation, question, said, turn


async def test_a_new_conversation_has_what_it_was_given_and_leaves_the_rest_to_requests(store: Store) -> None:
    made = await store.conversations.create(OWNER, {"title": "ours", "named": True, "options": {"seed": 1}})

    assert is_conversation_id(made["id"])
    assert made == await store.conversations.one(OWNER, made["id"])
    assert (made["title"], made["options"], made["model"], made["current"]) == ("ours", {"seed": 1}, None, None)


async def test_a_nul_in_a_setting_is_kept_and_told_as_what_stands_for_it(store: Store) -> None:
    given = {"title": "a\0", "model": "b\0", "system": "c\0"}
    kept = {"title": "a\ufffd", "model": "b\ufffd", "system": "c\ufffd"}

    made = await store.conversations.create(OWNER, given)
    changed = await store.conversations.change(OWNER, made["id"], given)

    assert kept.items() <= made.items()
    assert kept.items() <= changed.items()


async def test_another_s_conversation_is_one_that_there_is_not(store: Store) -> None:
    name = await conversation(store)

    for asking in (
        store.conversations.one(ANOTHER, name),
        store.conversations.change(ANOTHER, name, {"title": "mine"}),
        store.conversations.messages(ANOTHER, name, None),
        store.conversations.streaming(ANOTHER, name),
        store.conversations.delete(ANOTHER, name),
        store.answers.path(ANOTHER, name, None, 10),
    ):
        with pytest.raises(NotFound):
            await asking
    assert (await store.conversations.page(ANOTHER, None)).rows == []
    assert (await store.conversations.one(OWNER, name))["title"] == ""


async def test_a_list_is_newest_first_and_every_conversation_is_on_one_of_its_pages(store: Store) -> None:
    names = [await conversation(store) for _ in range(PAGE + 3)]

    first = await store.conversations.page(OWNER, None)
    assert first.next is not None
    second = await store.conversations.page(OWNER, first.next)

    listed = [row["id"] for row in (*first.rows, *second.rows)]
    assert sorted(listed) == sorted(names)
    assert listed[0] == names[-1]
    assert (len(first.rows), second.next) == (PAGE, None)


async def test_a_place_of_another_list_is_refused(store: Store) -> None:
    for _ in range(PAGE + 1):
        await conversation(store)
    place = (await store.conversations.page(OWNER, None)).next

    for text in (place, "", "AAAA", "ä", "A" * 10_000):
        with pytest.raises(BadBody):
            await store.conversations.page(ANOTHER, text)


async def test_a_change_counts_a_version_and_can_be_taken_back(store: Store) -> None:
    name = await conversation(store)

    set_ = await store.conversations.change(OWNER, name, {"think": False, "system": "be brief"})
    back = await store.conversations.change(OWNER, name, {"think": None})

    assert (set_["think"], set_["version"]) == (False, 2)
    assert (back["think"], back["system"], back["version"]) == (None, "be brief", 3)


async def test_only_its_own_messages_can_be_current(store: Store) -> None:
    name, other = await conversation(store), await conversation(store)
    foreign = await said(store, other, "hi", "ho")

    for message in (foreign.answer_id, new_message_id()):
        with pytest.raises(BadBody):
            await store.conversations.change(OWNER, name, {"current": message})


async def test_messages_come_in_pages_from_the_newest_each_page_oldest_first(store: Store) -> None:
    name, parent = await conversation(store), None
    for number in range(PAGE):
        parent = (await said(store, name, f"question {number}", f"answer {number}", parent)).answer_id

    newest = await store.conversations.messages(OWNER, name, None)
    assert newest.next is not None
    oldest = await store.conversations.messages(OWNER, name, newest.next)

    texts = [row["content"] for row in (*oldest.rows, *newest.rows)]
    assert texts == [f"{who} {number}" for number in range(PAGE) for who in ("question", "answer")]
    assert oldest.next is None
    with pytest.raises(BadBody):
        await store.conversations.messages(OWNER, name, new_message_id())


async def test_an_answer_that_comes_after_its_conversation_is_gone_is_told_so_and_brings_nothing_back(
    store: Store,
) -> None:
    name = await conversation(store)
    begun = turn(name, question("hi"))
    await store.answers.begin(begun, None)
    assert await store.conversations.streaming(OWNER, name) == [STREAM]

    await store.conversations.delete(OWNER, name)
    with pytest.raises(NotFound):
        await store.answers.begin(turn(name, question("again")), None)

    with pytest.raises(NotFound):
        await store.conversations.messages(OWNER, name, None)


async def test_an_unknown_conversation_is_none(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.conversations.one(OWNER, new_conversation_id())
    assert MOST_CONVERSATIONS >= PAGE
