"""Pictures of tools and of two devices, to be looked at: ``python -m tests.browser.tool_pictures <folder>``."""

import asyncio
import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, async_playwright, expect

from tests.browser.page_chain import PageChain, page_server, running_page
from tests.browser.visit import Visit
from tests.chain import Server

SIDE_BY_SIDE: Final = """<!doctype html><style>
body { margin: 0; padding: 16px; display: flex; gap: 16px; align-items: center; }
body { background: #8a9599; width: max-content; }
img { display: block; border-radius: 10px; box-shadow: 0 2px 10px rgb(0 0 0 / 30%); }
</style><img src="data:image/png;base64,FIRST"><img src="data:image/png;base64,SECOND">"""


class Photographer:
    """Opens pages in front of a gateway that has tools and keeps chats, and takes pictures of them."""

    def __init__(self, browser: Browser, url: str, folder: Path) -> None:
        self._browser = browser
        self._url = url
        self._folder = folder

    async def open(self, **how: Any) -> Visit:
        """Open the page on a device of its own."""
        context = await self._browser.new_context(**how)
        visit = await Visit.to(self._url, context)
        await visit.page.wait_for_function("() => window.sluice.libraries.markdown")
        return visit

    async def ask(self, visit: Visit, model: str, question: str) -> None:
        """Ask with tools allowed, in a new chat."""
        await visit.page.evaluate("() => window.sluice.chat.startNew()")
        await visit.choose(model)
        await visit.page.evaluate("() => window.sluice.models.dispatchEvent(new Event('chosen'))")
        await visit.page.locator("#tools").click()
        await visit.ask(question, by_key=False)

    async def take(self, visit: Visit, name: str) -> bytes:
        """Take a picture once all has come to rest."""
        await visit.page.wait_for_timeout(300)
        path = self._folder / f"{name}.png"
        taken = await visit.page.screenshot(path=path)
        await visit.page.context.close()
        return taken

    async def together(self, name: str, first: bytes, second: bytes) -> None:
        """Put two pictures into one."""
        page = await self._browser.new_page(viewport={"width": 1400, "height": 900})
        left, right = (base64.b64encode(one).decode() for one in (first, second))
        await page.set_content(SIDE_BY_SIDE.replace("FIRST", left).replace("SECOND", right))
        await page.locator("body").screenshot(path=self._folder / f"{name}.png")
        await page.close()


async def tools(at: Photographer) -> None:
    visit = await at.open(viewport={"width": 900, "height": 620}, color_scheme="light")
    await at.ask(visit, "tooler:calls=2", "What time is it in Reykjavík, and how is the weather?")
    await visit.finished()
    await visit.answer.locator(".tool summary").last.click()
    await at.take(visit, "page-tools")


async def asked(at: Photographer, scheme: Any, width: int) -> Visit:
    visit = await at.open(viewport={"width": width, "height": 620}, color_scheme=scheme)
    await at.ask(visit, "tooler:tool=oven", "Turn the oven on in the kitchen of Reykjavík.")
    await expect(visit.answer.get_by_role("button", name="Allow")).to_be_visible()
    return visit


async def approval(at: Photographer) -> None:
    await at.take(await asked(at, "light", 900), "page-approval")


async def refused(at: Photographer) -> None:
    visit = await asked(at, "dark", 900)
    await visit.answer.get_by_role("button", name="Refuse").click()
    await visit.finished()
    await visit.answer.locator(".tool summary").click()
    await at.take(visit, "page-refused")


async def two_devices(at: Photographer, folder: Path) -> None:
    desk = await at.open(viewport={"width": 860, "height": 640}, color_scheme="light")
    await desk.choose("sim:tokens=200,rate=25")
    await desk.ask("Tell me about the tides, and take your time.", by_key=False)
    await desk.has_text()
    phone = await at.open(viewport={"width": 360, "height": 640}, color_scheme="dark", is_mobile=True, has_touch=True)
    await phone.page.get_by_role("button", name="List of chats").click()
    await phone.page.locator(".entry .open").first.click()
    await phone.page.wait_for_function("() => window.sluice.chat.thread.at(-1)?.text.length > 300")
    first, second = await at.take(desk, "desk"), await at.take(phone, "phone")
    await at.together("page-two-devices", first, second)
    for name in ("desk", "phone"):
        (folder / f"{name}.png").unlink()


async def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as kept, running_page(simulator={"SCRIPT": "rate=60"}) as up:
        url = serving(up, Path(kept))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            at = Photographer(browser, url, folder)
            await tools(at)
            await approval(at)
            await refused(at)
            await two_devices(at, folder)
            await browser.close()


def serving(up: PageChain, kept: Path) -> str:
    """Return where the page is in front of a proxy with tools and a gateway with a database."""
    proxy = Server("tests.behaviour.tooled_proxy", up.chain.proxy_environ)
    up.chain.servers.append(proxy)
    database = f"sqlite:///{kept / 'conversations.db'}"
    gateway = up.chain.another_gateway(PROXY_URL=proxy.url, TOOLS="*", DATABASE=database)
    page = page_server(up.spare_ports[0], gateway.url, STORE="yes")
    up.chain.servers.append(page)
    return page.url


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1])))
