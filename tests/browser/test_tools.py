"""Tools that run beside the model server, as a person sees them: switched on, asked about, drawn, failed."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Request, Route, expect

from tests.browser.page_chain import PageChain
from tests.browser.rules import violations
from tests.browser.scripted import STREAM, answer, frames, requests
from tests.browser.visit import Visit

MODEL: Final = {"name": "tooler:latest", "capabilities": ["completion", "tools"], "default": True, "loaded": True}
DONE: Final = {"type": "done", "finish_reason": "stop", "usage": None, "timing": {"ttft_ms": 100, "total_ms": 2000}}
HOSTILE: Final = "<img src=x onerror=window.pwned=1>"


def called(number: int, name: str, **more: object) -> dict[str, Any]:
    """Return the event of a call that runs beside the model server."""
    call = {"call_id": f"call_{number}", "name": name, "arguments": {"tz": "UTC"}, "runs": "server"}
    return {"type": "tool_call", **call, **more}


def result(number: int, name: str, content: str, *, ok: bool = True, **more: object) -> dict[str, Any]:
    """Return the event of what came of it."""
    given = {"call_id": f"call_{number}", "name": name, "ok": ok, "content": content, "duration_ms": 4}
    return {"type": "tool_result", **given, **more}


def token(text: str) -> dict[str, Any]:
    return {"type": "token", "content": text}


async def at_a_gateway_with_tools(context: BrowserContext, up: PageChain, *events: dict[str, Any]) -> Visit:
    visit = await Visit.to(up.url, context)
    await answer(visit.page, "/api/models", json.dumps({"models": [MODEL], "server_tools": ["clock", "door"]}))
    await answer(visit.page, "/api/chat/stream", frames(*events))
    await visit.page.evaluate("() => window.sluice.models.refresh()")
    return visit


async def test_the_switch_lets_a_chat_use_tools_and_is_off_until_then(context: BrowserContext, up: PageChain) -> None:
    visit = await at_a_gateway_with_tools(context, up, token("Hi"), DONE)
    asked = requests(visit.page)
    switch = visit.page.get_by_role("button", name="Let the model use tools")
    await expect(switch).to_have_attribute("aria-pressed", "false")
    await expect(switch).to_have_attribute("title", "Let the model use tools: clock, door")
    await visit.ask("without")
    await visit.finished()

    await switch.click()
    await expect(switch).to_have_attribute("aria-pressed", "true")
    await visit.ask("with")
    await visit.finished()

    bodies = [
        json.loads(one.post_data or "{}")
        for one in asked
        if one.url.endswith("/api/chat/stream") and one.method == "POST"
    ]
    assert [body.get("server_tools") for body in bodies] == [None, True]


async def test_a_gateway_without_tools_shows_no_switch(visit: Visit) -> None:
    await expect(visit.page.locator("#tools")).to_be_hidden()


async def test_calls_and_text_stand_in_their_order_and_results_are_text(context: BrowserContext, up: PageChain) -> None:
    events = [
        token("Let me look."),
        called(1, "clock"),
        called(2, "door"),
        result(2, "door", "no such door", ok=False),
        result(1, "clock", HOSTILE),
        token("It is noon."),
        DONE,
    ]
    visit = await at_a_gateway_with_tools(context, up, *events)
    await visit.ask("the time?")
    await visit.finished()

    parts = visit.answer.locator(".parts > *")
    assert [await part.get_attribute("class") for part in await parts.all()] == ["body", "tools", "body"]
    await expect(visit.answer.locator(".tool-name")).to_have_text(["clock", "door"])
    await expect(visit.answer.locator(".tool-state")).to_have_text(["4 ms", "Failed · 4 ms"])
    await visit.answer.locator(".tool summary").first.click()
    await expect(visit.answer.locator(".tool pre").nth(1)).to_have_text(HOSTILE)
    assert await visit.page.evaluate("() => window.pwned") is None
    assert visit.complaints == []


class Waiting:
    """A gateway whose stream waits for a person's word, and goes on when it has it."""

    def __init__(self, status: int = 202) -> None:
        self.said: list[bool] = []
        self._status = status
        self._came = asyncio.Event()

    async def decided(self, route: Route, request: Request) -> None:
        if request.method == "POST":
            self.said.append(json.loads(request.post_data or "{}")["approve"])
            self._came.set()
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Headers": "*",
            "Access-Control-Allow-Methods": "*",
        }
        await route.fulfill(status=self._status if request.method == "POST" else 204, headers=headers, body="{}")

    async def followed(self, route: Route, _: Request) -> None:
        await self._came.wait()
        allowed = self.said[-1]
        came = (
            result(1, "door", "open", approval="given")
            if allowed
            else result(1, "door", "No.", ok=False, approval="refused")
        )
        body = frames(called(1, "door", approval="needed"), came, token("Done."), DONE)
        headers = {"Content-Type": "text/event-stream", "Access-Control-Allow-Origin": "*", "X-Stream-Id": STREAM}
        await route.fulfill(status=200, headers=headers, body=body)


async def asked_for_a_word(context: BrowserContext, up: PageChain, waiting: Waiting) -> Visit:
    needed = called(1, "door", approval="needed")
    visit = await at_a_gateway_with_tools(context, up, needed)
    await visit.page.route(f"**/api/chat/stream/{STREAM}?after=*", waiting.followed)
    await visit.page.route("**/tools/call_1", waiting.decided)
    await visit.ask("open the door")
    await expect(visit.answer.locator(".tool")).to_contain_text("The model wants to run door.")
    return visit


async def test_a_tool_that_needs_a_word_is_allowed_by_keyboard(context: BrowserContext, up: PageChain) -> None:
    waiting = Waiting()
    visit = await asked_for_a_word(context, up, waiting)
    await expect(visit.page.locator("#status")).to_have_text("The model wants to run door.")
    await expect(visit.answer.locator(".tool details")).to_have_attribute("open", "")
    allow = visit.answer.get_by_role("group", name="May door run?").get_by_role("button", name="Allow")

    await allow.focus()
    await visit.page.keyboard.press("Enter")
    await visit.finished()

    assert waiting.said == [True]
    await expect(visit.answer.locator(".tool-state")).to_have_text("4 ms")
    await expect(visit.answer.locator(".tool summary")).to_be_focused()  # the button is gone


async def test_a_tool_that_was_refused_says_so(context: BrowserContext, up: PageChain) -> None:
    waiting = Waiting()
    visit = await asked_for_a_word(context, up, waiting)

    await visit.answer.get_by_role("button", name="Refuse").click()
    await visit.finished()

    assert waiting.said == [False]
    await expect(visit.answer.locator(".tool-state")).to_have_text("Refused")
    await expect(visit.text).to_have_text("Done.")


async def test_a_question_about_a_tool_breaks_no_rule_in_light_and_dark(
    browser: Browser, up: PageChain, axe: Path
) -> None:
    context = await browser.new_context(bypass_csp=True)
    visit = await asked_for_a_word(context, up, Waiting())
    found = []
    for scheme in ("light", "dark"):
        await visit.page.emulate_media(color_scheme=scheme)
        found += await violations(visit, axe)
    await context.close()

    assert found == []
