"""A person at the page: what can be done there, and what can be seen."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from playwright.async_api import BrowserContext, Locator, Page, expect

READY_MS = 10_000
expect.set_options(timeout=READY_MS)  # of its own it gives a page 5 s, which a busy machine takes now and then


@dataclass
class Visit:
    """One open page; what it complained about is kept in ``complaints``, whom it asked in ``asked``."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    @classmethod
    async def to(cls, url: str, context: BrowserContext, path: str = "/") -> Self:
        """Open the page in a new tab and wait until it can be used."""
        visit = cls(await context.new_page())
        page = visit.page
        page.set_default_timeout(READY_MS)
        page.on("pageerror", lambda error: visit.complaints.append(f"error: {error}"))
        page.on("console", lambda message: visit.complaints.append(message.text) if _is_policy(message.text) else None)
        page.on("request", lambda request: visit.asked.add(_origin(request.url)))
        await page.goto(url + path)
        await visit.ready()
        return visit

    async def begin_anew(self, url: str) -> None:
        """Make the page what it was when it was opened first."""
        if self.page.url != f"{url}/":
            await self.page.goto(url)
            await self.ready()
        await self.page.set_viewport_size({"width": 1280, "height": 800})
        await self.page.evaluate(
            """async () => {
              const { chat } = window.sluice;
              document.querySelectorAll("dialog[open]").forEach((one) => one.close());
              document.querySelectorAll(":popover-open").forEach((one) => one.hidePopover());
              document.querySelectorAll("#drawer, #latest").forEach((one) => { one.hidden = true; });
              document.querySelectorAll("#question, #search").forEach((one) => {
                one.value = "";
                one.dispatchEvent(new Event("input"));
              });
              for (const { id } of [...chat.conversations]) await chat.remove(id);
              Object.assign(chat.open, { model: "", parameters: {} });
              chat.startNew();
              document.querySelector("#question").focus();
            }"""
        )
        self.complaints.clear()
        self.asked.clear()

    async def ready(self) -> None:
        """Wait until the page can be used."""
        await self.page.wait_for_selector("html[data-ready]", state="attached")

    async def ask(self, text: str, *, by_key: bool = True) -> None:
        """Type a question and send it; return when it stands in the conversation."""
        answers = await self.page.locator(".answer").count()
        await self.page.get_by_label("Message", exact=True).fill(text)
        if by_key:
            await self.page.keyboard.press("Enter")
        else:
            await self.page.get_by_role("button", name="Send").click()
        await expect(self.page.locator(".answer")).to_have_count(answers + 1)

    async def edit(self, text: str) -> None:
        """Ask the conversation's only question again, in these words."""
        question = self.page.locator(".question")
        await question.hover()
        await question.get_by_role("button", name="Edit and ask again").click()
        await self.page.get_by_role("textbox", name="Edit and ask again").fill(text)
        await self.page.keyboard.press("Enter")

    async def export(self, file: Path) -> None:
        """Save all chats in ``file``."""
        await self.page.get_by_role("button", name="Settings and files").click()
        async with self.page.expect_download() as waiting:
            await self.page.get_by_role("button", name="Export all chats").click()
        await (await waiting.value).save_as(file)

    async def choose(self, model: str) -> None:
        """Ask this model from now on, also one that no list shows."""
        await self.page.evaluate("model => { window.sluice.chat.open.model = model }", model)

    @property
    def answer(self) -> Locator:
        """The newest answer."""
        return self.page.locator(".answer").last

    @property
    def text(self) -> Locator:
        """The newest answer's text."""
        return self.answer.locator(".body")

    async def has_text(self) -> None:
        """Wait until there is something of the newest answer."""
        await expect(self.text).not_to_be_empty()

    async def finished(self, within_s: float = 20.0) -> None:
        """Wait until the newest answer is over."""
        await expect(self.answer).to_have_attribute("aria-busy", "false", timeout=within_s * 1000)

    async def call(self, module: str, function: str, *arguments: object) -> Any:
        """Call a function that a module of the page exports."""
        call = """async ([module, name, given]) => {
          const app = document.querySelector("script[type=module]").src;
          return (await import(app.replace("app.js", module)))[name](...given);
        }"""
        return await self.page.evaluate(call, [module, function, arguments])

    async def record(self) -> dict[str, Any]:
        """Return the newest answer as the page holds it."""
        found: dict[str, Any] = await self.page.evaluate("() => window.sluice.chat.thread.at(-1)")
        return found


def _is_policy(text: str) -> bool:
    return "Content Security Policy" in text or "TrustedHTML" in text or "Trusted Type" in text


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])
