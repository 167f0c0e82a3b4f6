"""What a model writes as Markdown, on the screen: while it comes, when it is over, and without the library."""

from typing import Any, Final

import pytest
from playwright.async_api import BrowserContext, expect

from tests.browser.page_chain import PageChain
from tests.browser.said import DOCUMENT
from tests.browser.scripted import answer, frames
from tests.browser.visit import Visit

GROWN: Final = """([text, pieces]) => {
  const { lexer, MarkdownBlocks } = window.sluice.libraries.markdown;
  const without = { highlight: async () => null, math: async () => null };
  performance.now = () => 0; // each piece is drawn: none is left out for its cost
  let read = 0;
  const counted = (tail) => { read += tail.length; return lexer(tail); };
  const grown = (step) => {
    const element = document.createElement("div");
    const blocks = new MarkdownBlocks(element, without, counted);
    read = 0;
    for (let end = step; end < text.length; end += step) blocks.show(text.slice(0, end), false);
    const growing = read;
    blocks.show(text, true);
    const whole = read;
    for (let again = 0; again < 3; again += 1) blocks.show(text, true);
    return { html: element.innerHTML, growing, ended: whole - growing, again: read - whole };
  };
  try {
    return [text.length, ...pieces].map(grown);
  } finally {
    delete performance.now; // the prototype's is there again
  }
}"""
LONG: Final = "".join(f"{DOCUMENT.replace('# A', f'# {n}. A').replace('[1]', f'[{n}]')}\n" for n in range(30))


async def grown(visit: Visit, text: str, *pieces: int) -> list[dict[str, Any]]:
    """Draw ``text`` at once, then in pieces of each size; return what stands there and how much was read for it."""
    await visit.page.wait_for_function("() => window.sluice.libraries.markdown")
    seen: list[dict[str, Any]] = await visit.page.evaluate(GROWN, [text, pieces])
    return seen


@pytest.mark.usefixtures("libraries")
async def test_a_long_answer_looks_the_same_wherever_it_was_cut(visit: Visit) -> None:
    for text, pieces in ((DOCUMENT, (1, 2, 3, 5, 7, 11)), (LONG, (97, 1000))):
        at_once, *cut = await grown(visit, text, *pieces)

        assert at_once["html"].count("<table>") == text.count("| left |")
        assert [one["html"] for one in cut] == [at_once["html"]] * len(pieces)


@pytest.mark.usefixtures("libraries")
async def test_what_is_finished_of_an_answer_is_not_read_again(visit: Visit) -> None:
    """A piece costs its tail, the end costs the whole once, and what is over costs nothing."""
    at_once, cut = await grown(visit, LONG, 97)

    assert at_once["ended"] == len(LONG)
    assert cut["growing"] < 3 * len(LONG)
    assert cut["ended"] < 1.5 * len(LONG)
    assert (at_once["again"], cut["again"]) == (0, 0)


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


@pytest.mark.usefixtures("libraries")
async def test_a_table_wider_than_a_phone_scrolls_and_breaks_no_word(context: BrowserContext, up: PageChain) -> None:
    said = "| Way | Memory | Time | When |\n|---|---|---|---|\n| `read().splitlines()` | 2.4 GB | 3.1 s | seldom |\n"
    visit = await Visit.to(up.url, context)
    await visit.page.set_viewport_size({"width": 390, "height": 844})
    await visit.page.wait_for_function("() => window.sluice.libraries.markdown")
    done = {"type": "done", "finish_reason": "stop"}
    await answer(visit.page, "/api/chat/stream", frames({"type": "token", "content": said}, done))

    await visit.ask("how?")
    await visit.finished()

    lines = await visit.text.locator("td code").evaluate("(code) => code.getClientRects().length")
    wider = await visit.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert (lines, wider) == (1, 0)
