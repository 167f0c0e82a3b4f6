"""What a model writes as Markdown, on the screen: while it comes, when it is over, and without the library."""

import pytest
from playwright.async_api import BrowserContext, expect

from tests.browser.page_chain import PageChain
from tests.browser.said import DOCUMENT
from tests.browser.visit import Visit


@pytest.mark.usefixtures("libraries")
async def test_a_document_that_came_a_character_at_a_time_has_all_its_parts(visit: Visit) -> None:
    await visit.page.wait_for_function("() => window.sluice.libraries.markdown")
    await visit.choose("document")
    await visit.ask("write")
    await visit.finished()

    text = visit.text
    await expect(text.get_by_role("heading", name="A heading")).to_have_count(1)
    await expect(text.locator("strong")).to_have_text("bold")
    await expect(text.locator("em")).to_have_text("slanted")
    await expect(text.locator("del")).to_have_text("struck")
    await expect(text.locator("p").first).to_contain_text("A line & an entity © <b>not bold</b>.")
    await expect(text.locator("ol > li")).to_have_text(["nested", "list"])
    await expect(text.get_by_role("checkbox")).to_have_count(2)
    await expect(text.locator("blockquote")).to_contain_text("A quotation")
    await expect(text.locator("td")).to_have_text(["a", "1", "b", "2"])
    await expect(text.locator("pre .hljs-keyword").first).to_have_text("def")
    await expect(text.locator("math")).to_have_count(2)
    await expect(text).to_contain_text("for $5.")
    await expect(text.get_by_role("link", name="reference")).to_have_attribute("href", "https://example.org/late")
    await expect(text.get_by_role("link", name="link")).to_contain_text("example.org")
    assert visit.complaints == []


@pytest.mark.usefixtures("libraries")
async def test_a_copy_is_the_markdown_and_not_what_it_became(visit: Visit) -> None:
    await visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit.choose("document")
    await visit.ask("write")
    await visit.finished()

    await visit.answer.get_by_role("button", name="Copy", exact=True).click()
    whole = await visit.page.evaluate("navigator.clipboard.readText()")
    await visit.answer.get_by_role("button", name="Copy code").click()
    code = await visit.page.evaluate("navigator.clipboard.readText()")

    assert whole == DOCUMENT
    assert code == "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)  # slow"


@pytest.mark.usefixtures("libraries")
async def test_a_library_that_comes_late_draws_again_what_was_plain(context: BrowserContext, up: PageChain) -> None:
    withheld = True

    async def config(route: object) -> None:
        answer = await route.fetch()  # type: ignore[attr-defined] # playwright's Route
        told = await answer.json()
        await route.fulfill(json=told | ({"libraries": {}} if withheld else {}))  # type: ignore[attr-defined]

    await context.route("**/config.json", config)
    visit = await Visit.to(up.url, context)
    await expect(visit.page.get_by_text("Showing plain text")).to_be_visible()
    await visit.choose("document")
    await visit.ask("write")
    await visit.finished()
    await expect(visit.text.locator(".plain")).to_have_text(DOCUMENT.strip())

    withheld = False

    await expect(visit.text.get_by_role("heading", name="A heading")).to_have_count(1)
    await expect(visit.page.get_by_text("Showing plain text")).to_have_count(0)
