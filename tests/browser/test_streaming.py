"""The page through the real chain: words as they come, a stop, a broken line, a refusal."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from playwright.async_api import BrowserContext, expect

from tests.behaviour.script import scripted
from tests.behaviour.tcp_relay import relay_to
from tests.browser.page_chain import PageChain
from tests.browser.visit import Visit
from tests.eventually import soon, soon_told


async def test_words_are_on_the_screen_while_the_model_still_writes(visit: Visit) -> None:
    said = scripted(tokens=120, rate=30)
    await visit.choose(said.name)

    await visit.ask("hi")
    await expect(visit.text).to_contain_text(said.tokens[0].strip())
    busy = await visit.answer.get_attribute("aria-busy")
    await visit.finished()

    assert busy == "true"
    assert (await visit.record())["text"] == said.text
    assert (await visit.record())["status"] == "sent"
    assert visit.complaints == []


async def test_a_stop_keeps_what_is_there_and_the_model_hears_of_it(visit: Visit, up: PageChain) -> None:
    said = scripted(tokens=1000, rate=50)
    await visit.choose(said.name)
    await visit.ask("hi")
    await expect(visit.text).to_contain_text(said.tokens[0].strip())

    await visit.page.get_by_role("button", name="Stop the answer").click()
    await visit.finished()
    shown = (await visit.record())["text"]
    await soon(lambda: up.chain.calls(said.name)[0]["end"] == "left", "the model's connection was closed")

    assert 0 < len(shown) < len(said.text)
    assert said.text.startswith(shown)
    assert (await visit.record())["status"] == "stopped"
    await expect(visit.answer).to_contain_text("Stopped.")


async def test_a_line_cut_twenty_times_loses_and_repeats_nothing(context: BrowserContext, up: PageChain) -> None:
    said = scripted(tokens=500, rate=70)
    async with relay_to(up.chain.gateway.port) as relay:
        with up.another_page(relay.url) as server:
            visit = await Visit.to(server.url, context)
            await visit.choose(said.name)
            await visit.ask("hi")
            for _ in range(20):
                last = (await visit.record())["last"]
                await visit.page.wait_for_function("last => window.sluice.chat.thread.at(-1).last > last", arg=last)
                relay.cut(reset=True)
            await visit.finished(60)

            assert (await visit.record())["text"] == said.text
            assert (await visit.record())["status"] == "sent"


LEFT: Final = re.compile(r"Retry is worth it in (\d+) s\.")


async def is_less(ask: Callable[[], Awaitable[int]], than: int) -> bool:
    return await ask() < than


async def test_a_refusal_says_what_happened_and_counts_down_to_when_a_retry_is_worth_it(
    context: BrowserContext, up: PageChain
) -> None:
    visit = await Visit.to(up.url, context)
    await visit.choose("sim:status=503,retry_after=12")

    await visit.ask("hi")
    card = visit.answer.get_by_role("alert")
    await expect(card).to_contain_text("upstream_unavailable")
    await expect(card).to_contain_text(LEFT)

    async def left_s() -> int:
        found = LEFT.search(await card.inner_text())
        return int(found[1]) if found else 0

    began_s = await left_s()
    await soon_told(lambda: is_less(left_s, began_s), "it counts down")
    assert 1 < began_s <= 12
    await expect(card.get_by_role("button", name="Retry")).to_be_visible()


async def test_a_question_of_an_unknown_model_fails_in_words_that_offer_no_false_hope(visit: Visit) -> None:
    await visit.choose("nobody-has-this")

    await visit.ask("hi")

    card = visit.answer.get_by_role("alert")
    await expect(card).to_contain_text("model_not_found")
    await expect(card).to_contain_text("Asking again will not help by itself.")
