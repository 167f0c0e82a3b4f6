"""What was asked stays, in this browser: found, renamed, branched, carried elsewhere, deleted."""

import json
from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, expect

from tests.behaviour.script import scripted
from tests.browser.page_chain import PageChain
from tests.browser.visit import Visit
from tests.eventually import soon


async def asked(visit: Visit, *questions: str) -> None:
    """Ask each in a conversation of its own."""
    for question in questions:
        await visit.page.get_by_role("button", name="New chat").click()
        await visit.choose(scripted(tokens=5).name)
        await visit.ask(question)
        await visit.finished()


async def test_conversations_survive_a_reload_and_are_found_by_what_was_said(visit: Visit) -> None:
    await asked(visit, "about lighthouses", "about rivers")
    await visit.page.reload()
    await visit.ready()
    entries = visit.page.locator(".entry-title")
    await expect(entries).to_have_text(["about rivers", "about lighthouses"])

    await visit.page.keyboard.press("Control+k")
    await visit.page.keyboard.type("LIGHT")

    await expect(entries).to_have_text(["about lighthouses"])
    await visit.page.keyboard.press("Tab")
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.get_by_role("heading", level=1)).to_have_text("about lighthouses")


async def test_a_conversation_is_renamed_and_deleted_after_a_question(visit: Visit) -> None:
    await asked(visit, "one", "two")
    entry = visit.page.locator(".entry", has_text="one")
    await entry.hover()
    await entry.get_by_role("button", name="Rename: one").click()
    await visit.page.get_by_role("dialog").get_by_role("textbox").fill("<b>first</b>")
    await visit.page.get_by_role("button", name="Save").click()
    await expect(visit.page.locator(".entry-title").last).to_have_text("<b>first</b>")

    await visit.page.locator(".entry", has_text="two").hover()
    await visit.page.get_by_role("button", name="Delete: two").click()
    await visit.page.get_by_role("button", name="Cancel").click()
    await expect(visit.page.locator(".entry")).to_have_count(2)
    await visit.page.get_by_role("button", name="Delete: two").click()
    await visit.page.get_by_role("button", name="Delete", exact=True).click()

    await expect(visit.page.locator(".entry-title")).to_have_text(["<b>first</b>"])
    await expect(visit.page.locator(".entry .open")).to_be_focused()  # what was pressed is gone
    await visit.page.reload()
    await visit.ready()
    await expect(visit.page.locator(".entry-title")).to_have_text(["<b>first</b>"])


async def test_a_conversation_that_is_deleted_while_it_answers_leaves_nothing_behind(
    visit: Visit, up: PageChain
) -> None:
    said = scripted(tokens=2000, rate=50)
    await visit.choose(said.name)
    await visit.ask("stop talking")
    await visit.has_text()

    await visit.page.evaluate("() => window.sluice.chat.remove(window.sluice.chat.open.id)")
    await soon(lambda: up.chain.calls(said.name)[0]["end"] == "left", what="the model was stopped")
    kept = await visit.page.evaluate("async () => (await window.sluice.chat.store.everything()).length")

    assert kept == 0
    await expect(visit.page.locator(".message")).to_have_count(0)


async def test_what_is_set_for_a_chat_in_which_nothing_was_asked_is_kept_with_its_first_question(visit: Visit) -> None:
    await visit.page.evaluate("() => window.sluice.chat.change(window.sluice.chat.open, { parameters: { seed: 7 } })")
    count = "async () => (await window.sluice.chat.store.conversations()).length"
    before = await visit.page.evaluate(count)

    await asked(visit, "one")

    kept = await visit.page.evaluate("async () => (await window.sluice.chat.store.conversations())[0].parameters")
    assert (before, kept) == (0, {"seed": 7})


async def test_asking_again_and_editing_make_branches_and_overwrite_nothing(visit: Visit) -> None:
    await asked(visit, "first wording")
    first = (await visit.record())["text"]
    await visit.choose(scripted(tokens=6).name)
    await visit.answer.get_by_role("button", name="Ask again").click()
    await expect(visit.answer.locator(".versions")).to_have_text("2/2")
    await visit.finished()

    await visit.answer.get_by_role("button", name="Earlier version").click()
    await expect(visit.answer.locator(".versions")).to_have_text("1/2")
    shown = (await visit.record())["text"]
    question = visit.page.locator(".question")
    await visit.edit("second wording")
    await expect(question.locator(".versions")).to_have_text("2/2")
    await visit.finished()
    await question.get_by_role("button", name="Earlier version").click()

    assert shown == first
    await expect(question.locator(".bubble")).to_have_text("first wording")


async def test_an_export_comes_back_elsewhere_and_overwrites_nothing(visit: Visit, tmp_path: Path) -> None:
    await asked(visit, "carry me")
    page, file = visit.page, tmp_path / "chats.json"
    text = (await visit.record())["text"]
    await visit.export(file)

    await page.locator("#import-file").set_input_files(file)
    await expect(page.get_by_role("dialog", name="Imported")).to_contain_text("1 chat is here now.")
    await page.get_by_role("button", name="Close", exact=True).last.click()

    assert json.loads(file.read_text())["sluice_export"] == 1
    await expect(page.locator(".entry-title")).to_have_text(["carry me", "carry me"])
    await page.locator(".entry .open").last.click()
    assert (await visit.record())["text"] == text


MESSAGE = {"id": "m", "parent": None, "role": "user", "at": 1, "text": "x"}
CHAT = {"conversation": {"title": "t", "model": "", "at": 1, "updated": 1, "leaf": "m"}, "messages": [MESSAGE]}


REFUSED: Final[list[tuple[object, str]]] = [
    ("{", "it is not JSON"),
    ('{"format": "other"}', "it is not a file that this page exported"),
    ('{"format": "sluice-chats", "version": 9}', "it has version 9, this page reads version 1"),
    ('{"format": "sluice-chats", "version": 1}', "it holds no chats"),
    ('{"sluice_export": 2, "conversations": []}', "it has version 2, this page reads version 1"),
    ('{"sluice_export": 1, "conversations": [{"title": "t", "messages": 5}]}', "chat 1 is incomplete"),
    ([{}], "chat 1 is incomplete"),
    ([CHAT, CHAT | {"messages": [MESSAGE | {"text": 5}]}], "chat 2: a message's text is missing"),
    ([CHAT | {"messages": [MESSAGE | {"parent": "nobody"}]}], "chat 1: a message hangs under none that is there"),
    ([CHAT | {"messages": [MESSAGE | {"parent": "m"}]}], "chat 1: its messages go round in a circle"),
    ([CHAT | {"messages": [MESSAGE | {"role": "system"}]}], "chat 1: a message is neither question nor answer"),
    (
        [CHAT | {"messages": [MESSAGE | {"pictures": [{"type": "image/svg+xml", "data": ""}]}]}],
        "chat 1: a picture is none",
    ),
]


async def test_a_file_that_is_not_ours_is_refused_with_the_reason(visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Settings and files").click()
    await expect(visit.page.get_by_role("button", name="Import chats…")).to_be_visible()
    await visit.page.keyboard.press("Escape")
    for content, why in REFUSED:
        file = {"format": "sluice-chats", "version": 1, "chats": content}
        whole = content if isinstance(content, str) else json.dumps(file)
        await visit.page.locator("#import-file").set_input_files(
            {"name": "x.json", "mimeType": "application/json", "buffer": whole.encode()}
        )

        said = visit.page.get_by_role("dialog", name="Not imported")
        await expect(said).to_contain_text(f"x.json: {why}. Nothing was changed.")
        await visit.page.keyboard.press("Escape")

    await expect(visit.page.locator(".entry")).to_have_count(0)


async def test_a_browser_that_keeps_nothing_is_said_and_the_page_works(context: BrowserContext, up: PageChain) -> None:
    await context.add_init_script("Object.defineProperty(window, 'indexedDB', { value: undefined })")
    visit = await Visit.to(up.url, context)

    await asked(visit, "still here")

    await expect(visit.page.get_by_role("alert")).to_contain_text("This browser keeps nothing for this page")
    await expect(visit.page.locator(".entry-title")).to_have_text(["still here"])


async def test_a_full_disk_is_said_and_nothing_is_lost_from_the_screen(context: BrowserContext, up: PageChain) -> None:
    full = "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }; }"
    visit = await Visit.to(up.url, context)
    await visit.page.evaluate(full)

    await asked(visit, "one", "two")
    await visit.page.locator(".entry", has_text="one").get_by_role("button").first.click()

    await expect(visit.page.get_by_role("alert")).to_contain_text("storage is full")
    await expect(visit.page.locator(".entry-title")).to_have_text(["two", "one"])
    assert (await visit.record())["status"] == "sent"


async def test_a_second_tab_sees_what_the_first_one_asks(visit: Visit, up: PageChain) -> None:
    other = await Visit.to(up.url, visit.page.context)

    await asked(visit, "seen by both")

    await expect(other.page.locator(".entry-title")).to_have_text(["seen by both"])
    await other.page.close()
