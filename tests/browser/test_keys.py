"""The page where a gateway asks for a key: it asks once, keeps it to itself (P8, S11), and says what it may not do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import BrowserContext, Locator, expect

from tests.behaviour.keys_on_disk import KeysOnDisk
from tests.behaviour.script import scripted
from tests.browser.page_chain import PageChain
from tests.browser.scripted import answer, refusal, requests
from tests.browser.visit import Visit
from tests.chain import Server

WRONG: Final = "sk_test_wrong000_" + "w" * 43 + "_000000"
REVOKED_MS: Final = 20_000
"""The file is read each second, and a stream ends within five of that."""
LIMITS: Final = {"requests_per_minute": "2", "burst": "1", "tokens_per_day": "50000"}


@dataclass
class Guarded:
    """A page whose gateway asks for keys, the file that they stand in, and four of them."""

    page: Server
    gateway: Server
    keys: KeysOnDisk
    good: str
    for_the_story: str
    soon_revoked: str
    limited: str


@pytest.fixture(scope="module")
def guarded(up: PageChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys = KeysOnDisk(tmp_path_factory.mktemp("keys"))
    held = keys.add("Ada"), keys.add("Bob", models='["story"]'), keys.add("Cy"), keys.add("Di", **LIMITS)
    gateway = up.chain.another_gateway(**keys.settings)
    with up.another_page(gateway.url) as page:
        yield Guarded(page, gateway, keys, *held)
    gateway.stop()


def asks(visit: Visit) -> Locator:
    """What stands at the page's top and asks."""
    return visit.page.get_by_role("region", name="Key")


async def give(visit: Visit, key: str) -> None:
    await asks(visit).get_by_label("Key", exact=True).fill(key)
    await visit.page.keyboard.press("Enter")


async def test_the_page_asks_once_and_the_key_stays_in_its_browser_and_its_header(
    context: BrowserContext, guarded: Guarded, tmp_path: Path
) -> None:
    key, model = guarded.good, scripted(tokens=5)
    visit = await Visit.to(guarded.page.url, context)
    sent = requests(visit.page)

    await expect(asks(visit)).to_contain_text("This gateway asks for a key.")
    await expect(asks(visit).get_by_label("Key", exact=True)).to_be_focused()
    await expect(visit.page.locator("#connection")).to_have_text("Key needed")
    await give(visit, "two words")
    await expect(asks(visit)).to_contain_text("A key is one word")
    await give(visit, WRONG)
    await expect(asks(visit)).to_contain_text("Refused.")
    await give(visit, key)
    await expect(asks(visit)).to_have_count(0)
    await expect(visit.page.get_by_role("status")).to_have_text("The key is good here.")
    await expect(visit.page.locator("#model")).to_contain_text("sim")
    await expect(visit.page.get_by_label("Message", exact=True)).to_be_focused()
    await visit.choose(model.name)
    await visit.ask("hi")
    await visit.finished()
    assert (await visit.record())["text"] == model.text

    file = tmp_path / "chats.json"
    await visit.export(file)
    await visit.page.reload()
    await visit.ready()
    await expect(visit.page.locator("#model")).to_contain_text("sim")
    await expect(asks(visit)).to_have_count(0)

    kept = await visit.page.evaluate("async () => JSON.stringify(await window.sluice.chat.store.everything())")
    logs = b"".join(guarded.gateway.raw + guarded.page.raw).decode()
    told = [f"{one.url} {one.post_data}" for one in sent]
    assert [where for where in (file.read_text(), kept, logs, *told) if key in where] == []
    bearers = {one.headers.get("authorization") for one in sent if "/api/" in one.url and one.method != "OPTIONS"}
    assert bearers == {f"Bearer {WRONG}", f"Bearer {key}"}
    assert {one.headers.get("authorization") for one in sent if guarded.page.url in one.url} == {None}


async def test_a_question_without_a_key_is_asked_again_by_keys_alone_when_there_is_one(
    context: BrowserContext, guarded: Guarded
) -> None:
    key, model = guarded.good, scripted(tokens=5)
    visit = await Visit.to(guarded.page.url, context)
    await asks(visit).get_by_role("button", name="Close").click()
    await visit.choose(model.name)
    await visit.ask("hi")
    card = visit.answer.get_by_role("alert")
    await expect(card).to_contain_text("The gateway wants a key that is good, and did not get one.")

    await card.get_by_role("button", name="Enter a key").click()
    await visit.page.keyboard.type(key)
    await visit.page.keyboard.press("Enter")
    await expect(card.get_by_role("button", name="Retry")).to_be_focused()
    await visit.page.keyboard.press("Enter")
    await visit.finished()

    await expect(visit.answer.locator(".versions")).to_have_text("2/2")
    assert (await visit.record())["text"] == model.text


async def test_a_key_that_is_revoked_amid_an_answer_ends_it_in_words_and_another_is_asked_for(
    context: BrowserContext, guarded: Guarded
) -> None:
    key, model = guarded.soon_revoked, scripted(tokens=2000, rate=20)
    visit = await Visit.to(guarded.page.url, context)
    await give(visit, key)
    await visit.choose(model.name)
    await visit.ask("hi")
    await visit.has_text()

    guarded.keys.revoke(key)

    card = visit.answer.get_by_role("alert")
    await expect(card).to_contain_text("The gateway wants a key that is good", timeout=REVOKED_MS)
    await expect(asks(visit)).to_contain_text("The gateway refuses the key that this browser keeps")
    assert (await visit.record())["text"] != ""
    await give(visit, guarded.good)
    await expect(visit.answer.get_by_role("button", name="Retry")).to_be_focused()


async def test_a_model_that_the_key_may_not_ask_is_said_and_another_can_be_chosen(
    context: BrowserContext, guarded: Guarded
) -> None:
    visit = await Visit.to(guarded.page.url, context)
    await give(visit, guarded.for_the_story)
    await visit.choose("sim")
    await visit.ask("hi")

    card = visit.answer.get_by_role("alert")
    await expect(card).to_contain_text("This key may not ask this model.")
    await card.get_by_role("button", name="Choose a model").click()
    await expect(visit.page.get_by_role("option")).to_have_count(1)


async def test_a_key_is_forgotten_in_every_tab(context: BrowserContext, guarded: Guarded) -> None:
    key = guarded.good
    other, visit = await Visit.to(guarded.page.url, context), await Visit.to(guarded.page.url, context)
    await give(visit, key)
    await expect(other.page.locator("#model")).to_contain_text("sim")  # the second tab heard of it
    await expect(asks(other)).to_have_count(0)
    await visit.page.get_by_role("button", name="Settings and files").click()
    menu = visit.page.get_by_role("dialog", name="Settings and files")
    await expect(menu.get_by_label("Key", exact=True)).to_have_attribute("placeholder", key[: len("sk_test_") + 8])

    await menu.get_by_role("button", name="Forget").click()

    for one in (visit, other):
        await expect(asks(one)).to_contain_text("This gateway asks for a key.")
    assert key not in await visit.page.evaluate("() => JSON.stringify({ ...localStorage })")


async def test_a_limit_says_how_long_to_wait_and_what_is_left_of_the_day(
    context: BrowserContext, guarded: Guarded
) -> None:
    visit = await Visit.to(guarded.page.url, context)
    await give(visit, guarded.limited)
    await visit.choose(scripted(tokens=5).name)
    await visit.ask("hi")
    await visit.finished()

    await visit.ask("and again")

    card = visit.answer.get_by_role("alert")
    await expect(card).to_contain_text("Retry is worth it in")
    await expect(card).to_contain_text("This key may ask 2 times a minute.")
    await expect(card).to_contain_text("of 50,000 tokens are left today.")
    await visit.page.get_by_role("button", name="Settings and files").click()
    menu = visit.page.get_by_role("dialog", name="Settings and files")
    await expect(menu).to_contain_text("of 50,000 tokens are left today.")


async def test_a_limit_of_the_day_names_the_hour_and_another_visit_does_not_count_from_the_start(
    context: BrowserContext, guarded: Guarded
) -> None:
    visit = await Visit.to(guarded.page.url, context)
    await give(visit, guarded.good)
    await answer(visit.page, "/api/chat/stream", refusal("rate_limited", "Spent."), 429, Retry_After="7260")
    await visit.ask("hi")
    card = visit.answer.get_by_role("alert")

    await expect(card).to_contain_text("in 2 h 0 min.")
    at = (await visit.record())["failure"]["retryAt"]
    await visit.page.reload()
    await visit.ready()

    assert (await visit.record())["failure"]["retryAt"] == at


async def test_too_many_wrong_keys_are_told_with_the_wait(context: BrowserContext, guarded: Guarded) -> None:
    visit = await Visit.to(guarded.page.url, context)
    await expect(asks(visit)).to_be_visible()
    await answer(visit.page, "/api/models", refusal("rate_limited"), 429, Retry_After="30")

    await give(visit, WRONG)

    await expect(asks(visit)).to_contain_text("Too many wrong keys came from here. Try again in")
