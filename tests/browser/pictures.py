"""Pictures of the page in every state, to be looked at: ``python -m tests.browser.pictures <folder> [width ...]``."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal

from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from tests.behaviour.keys_on_disk import KeysOnDisk
from tests.behaviour.script import scripted
from tests.behaviour.tcp_relay import relay_to
from tests.browser.page_chain import PageChain, running_page
from tests.browser.said import record
from tests.browser.scripted import answer, frames, refusal
from tests.browser.visit import Visit
from tests.deploy.model_server import ollama

HEIGHTS: Final = {360: 740, 768: 1024, 1280: 800}
PHONE: Final = 480
Scheme = Literal["light", "dark"]


async def idle(visit: Visit) -> None:
    await expect(visit.page.locator("#model")).to_contain_text("sim")


async def streaming(visit: Visit) -> None:
    await visit.choose("document:pace=8")
    await visit.ask("Write me something with everything in it.", by_key=False)
    await expect(visit.text).to_contain_text("nested")


async def complete(visit: Visit) -> None:
    await visit.choose("document")
    await visit.ask("Write me something with everything in it.", by_key=False)
    await visit.finished()


async def time(visit: Visit) -> None:
    await visit.choose(scripted(tokens=120, rate=100, load=0.4, prefill=0.3).name)
    await visit.ask("How long did that take?", by_key=False)
    await visit.finished()
    await visit.page.get_by_role("button", name="Where did the time go?").click()


async def thinking(visit: Visit) -> None:
    await visit.choose(scripted("thinker", tokens=200, think=300, rate=60).name)
    await visit.ask("Which one, and why?", by_key=False)
    await visit.page.wait_for_function("() => window.sluice.chat.thread.at(-1).thinking.length > 300")


async def tool(visit: Visit) -> None:
    await visit.page.goto(visit.page.url + "?tools=demo")
    await visit.ready()
    await visit.choose("tooler")
    await visit.ask("What is the weather in Reykjavík?", by_key=False)
    await visit.finished()
    await visit.answer.locator(".tool summary").click()


async def failed(visit: Visit) -> None:
    await visit.choose("sim:status=503,retry_after=40")
    await visit.ask("Is anybody there?", by_key=False)
    await expect(visit.answer.get_by_role("alert")).to_be_visible()


async def waiting(visit: Visit) -> None:
    await visit.choose(scripted(tokens=5, load=5).name)
    await visit.ask("Take your time.", by_key=False)
    await expect(visit.answer.locator(".phase")).to_contain_text("loading the model")


async def models(visit: Visit) -> None:
    await idle(visit)
    await visit.page.locator("#model").click()
    await expect(visit.page.get_by_role("option").first).to_be_visible()


async def parameters(visit: Visit) -> None:
    await complete(visit)
    await visit.page.get_by_role("button", name="Parameters").click()
    await visit.page.get_by_label("Most tokens in an answer").fill("0")


async def chats(visit: Visit) -> None:
    for question in (
        "How do lighthouses work?",
        "A very long question about rivers, their names and where they go",
        "hi",
    ):
        await visit.page.evaluate("() => window.sluice.chat.startNew()")
        await visit.choose(scripted(tokens=5).name)
        await visit.ask(question, by_key=False)
        await visit.finished()
    if not await visit.page.locator("#rail").is_visible():
        await visit.page.get_by_role("button", name="List of chats").click()
    await visit.page.get_by_role("button", name="Settings and files").click()


USAGE: Final = {"day": "2026-11-28", "tokens_used": 49_800, "tokens_per_day": 50_000}
TIMING: Final = {"queue_ms": 2, "ttft_ms": 480, "total_ms": 1400, "tokens_per_s": 71.5}
SERVED: Final = {
    "provider": "groq",
    "server": "cheap",
    "model": "llama-3.3-70b-versatile",
    "attempts": 2,
    "dropped": ["top_k", "repeat_penalty"],
}
LONG_WORDS: Final = """Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz, und dazu die
`Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung_als_ein_einziges_langes_Stück_Code`.

| Wort | Länge |
|---|---|
| Kraftfahrzeughaftpflichtversicherungsgesellschaft | 49 |

https://example.org/ein/sehr/langer/pfad/der/nirgends/umbrochen/werden/kann/und/immer/weiter/geht
"""
STATES: Final[dict[str, Callable[[Visit], Awaitable[None]]]] = {
    state.__name__: state
    for state in (idle, streaming, complete, time, thinking, tool, failed, waiting, models, parameters, chats)
}


class Photographer:
    """Takes each state at one width and scheme."""

    def __init__(self, browser: Browser, folder: Path, width: int, scheme: Scheme) -> None:
        self._browser, self._folder = browser, folder
        self._width, self._scheme = width, scheme

    async def context(self) -> BrowserContext:
        phone = self._width < PHONE
        size = {"width": self._width, "height": HEIGHTS[self._width]}
        return await self._browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme=self._scheme,
            is_mobile=phone,
            has_touch=phone,
        )

    async def take(self, name: str, url: str, state: Callable[[Visit], Awaitable[None]]) -> None:
        context = await self.context()
        visit = await Visit.to(url, context)
        await visit.page.wait_for_function("() => window.sluice.libraries.markdown")
        await state(visit)
        await visit.page.wait_for_timeout(200)  # for what moves to come to rest: this is no test
        await visit.page.screenshot(path=self._folder / f"{name}-{self._width}-{self._scheme}.png")
        await context.close()


async def reconnecting(photographer: Photographer, up: PageChain) -> None:
    async with relay_to(up.chain.gateway.port) as relay:

        async def cut(visit: Visit) -> None:
            await visit.choose(scripted(tokens=400, rate=60).name)
            await visit.ask("And if the line breaks?", by_key=False)
            await visit.has_text()
            relay.refuse()
            relay.cut()
            await expect(visit.answer.locator(".phase")).to_contain_text("reconnecting (3)")

        with up.another_page(relay.url) as page:
            await photographer.take("reconnecting", page.url, cut)


async def no_model(photographer: Photographer, up: PageChain) -> None:
    with ollama() as url:
        proxy = up.chain.another_proxy(OLLAMA_URL=url)
        gateway = up.chain.another_gateway(PROXY_URL=proxy.url)
        with up.another_page(gateway.url) as page:
            await photographer.take(
                "no_model", page.url, lambda visit: expect(visit.page.locator("#empty pre")).to_be_visible()
            )


async def wants_key(visit: Visit) -> None:
    await visit.ask("May I?", by_key=False)
    await expect(visit.answer.get_by_role("alert")).to_be_visible()


async def settings(visit: Visit) -> None:
    if not await visit.page.locator("#rail").is_visible():
        await visit.page.get_by_role("button", name="List of chats").click()
    await visit.page.get_by_role("button", name="Settings and files").click()


async def with_keys(photographer: Photographer, up: PageChain, folder: Path) -> None:
    keys = KeysOnDisk(folder)
    all_models, one_model = keys.add("Ada"), keys.add("Bob", models='["story"]')
    gateway = up.chain.another_gateway(**keys.settings)

    async def give(visit: Visit, key: str, tokens_left: int) -> None:
        await visit.page.evaluate("key => window.sluice.chat.gateway.apiKey.become(key)", key)
        await answer(visit.page, "/api/usage", json.dumps({**USAGE, "tokens_left": tokens_left}))

    async def not_allowed(visit: Visit) -> None:
        await give(visit, one_model, 200)
        await visit.choose("sim")
        await wants_key(visit)

    async def limited(visit: Visit) -> None:
        await give(visit, all_models, 0)
        said = refusal("rate_limited", "This key's tokens of the day are spent.")
        await answer(visit.page, "/api/chat/stream", said, 429, Retry_After="33120")
        await wants_key(visit)

    async def keyed_settings(visit: Visit) -> None:
        await give(visit, all_models, 46_600)
        await complete(visit)
        await settings(visit)

    with up.another_page(gateway.url) as page:
        for state in (wants_key, not_allowed, limited, keyed_settings):
            await photographer.take(state.__name__, page.url, state)


async def elsewhere(visit: Visit) -> None:
    said = {"type": "token", "content": LONG_WORDS}
    done = {
        "type": "done",
        "finish_reason": "stop",
        "usage": {"output_tokens": 64},
        "timing": TIMING,
        "served_by": SERVED,
    }
    await answer(visit.page, "/api/chat/stream", frames(said, done))
    await visit.ask("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft?", by_key=False)
    await visit.finished()
    await visit.page.get_by_role("button", name="Where did the time go?").click()


async def main(folder: Path, widths: list[int]) -> None:
    said = Path(tempfile.mkdtemp())
    record(said)
    with running_page(simulator={"CAPTURES": str(said)}) as up:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for width in widths:
                for scheme in ("light", "dark"):
                    photographer = Photographer(browser, folder, width, scheme)
                    for name, state in STATES.items():
                        await photographer.take(name, up.url, state)
                    await photographer.take("elsewhere", up.url, elsewhere)
                    await reconnecting(photographer, up)
                    with tempfile.TemporaryDirectory() as kept:
                        await with_keys(photographer, up, Path(kept))
                    await no_model(photographer, up)
            await browser.close()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), [int(width) for width in sys.argv[2:]] or list(HEIGHTS)))
