"""Chats that the gateway keeps: its list is the list, on every device, live."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Route, expect

from tests.behaviour.script import scripted
from tests.browser.kept import Keeping
from tests.browser.page_chain import PageChain
from tests.browser.scripted import answer, refusal
from tests.browser.visit import Visit
from tests.chain import Server
from tests.eventually import soon

QUICK: Final = scripted(tokens=5).name


@pytest.fixture(scope="module")
def running(up: PageChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeping]:
    database = tmp_path_factory.mktemp("kept") / "conversations.db"
    proxy = Server("tests.behaviour.tooled_proxy", up.chain.proxy_environ)
    up.chain.servers.append(proxy)
    gateway = up.chain.another_gateway(PROXY_URL=proxy.url, TOOLS="*", DATABASE=f"sqlite:///{database}")
    with up.another_page(gateway.url, STORE="yes") as page:
        yield Keeping(gateway, page)


@pytest.fixture
def keeping(running: Keeping) -> Keeping:
    """The same, with nothing kept."""
    while chats := running.ask("GET", "")["conversations"]:
        for one in chats:
            running.ask("DELETE", f"/{one['id']}")
    return running


@pytest_asyncio.fixture(loop_scope="session")
async def desk(context: BrowserContext, keeping: Keeping) -> Visit:
    """The page on one device."""
    return await Visit.to(keeping.page.url, context)


@pytest_asyncio.fixture(loop_scope="session")
async def phone(browser: Browser, keeping: Keeping) -> AsyncIterator[Visit]:
    """The page on another device: another profile."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    yield await Visit.to(keeping.page.url, context)
    await context.close()


async def asked(visit: Visit, question: str, model: str = QUICK) -> None:
    await visit.choose(model)
    await visit.ask(question)
    await visit.finished()


async def test_what_is_asked_is_kept_there_and_found_after_a_reload_and_by_what_was_said(
    desk: Visit, keeping: Keeping
) -> None:
    await asked(desk, "about lighthouses")
    await asked(desk, "and rivers?")
    text = (await desk.record())["text"]
    await desk.page.reload()
    await desk.ready()

    await expect(desk.page.locator(".entry-title")).to_have_text(["about lighthouses"])
    await expect(desk.page.locator(".question .plain")).to_have_text(["about lighthouses", "and rivers?"])
    await desk.finished()
    assert (await desk.record())["text"] == text
    assert [one["content"] for one in keeping.messages() if one["role"] == "user"] == [
        "about lighthouses",
        "and rivers?",
    ]
    await desk.page.get_by_role("button", name="New chat").click()
    await asked(desk, "about mountains")
    await desk.page.keyboard.press("Control+k")
    await desk.page.keyboard.type("RIVERS")
    await expect(desk.page.locator(".entry-title")).to_have_text(["about lighthouses"])
    local = await desk.page.evaluate("async () => (await window.sluice.chat.kept.local.everything()).length")
    assert local == 0


async def test_the_page_reads_its_list_once_before_it_can_be_used(context: BrowserContext, keeping: Keeping) -> None:
    asked: list[str] = []
    context.on("request", lambda one: asked.append(one.url.removeprefix(keeping.gateway.url)))
    await Visit.to(keeping.page.url, context)
    await soon(lambda: "/api/conversations/events" in asked, "it listens")

    assert asked[: asked.index("/api/conversations/events")].count("/api/conversations") == 1


async def test_two_devices_see_one_list_and_one_conversation(desk: Visit, phone: Visit) -> None:
    await asked(desk, "seen by both")
    await phone.page.locator(".entry .open").click()
    await expect(phone.page.locator(".question .plain")).to_have_text(["seen by both"])

    await asked(phone, "from the other side")

    await expect(desk.page.locator(".question .plain")).to_have_text(["seen by both", "from the other side"])
    await desk.finished()
    assert (await desk.record())["text"] == (await phone.record())["text"]
    await desk.page.locator(".entry").hover()
    await desk.page.get_by_role("button", name="Rename: seen by both").click()
    await desk.page.get_by_role("dialog").get_by_role("textbox").fill("renamed")
    await desk.page.get_by_role("button", name="Save").click()
    await expect(phone.page.locator(".entry-title")).to_have_text(["renamed"])
    await phone.page.locator(".entry").hover()
    await phone.page.get_by_role("button", name="Delete: renamed").click()
    await phone.page.get_by_role("button", name="Delete", exact=True).click()
    await expect(desk.page.locator(".entry")).to_have_count(0)
    await expect(desk.page.locator(".message")).to_have_count(0)


async def test_an_answer_that_still_comes_is_followed_on_both_devices_and_after_a_reload(
    desk: Visit, phone: Visit
) -> None:
    said = scripted(tokens=120, rate=40)
    await desk.choose(said.name)
    await desk.ask("take your time")
    await desk.has_text()
    await desk.page.reload()
    await desk.ready()

    await phone.page.locator(".entry .open").click()
    await phone.has_text()
    await phone.finished()
    await desk.finished()

    assert (await desk.record())["text"] == (await phone.record())["text"] == said.text
    assert (await desk.record())["status"] == "sent"


async def test_versions_are_the_gateways_and_can_be_stepped_through_elsewhere(desk: Visit, phone: Visit) -> None:
    await asked(desk, "first wording")
    first = (await desk.record())["text"]
    await desk.choose(scripted(tokens=6).name)
    await desk.answer.get_by_role("button", name="Ask again").click()
    await expect(desk.answer.locator(".versions")).to_have_text("2/2")
    await desk.finished()
    await desk.edit("second wording")
    await expect(desk.page.locator(".question .versions")).to_have_text("2/2")
    await desk.finished()

    await phone.page.locator(".entry .open").click()
    there = phone.page.locator(".question")
    await expect(there.locator(".bubble")).to_have_text("second wording")
    await there.get_by_role("button", name="Earlier version").click()
    await expect(phone.answer.locator(".versions")).to_have_text("2/2")
    await phone.answer.get_by_role("button", name="Earlier version").click()
    await expect(phone.answer.locator(".versions")).to_have_text("1/2")
    assert (await phone.record())["text"] == first


async def test_what_the_browser_has_moves_when_a_person_says_so_and_only_then(
    context: BrowserContext, keeping: Keeping, up: PageChain
) -> None:
    with up.another_page(up.chain.gateway.url) as page:
        visit = await Visit.to(page.url, context)
        await asked(visit, "kept here")
        own = await visit.page.evaluate(
            """async () => {
              const { store } = window.sluice.chat;
              return { conversations: await store.conversations(), messages: await store.everything() };
            }"""
        )
    desk = await Visit.to(keeping.page.url, context)
    await desk.page.evaluate(
        """async ({ conversations, messages }) => {
          const { local } = window.sluice.chat.kept;
          for (const one of conversations) await local.keep(one);
          await local.keepMessages(...messages);
        }""",
        own,
    )
    await desk.page.reload()
    await desk.ready()
    await expect(desk.page.get_by_text("This browser has 1 chat of its own.")).to_be_visible()
    await expect(desk.page.locator(".entry")).to_have_count(0)

    await desk.page.get_by_role("button", name="Move them").click()

    await expect(desk.page.get_by_role("dialog", name="Moved")).to_contain_text("1 chat is at the gateway now.")
    await desk.page.get_by_role("button", name="Close", exact=True).last.click()
    await expect(desk.page.locator(".entry-title")).to_have_text(["kept here"])
    assert [one["role"] for one in keeping.messages()] == ["user", "assistant"]
    await desk.page.reload()
    await desk.ready()
    await expect(desk.page.get_by_text("of its own")).to_have_count(0)


async def test_an_export_is_the_gateways_and_comes_back_once(desk: Visit, keeping: Keeping, tmp_path: Path) -> None:
    await asked(desk, "carry me")
    page, file = desk.page, tmp_path / "chats.json"
    await desk.export(file)
    await page.locator("#import-file").set_input_files(file)
    await expect(page.get_by_role("dialog", name="Imported")).to_contain_text("1 chat was here already.")

    assert [one["title"] for one in json.loads(file.read_text())["conversations"]] == ["carry me"]
    assert keeping.titles() == ["carry me"]


async def test_a_gateway_that_keeps_nothing_leaves_the_chats_in_the_browser(
    context: BrowserContext, up: PageChain
) -> None:
    with up.another_page(up.chain.gateway.url, STORE="yes") as page:
        visit = await Visit.to(page.url, context)
        await expect(visit.page.get_by_role("alert")).to_contain_text("This gateway keeps no chats")

        await asked(visit, "still here")

        await expect(visit.page.locator(".entry-title")).to_have_text(["still here"])


async def test_one_tab_listens_for_all_of_its_origin_and_another_goes_on_when_it_is_closed(
    context: BrowserContext, keeping: Keeping
) -> None:
    listening: list[str] = []
    context.on("request", lambda one: listening.append(one.url) if one.url.endswith("/events") else None)
    first, second = [await Visit.to(keeping.page.url, context) for _ in range(2)]
    keeping.ask("POST", "", {"title": "made elsewhere"})
    for visit in (first, second):
        await expect(visit.page.locator(".entry-title")).to_have_text(["made elsewhere"])
    assert len(listening) == 1

    await first.page.close()
    await soon(lambda: len(listening) == 2, "the other tab listens")
    keeping.ask("POST", "", {"title": "and another"})

    await expect(second.page.locator(".entry-title")).to_have_text(["and another", "made elsewhere"])


async def test_the_browser_writes_its_own_setting_of_a_kept_chat_when_a_person_changes_it(desk: Visit) -> None:
    await asked(desk, "one")
    await desk.page.evaluate(
        """() => {
          const { local } = window.sluice.chat.kept;
          const keep = local.keepSettings.bind(local);
          window.written = [];
          local.keepSettings = (settings) => { window.written.push(settings.tools); return keep(settings); };
        }"""
    )

    await asked(desk, "two")
    await desk.page.locator("#tools").click()
    await asked(desk, "three")

    assert await desk.page.evaluate("() => window.written") == [True]


async def test_a_tool_that_ran_is_kept_in_its_place_with_what_came_of_it(desk: Visit) -> None:
    await desk.choose(scripted("tooler", tokens=3).name)
    await desk.page.evaluate("() => { window.sluice.chat.open.parameters = { tools: true } }")
    await desk.ask("the time?")
    await desk.finished()
    await desk.page.reload()
    await desk.ready()

    await desk.answer.locator(".tool.ok summary").click()
    await expect(desk.answer.locator(".tool")).to_contain_text("clock of Reykjavík")
    await expect(desk.text.last).not_to_be_empty()
    await expect(desk.page.locator("#tools")).to_have_attribute("aria-pressed", "true")


async def test_a_chat_is_opened_by_questions_that_do_not_wait_for_each_other(desk: Visit, keeping: Keeping) -> None:
    """The one of its row is held until the one of its messages came."""
    keeping.ask("POST", "", {"title": "made elsewhere"})
    (chat,) = keeping.ask("GET", "")["conversations"]
    messages = asyncio.Event()

    async def held(route: Route) -> None:
        await asyncio.wait_for(messages.wait(), 10)
        await route.continue_()

    await desk.page.route(f"**/api/conversations/{chat['id']}", held)
    desk.page.on("request", lambda one: messages.set() if one.url.endswith("/messages") else None)

    await desk.page.locator(".entry .open").click()

    await expect(desk.page.locator("#title")).to_have_text("made elsewhere")


async def test_a_chat_deleted_elsewhere_while_the_list_is_read_stays_away(desk: Visit, keeping: Keeping) -> None:
    deleted = keeping.ask("POST", "", {"title": "to be deleted"})["id"]
    await expect(desk.page.locator(".entry-title")).to_have_text(["to be deleted"])
    answered, seen = asyncio.Event(), asyncio.Event()

    async def held(route: Route) -> None:
        answer = await route.fetch()
        answered.set()
        await asyncio.wait_for(seen.wait(), 10)
        await route.fulfill(response=answer)

    await desk.page.route("**/api/conversations", held)
    keeping.ask("POST", "", {"title": "another"})
    await asyncio.wait_for(answered.wait(), 10)
    keeping.ask("DELETE", f"/{deleted}")
    await expect(desk.page.locator(".entry")).to_have_count(0)
    seen.set()

    await expect(desk.page.locator(".entry-title")).to_have_text(["another"])


async def test_a_chat_that_is_gone_is_not_taken_for_a_gateway_that_is_away(desk: Visit) -> None:
    """As a reload finds it where another device deleted what this tab showed."""
    await desk.page.evaluate("() => sessionStorage.setItem('sluice-open', 'cv_' + 'A'.repeat(26))")

    await desk.page.reload()
    await desk.ready()

    await expect(desk.page.locator(".entry")).to_have_count(0)
    await expect(desk.page.get_by_role("alert")).to_have_count(0)


async def test_a_chat_that_only_a_search_shows_is_renamed_and_set_at_the_gateway(desk: Visit, keeping: Keeping) -> None:
    said = {"role": "user", "content": "about lighthouses", "created_at": 1}
    old = {"id": "old", "title": "old", "created_at": 1, "updated_at": 1, "messages": [{"id": "m", **said}]}
    newer = [{**old, "id": f"n{at}", "title": "newer", "updated_at": at, "messages": []} for at in range(2, 52)]
    keeping.ask("POST", "/import", {"sluice_export": 1, "conversations": [old, *newer]})
    await expect(desk.page.locator(".entry")).to_have_count(50)
    await desk.page.get_by_label("Search chats").fill("lighthouses")
    await expect(desk.page.locator(".entry-title")).to_have_text(["old"])
    await desk.page.locator(".entry").hover()
    await desk.page.get_by_role("button", name="Rename: old").click()
    await desk.page.get_by_role("dialog").get_by_role("textbox").fill("renamed")
    await desk.page.get_by_role("button", name="Save").click()
    await desk.page.locator(".entry .open", has_text="renamed").click()
    await expect(desk.page.locator(".question .plain")).to_have_text(["about lighthouses"])

    def kept() -> dict[str, Any]:
        (row,) = keeping.ask("GET", "?q=lighthouses")["conversations"]
        return {name: row.get(name) for name in ("title", "system", "options")}

    await soon(lambda: kept()["title"] == "renamed", "the gateway has its name")
    (row,) = keeping.ask("GET", "?q=lighthouses")["conversations"]
    keeping.ask("PATCH", f"/{row['id']}", {"system": "Set on another device."})
    await desk.page.get_by_role("button", name="Parameters").click()
    await desk.page.get_by_label("Temperature").fill("0.5")

    await soon(lambda: kept()["options"] == {"temperature": 0.5}, "the gateway has its temperature")
    assert kept() == {"title": "renamed", "system": "Set on another device.", "options": {"temperature": 0.5}}


@pytest.mark.parametrize("refused", ["/api/chat/stream", "/api/conversations"])
async def test_a_question_that_was_never_taken_is_a_draft_after_a_reload_until_it_is_taken(
    desk: Visit, refused: str
) -> None:
    draft = desk.page.get_by_label("Message", exact=True)
    await answer(desk.page, refused, refusal("store_unavailable"), 503)
    await desk.choose(QUICK)
    await desk.ask("never taken")
    await desk.finished()
    await expect(draft).to_have_value("")
    for _ in range(2):
        await desk.page.reload()
        await desk.ready()
        await expect(draft).to_have_value("never taken")
    await desk.page.unroute_all()

    await desk.choose(QUICK)
    await draft.press("Enter")
    await desk.finished()
    await desk.page.reload()
    await desk.ready()

    await expect(desk.page.locator(".question .plain")).to_have_text(["never taken"])
    await expect(draft).to_have_value("")


async def test_a_draft_is_its_own_chats_and_what_was_typed_instead_stays(desk: Visit) -> None:
    draft = desk.page.get_by_label("Message", exact=True)
    new = desk.page.get_by_role("button", name="New chat")
    await asked(desk, "taken")
    await answer(desk.page, "/api/chat/stream", refusal("store_unavailable"), 503)
    await desk.ask("never taken")
    await desk.finished()

    await new.click()
    await expect(draft).to_have_value("")
    await desk.page.locator(".entry .open").click()
    await expect(draft).to_have_value("never taken")
    await new.click()
    await expect(draft).to_have_value("")
    await draft.fill("something else")
    await desk.page.locator(".entry .open").click()
    await expect(desk.page.locator(".question .plain")).to_have_text(["taken"])
    await expect(draft).to_have_value("something else")
