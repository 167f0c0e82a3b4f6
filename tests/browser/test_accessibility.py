"""The page for those who do not see it, or do not use a mouse: axe's rules in six states, and journeys by keyboard."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, expect

from tests.behaviour.script import scripted
from tests.browser.page_chain import PageChain
from tests.browser.rules import violations
from tests.browser.visit import Visit


async def opened(browser: Browser, up: PageChain, **how: Any) -> Visit:
    """Open the page so that axe can be put into it."""
    return await Visit.to(up.url, await browser.new_context(bypass_csp=True, **how))


Scheme = Literal["light", "dark"]


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_breaks_no_rule_idle_streaming_complete_failed_asked_for_a_key_with_panels_open(
    browser: Browser, up: PageChain, axe: Path, scheme: Scheme
) -> None:
    visit = await opened(browser, up, color_scheme=scheme)
    found = {"idle": await violations(visit, axe)}
    await visit.choose(scripted("thinker", tokens=3000, think=5, rate=50).name)
    await visit.ask("hi")
    await visit.has_text()
    found["streaming"] = await violations(visit, axe)
    await visit.page.keyboard.press("Escape")
    await visit.choose("document")
    await visit.ask("write")
    await visit.finished()
    found["complete"] = await violations(visit, axe)
    await visit.choose("nobody-has-this")
    await visit.ask("fail")
    await expect(visit.answer.get_by_role("alert")).to_be_visible()
    found["failed"] = await violations(visit, axe)
    await visit.page.evaluate("() => window.sluice.chat.gateway.apiKey.refused({})")
    await visit.page.get_by_role("button", name="Settings and files").click()
    found["asked for a key"] = await violations(visit, axe)
    await visit.page.get_by_role("button", name="Parameters").click()
    await visit.page.locator("#model").click()
    found["panels"] = await violations(visit, axe)
    await visit.page.context.close()

    assert {state: broken for state, broken in found.items() if broken} == {}
    assert len(found) == 6


async def test_on_a_phone_no_rule_is_broken_and_the_list_of_chats_gives_the_focus_back(
    browser: Browser, up: PageChain, axe: Path
) -> None:
    visit = await opened(browser, up, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    await visit.choose(scripted(tokens=5).name)
    await visit.ask("hi", by_key=False)
    await visit.finished()
    closed = await violations(visit, axe)
    await visit.page.get_by_role("button", name="List of chats").click()
    opened_rail = await violations(visit, axe)
    await expect(visit.page.get_by_role("button", name="Close the list of chats")).to_be_focused()
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.get_by_role("button", name="List of chats")).to_be_focused()
    wider = await visit.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    await visit.page.context.close()

    assert (closed, opened_rail) == ([], [])
    assert wider <= 0


async def test_the_growing_text_is_no_live_region_and_the_status_says_begin_and_end(visit: Visit) -> None:
    status = visit.page.get_by_role("status")
    await visit.choose(scripted(tokens=60, rate=40).name)
    await visit.ask("hi")

    await expect(status).to_have_text("Generating…")
    live = await visit.page.evaluate(
        "() => document.querySelectorAll('.thread [aria-live], .thread [role=log], .thread [role=status]').length"
    )
    await visit.finished()

    assert live == 0
    await expect(status).to_have_text(r"Answer complete, " + str(await words_of(visit)) + " words.")


async def words_of(visit: Visit) -> int:
    count: int = await visit.call("words.js", "wordCount", (await visit.record())["text"])
    return count


async def test_a_whole_conversation_needs_no_mouse_and_the_focus_stays_in_the_composer(visit: Visit) -> None:
    keys = visit.page.keyboard
    await visit.choose(scripted(tokens=2000, rate=40).name)
    await keys.type("first line")
    await keys.press("Shift+Enter")
    await keys.type("second line")
    await keys.press("Enter")
    await visit.has_text()
    await keys.type("a draft")
    await keys.press("Enter")
    await expect(visit.page.locator("#hint")).to_contain_text("The answer still comes; Esc stops it.")
    await keys.press("Escape")
    await visit.finished()
    composer = visit.page.get_by_label("Message", exact=True)

    await expect(visit.page.locator(".question .plain")).to_have_text("first line\nsecond line")
    await expect(visit.answer).to_contain_text("Stopped.")
    await expect(composer).to_be_focused()
    await expect(composer).to_have_value("a draft")
    await keys.press("Control+/")
    await expect(visit.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await keys.press("Escape")
    await keys.press("Control+Shift+O")
    await expect(visit.page.locator(".message")).to_have_count(0)
    await expect(composer).to_be_focused()


async def test_the_last_answer_and_the_last_code_are_copied_by_keys(visit: Visit) -> None:
    await visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit.choose(scripted(tokens=8).name)
    await visit.ask("hi")
    await visit.finished()

    await visit.page.keyboard.press("Control+Shift+C")
    await expect(visit.page.locator("#hint")).to_have_text("Copied")

    assert await visit.page.evaluate("navigator.clipboard.readText()") == (await visit.record())["text"]


async def test_who_reads_further_up_is_left_there_and_finds_the_way_back(visit: Visit) -> None:
    await visit.page.set_viewport_size({"width": 800, "height": 500})
    await visit.choose(scripted(tokens=2000, rate=400).name)
    await visit.ask("hi")
    area = visit.page.locator("#scroll")
    await visit.page.wait_for_function("() => document.querySelector('#scroll').scrollTop > 300")

    await area.hover()
    await visit.page.mouse.wheel(0, -200)
    at = await area.evaluate("(area) => area.scrollTop")
    last = (await visit.record())["last"]
    await visit.page.wait_for_function("last => window.sluice.chat.thread.at(-1).last > last + 50", arg=last)
    stayed = await area.evaluate("(area) => area.scrollTop")
    await visit.page.get_by_role("button", name="Jump to latest").click()
    await visit.page.wait_for_function(
        """() => {
          const area = document.querySelector("#scroll");
          return area.scrollHeight - area.scrollTop - area.clientHeight < 48;
        }"""
    )

    assert abs(stayed - at) < 250
    await expect(visit.page.get_by_role("button", name="Jump to latest")).to_be_hidden()
    await visit.page.keyboard.press("Escape")
