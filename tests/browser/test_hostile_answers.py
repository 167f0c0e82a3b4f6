"""A hostile answer is text: no script, no request to others, no element that the page did not choose (T23)."""

import pytest
from playwright.async_api import BrowserContext

from tests.browser.page_chain import PageChain
from tests.browser.said import HOSTILE
from tests.browser.visit import Visit

WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  window.broken.push(`${violatedDirective} ${blockedURI}`));
"""
FOUND = """() => {
  const all = [...document.querySelectorAll(".answer .body *")];
  const strange = ":is(script, img, iframe, object, embed, form, style, link, meta, base, svg:not(.icon))";
  return {
    pwned: window.pwned ?? null,
    broken: window.broken,
    strange: all.filter((one) => one.matches(strange)).map((one) => one.outerHTML),
    handlers: all.filter((one) => one.getAttributeNames().some((name) => name.startsWith("on"))).length,
    links: all.filter((one) => one.matches("a")).map((one) => [one.protocol, one.rel]),
  };
}"""


@pytest.mark.usefixtures("libraries")
async def test_nothing_that_a_model_says_runs_loads_or_leads_astray(context: BrowserContext, up: PageChain) -> None:
    """All in one conversation, each a character at a time, so that every half of it is drawn, too."""
    await context.add_init_script(WATCH)
    visit = await Visit.to(up.url, context)
    await visit.page.wait_for_function("() => window.sluice.libraries.markdown")

    for name in HOSTILE:
        await visit.choose(f"hostile_{name}")
        await visit.ask(name)
        await visit.finished()
        assert (await visit.record())["text"] == HOSTILE[name], name
    found = await visit.page.evaluate(FOUND)

    assert found["pwned"] is None
    assert found["broken"] == []
    assert found["strange"] == []
    assert found["handlers"] == 0
    assert {protocol for protocol, _ in found["links"]} <= {"http:", "https:", "mailto:"}
    assert {rel for _, rel in found["links"]} <= {"noopener noreferrer nofollow"}
    assert visit.asked == {up.url, up.chain.gateway.url}
    assert visit.complaints == []
    assert len(HOSTILE) >= 16


async def test_the_same_without_the_libraries(context: BrowserContext, up: PageChain) -> None:
    await context.add_init_script(WATCH)
    await context.route("**/libraries/**", lambda route: route.abort())
    visit = await Visit.to(up.url, context)
    everything = "\n".join(HOSTILE.values())

    await visit.ask(everything)
    await visit.finished()
    found = await visit.page.evaluate(FOUND)

    assert await visit.page.locator(".question .plain").inner_text() == everything
    assert (found["pwned"], found["broken"], found["strange"]) == (None, [], [])
