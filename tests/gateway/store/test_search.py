import pytest

from gateway.store.limits import PAGE
from gateway.store.search import INDEXED_CHARACTERS
from gateway.store.store import Store
from services.wire.request import BadBody
from tests.gateway.store.keeping import ANOTHER, BOTH, OWNER, conversation, said


@pytest.fixture(params=BOTH)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def found(store: Store, asked: str, owner: str = OWNER) -> list[str]:
    return [row["id"] for row in (await store.search.page(owner, asked, None)).rows]


async def test_all_words_must_stand_in_one_message_whole_and_in_any_case(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "Where is the HARBOUR?", "Behind the light-house.")

    for asked in ("harbour", "the harbour where", "light-house", "house behind"):
        assert await found(store, asked) == [name], asked
    for asked in ("harb", "harbour behind", "airport"):
        assert await found(store, asked) == [], asked


async def test_titles_are_searched_too(store: Store) -> None:
    name = await conversation(store)
    await store.conversations.change(OWNER, name, {"title": "Ships and boats", "named": True})

    (row,) = (await store.search.page(OWNER, "boats", None)).rows

    assert row["match"] == {"message_id": None, "excerpt": "Ships and boats"}


async def test_a_match_names_the_newest_message_and_shows_what_stands_around(store: Store) -> None:
    name = await conversation(store)
    first = await said(store, name, "the harbour", "ho")
    second = await said(store, name, "x " * 100 + "harbour again", "ho", first.answer_id)

    (row,) = (await store.search.page(OWNER, "harbour", None)).rows

    assert second.user is not None
    assert row["match"]["message_id"] == second.user.id
    assert row["match"]["excerpt"].endswith("x harbour again")


async def test_nobody_finds_what_another_said(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "the harbour, みなと", "ho")

    assert await found(store, "harbour", ANOTHER) == await found(store, "みなと", ANOTHER) == []


@pytest.mark.parametrize("asked", ['"', "'; DROP TABLE messages; --", "a AND", "NEAR(", "*", "^a", "{a}: b", "%", "_"])
async def test_operators_and_quotes_are_words_like_others(store: Store, asked: str) -> None:
    name = await conversation(store)
    await said(store, name, "nothing of it", "ho")

    assert await found(store, asked) == []


async def test_a_nul_is_searched_for_as_it_is_kept(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "light\0house 港\0船", "ho")

    assert await found(store, "light\0house") == await found(store, "港\0船") == [name]


async def test_languages_without_spaces_are_found_within_a_text(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "船は港にいる。100%", "ho")

    assert await found(store, "港") == await found(store, "港 船は") == [name]
    assert await found(store, "港%船") == []


async def test_a_change_and_a_partial_answer_are_found_as_they_are_now(store: Store) -> None:
    name = await conversation(store)
    await store.conversations.change(OWNER, name, {"title": "before", "named": True})
    await store.conversations.change(OWNER, name, {"title": "after", "named": True})

    assert (await found(store, "before"), await found(store, "after")) == ([], [name])


async def test_words_beyond_the_first_200_000_characters_are_not_indexed_and_do_no_harm(store: Store) -> None:
    name = await conversation(store)
    await said(store, name, "near " + "x" * INDEXED_CHARACTERS + " far", "a-b-" * (INDEXED_CHARACTERS // 2))

    assert (await found(store, "near"), await found(store, "far")) == ([name], [])
    await store.conversations.delete(OWNER, name)
    assert await found(store, "near") == []


async def test_a_search_has_pages_and_their_places_are_its_own(store: Store) -> None:
    for _ in range(PAGE + 1):
        name = await conversation(store)
        await said(store, name, "the harbour", "ho")

    first = await store.search.page(OWNER, "harbour", None)
    second = await store.search.page(OWNER, "harbour", first.next)

    assert len({row["id"] for row in (*first.rows, *second.rows)}) == PAGE + 1
    with pytest.raises(BadBody):
        await store.search.page(OWNER, "other", first.next)
