"""Tools that run beside the model server, as a person sees them: switched on, asked about, drawn, failed."""

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, expect

from tests.behaviour.connections import sample
from tests.behaviour.script import scripted
from tests.browser.page_chain import PageChain
from tests.browser.rules import violations
from tests.browser.scripted import answer, frames, requests
from tests.browser.visit import Visit
from tests.chain import Server
from tests.eventually import eventually

MODEL: Final = {"name": "tooler:latest", "capabilities": ["completion", "tools"], "default": True, "loaded": True}
DONE: Final = {"type": "done", "finish_reason": "stop", "usage": None, "timing": {"ttft_ms": 100, "total_ms": 2000}}
CLOCK: Final = f"""
[[tools]]
name = "time"
command = [{json.dumps(str(Path(sys.executable).with_name("mcp-server-time")))}]
allow = ["get_current_time"]
"""
START_S: Final = 30.0
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


@pytest.fixture(scope="module")
def tooled(up: PageChain) -> Iterator[str]:
    """The page in front of a proxy that has tools: clock, weather, failing, hanging; oven and alarm ask before."""
    proxy = Server("tests.behaviour.tooled_proxy", up.chain.proxy_environ)
    up.chain.servers.append(proxy)
    gateway = up.chain.another_gateway(PROXY_URL=proxy.url, TOOLS="*")
    with up.another_page(gateway.url) as page:
        yield page.url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def person(browser: Browser, tooled: str) -> AsyncIterator[Visit]:
    """Somebody whose page there stays open from test to test; axe may be put into it."""
    context = await browser.new_context(bypass_csp=True)
    yield await Visit.to(tooled, context)
    await context.close()


async def ask(visit: Visit, **script: Any) -> None:
    """Ask a model that calls tools, in a new chat that lets it."""
    await visit.choose(scripted("tooler", tokens=3, **script).name)
    await visit.page.evaluate(
        """() => {
          const { chat, models } = window.sluice;
          chat.startNew();
          chat.open.parameters = {};
          models.dispatchEvent(new Event("chosen"));
        }"""
    )
    await visit.page.get_by_role("button", name="Let the model use tools").click()
    await visit.ask("go on")


async def ask_about_the_oven(visit: Visit) -> None:
    await ask(visit, tool="oven")
    await expect(visit.answer.locator(".tool")).to_contain_text("The model wants to run oven.")


async def test_two_tools_side_by_side_and_the_time_they_took_are_shown(person: Visit) -> None:
    await ask(person, calls=2)
    await person.finished()

    await expect(person.answer.locator(".tool-name")).to_have_text(["clock", "weather"])
    await expect(person.answer.locator(".tool.ok")).to_have_count(2)
    await person.answer.locator(".tool summary").first.click()
    await expect(person.answer.locator(".tool").first).to_contain_text("clock of Reykjavík")
    record = await person.record()
    assert (record["done"]["turns"], record["status"]) == (2, "sent")
    assert "tools_ms" in record["done"]["timing"]
    await person.answer.get_by_role("button", name="Where did the time go?").click()
    panel = person.page.get_by_role("dialog", name="Where did the time go?")
    await expect(panel).to_contain_text("clock, weather, hanging, failing, oven, alarm")


async def test_a_tool_that_fails_says_so_and_the_answer_goes_on(person: Visit) -> None:
    await ask(person, tool="failing")
    await person.finished()

    await expect(person.answer.locator(".tool-state")).to_have_text(re.compile("^Failed"))
    await expect(person.text).not_to_be_empty()


async def test_a_tool_that_hangs_is_left_when_the_answer_is_stopped(person: Visit) -> None:
    await ask(person, tool="hanging")
    await expect(person.answer.locator(".tool.running")).to_have_count(1)
    await person.page.keyboard.press("Escape")

    await expect(person.answer.locator(".tool-state")).to_have_text("the answer ended before it")
    await expect(person.answer).to_contain_text("Stopped.")


async def test_a_tool_that_needs_a_word_is_allowed_by_keyboard(person: Visit) -> None:
    await ask_about_the_oven(person)
    await expect(person.page.locator("#status")).to_have_text("The model wants to run oven.")
    await expect(person.answer.locator(".tool details")).to_have_attribute("open", "")
    allow = person.answer.get_by_role("group", name="May oven run?").get_by_role("button", name="Allow")

    await allow.focus()
    await person.page.keyboard.press("Enter")
    await person.finished()

    await expect(person.answer.locator(".tool.ok")).to_have_count(1)
    assert (await person.record())["tools"][0]["approval"] == "given"
    await expect(person.answer.locator(".tool summary")).to_be_focused()  # the button is gone


async def test_a_tool_that_was_refused_and_one_that_nobody_allowed_say_so(person: Visit) -> None:
    await ask_about_the_oven(person)
    await person.answer.get_by_role("button", name="Refuse").click()
    await person.finished()
    await expect(person.answer.locator(".tool-state")).to_have_text("Refused")

    await person.choose(scripted("tooler", tokens=3, tool="alarm").name)
    await person.ask("and the alarm?")
    await person.finished()
    await expect(person.answer.locator(".tool-state")).to_have_text("Nobody allowed it in time")


async def test_what_another_tab_allows_runs_here_too(person: Visit, tooled: str) -> None:
    await ask_about_the_oven(person)
    other = await Visit.to(tooled, person.page.context)
    await other.page.locator(".entry .open").first.click()

    await other.answer.get_by_role("button", name="Allow").click()
    await person.finished()

    for one in (person, other):
        await expect(one.answer.locator(".tool.ok")).to_have_count(1)
    await other.page.close()


async def test_a_question_about_a_tool_breaks_no_rule_in_light_and_dark(person: Visit, axe: Path) -> None:
    await ask_about_the_oven(person)
    found = []
    for scheme in ("light", "dark"):
        await person.page.emulate_media(color_scheme=scheme)
        found += await violations(person, axe)
    await person.answer.get_by_role("button", name="Refuse").click()
    await person.finished()

    assert found == []


@contextmanager
def page_with_a_clock(up: PageChain, folder: Path) -> Iterator[str]:
    """The page in front of a proxy whose tool is one that people use: a process of its own, of somebody else's."""
    (folder / "sluice.toml").write_text(CLOCK)
    proxy = up.chain.another_proxy(CONFIG=str(folder / "sluice.toml"))
    gateway = up.chain.another_gateway(PROXY_URL=proxy.url, TOOLS="*")
    eventually(lambda: sample(proxy, "llm_tool_server_up") == 1, "its server of tools is there", within_s=START_S)
    with up.another_page(gateway.url) as page:
        yield page.url
    gateway.stop()
    proxy.stop()


async def test_a_real_server_s_tool_is_asked_about_allowed_and_its_answer_shown(
    context: BrowserContext, up: PageChain, tmp_path: Path
) -> None:
    with page_with_a_clock(up, tmp_path) as url:
        visit = await Visit.to(url, context)
        await ask(visit, tool="get_current_time")
        tool = visit.answer.locator(".tool")
        await expect(tool).to_contain_text("America/New_York")  # what it would be called with
        await tool.get_by_role("button", name="Allow").click()
        await visit.finished()

        await tool.locator("summary").click()
        await expect(tool.locator("pre").nth(1)).to_contain_text('"day_of_week"')
        await expect(visit.text).not_to_be_empty()
        assert visit.complaints == []
