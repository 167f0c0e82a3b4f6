"""What the page tells of an answer: thinking, tools, what it waits for, where its time went, and to the gateway."""

import asyncio
import json
import re
from typing import Final

import pytest
from playwright.async_api import BrowserContext, expect

from tests.behaviour.script import scripted
from tests.browser.page_chain import PageChain
from tests.browser.scripted import answer, frames, refusal
from tests.browser.visit import Visit
from tests.eventually import soon


async def test_thinking_is_open_while_it_lasts_and_then_folds_with_its_duration(visit: Visit) -> None:
    said = scripted("thinker", tokens=20, think=40, rate=40)
    await visit.choose(said.name)
    async with asyncio.TaskGroup() as tasks:  # the page looks by itself, at each frame: it lasts a second
        tasks.create_task(visit.page.wait_for_function("() => document.querySelector('.answer .thinking')?.open"))
        await visit.ask("hi")
    await visit.finished()
    thinking = visit.answer.locator(".thinking")

    await expect(thinking).not_to_have_attribute("open", "")
    await expect(thinking.locator("summary")).to_have_text(re.compile(r"^Thought for [\d.]+ (ms|s)$"))
    assert (await visit.record())["text"] == said.text


async def test_what_a_person_opened_stays_open(visit: Visit) -> None:
    await visit.choose(scripted("thinker", tokens=60, think=5, rate=40).name)
    await visit.ask("hi")
    await visit.has_text()

    await visit.answer.locator(".thinking summary").click()
    await visit.finished()

    await expect(visit.answer.locator(".thinking")).to_have_attribute("open", "")


async def test_a_tool_that_was_asked_for_is_a_row_that_says_nothing_ran_it(visit: Visit, up: PageChain) -> None:
    await visit.page.goto(up.url + "/?tools=demo")
    await visit.ready()
    await visit.choose("tooler")
    await visit.ask("the weather?")
    await visit.finished()

    row = visit.answer.locator(".tool")
    await expect(row).to_contain_text("get_weather")
    await expect(row).to_contain_text("asked for, not run: this page runs no tools")
    await row.locator("summary").click()
    await expect(row.locator("pre")).to_have_text('{\n  "city": "Reykjavík"\n}')


async def test_a_tool_that_something_ran_shows_what_came_of_it(visit: Visit) -> None:
    """No server of ours runs tools yet; the events are those of PROTOCOL.md."""
    await visit.choose("tooler")
    await visit.ask("hi")
    await visit.finished()

    await visit.page.evaluate(
        """async () => {
          const { chat } = window.sluice;
          Object.assign(chat.thread.at(-1), { tools: [
            { id: "1", name: "clock", args: { tz: "UTC" }, result: "12:00", ok: true, ms: 4 },
            { id: "2", name: "door", args: {}, result: "no such door", ok: false, ms: 9 },
          ]});
          chat.dispatchEvent(new Event("thread"));
        }"""
    )

    await expect(visit.answer.locator(".tool-state")).to_have_text(["4 ms", "Failed · 9 ms"])
    await visit.answer.locator(".tool summary").first.click()
    await expect(visit.answer.locator(".tool").first).to_contain_text("12:00")


async def test_the_load_and_then_the_prompt_are_said(visit: Visit) -> None:
    await visit.choose(scripted(tokens=5, load=2, prefill=3).name)
    await visit.ask("hi")

    await expect(visit.answer.locator(".phase")).to_have_text("loading the model")
    await expect(visit.answer.locator(".phase")).to_have_text("reading the prompt")
    await visit.finished()
    await expect(visit.answer.locator(".phase")).to_be_hidden()


async def test_the_bar_of_where_the_time_went_adds_up(visit: Visit) -> None:
    await visit.choose(scripted(tokens=30, rate=60, load=0.3, prefill=0.2).name)
    await visit.ask("hi")
    await visit.finished()
    await expect(visit.answer.locator(".facts")).to_have_text(
        re.compile(r"^sim:\S+ · first token \d+ ms · [\d.]+ tokens/s · \d+ tokens$")
    )

    await visit.answer.get_by_role("button", name="Where did the time go?").click()
    panel = visit.page.get_by_role("dialog", name="Where did the time go?")
    record = await visit.record()

    done, timing = record["done"], record["done"]["timing"]
    network = max(0, done["gateway"]["ttft_ms"] - timing["ttft_ms"])
    parts = await visit.call("timing.js", "partsOf", done)
    assert sum(part["ms"] for part in parts) == pytest.approx(timing["total_ms"] + network)
    assert {part["name"] for part in parts} >= {"load", "prefill", "decode"}
    await expect(panel).to_contain_text("Loading the model")
    await expect(panel).to_contain_text(record["stream"][:12])
    await expect(panel).to_contain_text(record["requestId"])


SPLIT: Final[list[tuple[object, object, dict[str, int]]]] = [
    ({"total_ms": 100, "ttft_ms": 40, "queue_ms": 10}, None, {"queue": 10, "decode": 60, "other": 30}),
    ({"total_ms": 100, "ttft_ms": 40, "decode_ms": 50}, {"ttft_ms": 45}, {"decode": 50, "other": 50, "network": 5}),
    ({"total_ms": 100, "load_ms": 90, "decode_ms": 90}, None, {"load": 90, "decode": 10}),
    ({"total_ms": 100, "ttft_ms": None, "decode_ms": None}, None, {"other": 100}),
    ({"total_ms": 10, "ttft_ms": 5}, {"ttft_ms": 4}, {"decode": 5, "other": 5}),
    ({"total_ms": 100, "ttft_ms": 10, "tools_ms": 60}, None, {"decode": 30, "tools": 60, "other": 10}),
    (None, None, {}),
]


async def test_parts_are_never_below_zero_and_never_more_than_the_whole(visit: Visit) -> None:
    for timing, gateway, expected in SPLIT:
        parts = await visit.call("timing.js", "partsOf", {"timing": timing, "gateway": gateway})

        assert {part["name"]: part["ms"] for part in parts} == expected


async def test_the_first_paint_is_told_to_the_gateway(visit: Visit, up: PageChain) -> None:
    def counted() -> float:
        return up.chain.gateway.metrics()["llm_browser_time_to_first_token_seconds_count"]

    before = counted()
    await visit.choose(scripted(tokens=5, prefill=0.2).name)
    await visit.ask("hi")
    await visit.finished()

    await soon(lambda: counted() == before + 1, "the beacon was counted")


SERVED: Final = {
    "provider": "groq",
    "server": "cheap",
    "model": "llama-3.3-70b",
    "attempts": 2,
    "dropped": ["top_k", "seed"],
}


async def test_who_answered_elsewhere_and_without_what_stands_under_the_answer(
    context: BrowserContext, up: PageChain
) -> None:
    visit = await Visit.to(up.url, context)
    done = {"type": "done", "finish_reason": "stop", "usage": None, "timing": {}, "served_by": SERVED}
    await answer(visit.page, "/api/chat/stream", frames({"type": "token", "content": "Hello"}, done))
    await visit.ask("hi")
    await visit.finished()

    await expect(visit.answer.locator(".facts")).to_have_text(
        "llama3.2 · answered by cheap (llama-3.3-70b) · 2 options left out"
    )
    await visit.answer.get_by_role("button", name="Where did the time go?").click()
    panel = visit.page.get_by_role("dialog", name="Where did the time go?")
    await expect(panel).to_contain_text("groq · cheap · llama-3.3-70b")
    await expect(panel).to_contain_text("top_k, seed")


async def test_what_is_awaited_is_said_in_words(visit: Visit) -> None:
    said = {
        "queued": "waiting in line",
        "retrying": "trying again (1)",
        "never heard of": "waiting for the first word",
    }

    assert {phase: await visit.call("phase.js", "phaseWords", {"phase": phase}) for phase in said} == said
    elsewhere = {"phase": "retrying", "attempt": 2, "server": "cheap"}
    assert await visit.call("phase.js", "phaseWords", elsewhere) == "asking cheap (try 2)"


async def test_lines_that_could_not_be_read_are_said_under_the_answer(visit: Visit) -> None:
    await visit.choose("sim:tokens=20,fault=malformed,at=5,count=3")
    await visit.ask("hi")
    await visit.finished()

    await expect(visit.answer).to_contain_text("3 lines from the model server could not be read and are left out.")


async def test_an_answer_that_breaks_keeps_its_text_and_says_why(visit: Visit) -> None:
    await visit.choose("sim:tokens=20,fault=error,at=10,words=memory")
    await visit.ask("hi")
    await visit.finished()

    assert (await visit.record())["text"] != ""
    assert (await visit.record())["status"] == "failed"
    await expect(visit.answer.get_by_role("alert")).to_contain_text("model requires more system memory")


async def test_a_place_in_the_line_is_said(context: BrowserContext, up: PageChain) -> None:
    proxy = up.chain.another_proxy(PERMITS="1", QUEUE_TIMEOUT_S="20")
    gateway = up.chain.another_gateway(PROXY_URL=proxy.url)
    said = scripted(tokens=1200, rate=60)  # it outlasts whatever is looked at meanwhile
    with up.another_page(gateway.url) as page:
        visit = await Visit.to(page.url, context)
        for _ in range(3):
            await visit.page.evaluate("() => window.sluice.chat.startNew()")
            await visit.choose(said.name)
            await visit.ask("hi")

        await expect(visit.answer.locator(".phase")).to_have_text("waiting, 2nd in line")
        await visit.page.evaluate("() => window.sluice.chat.runs.forEach((run) => run.stop())")


async def test_a_line_that_is_gone_is_said_until_it_is_back(visit: Visit) -> None:
    await visit.page.context.set_offline(True)
    await expect(visit.page.get_by_role("alert")).to_contain_text("You are offline.")
    await expect(visit.page.locator("#connection")).to_have_text("Offline")

    await visit.page.context.set_offline(False)

    await expect(visit.page.locator("#connection")).to_have_text("Ready")
    await expect(visit.page.get_by_role("alert")).to_have_count(0)


NOTIFICATIONS = """
window.told = [];
window.Notification = class { constructor(title, { body }) { window.told.push([title, body]); } };
Object.assign(window.Notification, { permission: "granted", requestPermission: async () => "granted" });
Object.defineProperty(document, "hidden", { get: () => window.away === true });
"""


async def test_an_answer_that_ends_in_a_hidden_tab_is_told_without_its_words(
    context: BrowserContext, up: PageChain
) -> None:
    """The browser's own part is replaced: a headless one shows no notifications."""
    await context.add_init_script(NOTIFICATIONS)
    visit = await Visit.to(up.url, context)
    await visit.page.get_by_role("button", name="Settings and files").click()
    await visit.page.get_by_label("Notify me").check()
    await visit.page.keyboard.press("Escape")
    await visit.choose(scripted(tokens=30, rate=60).name)
    await visit.ask("a question")

    await visit.page.evaluate("() => { window.away = true }")
    await visit.page.wait_for_function("() => window.told.length > 0")

    assert await visit.page.evaluate("() => window.told") == [["a question", "The answer is complete."]]


async def test_an_answer_that_failed_lets_the_page_look_at_once_who_is_there(
    context: BrowserContext, up: PageChain
) -> None:
    """It looks each quarter of a minute: until then the dot would say Ready beside a card that says otherwise."""
    visit = await Visit.to(up.url, context)
    await expect(visit.page.locator("#connection")).to_have_text("Ready")
    await answer(visit.page, "/readyz", json.dumps({"status": "no_model_server"}), 503)
    await answer(visit.page, "/api/chat/stream", refusal("upstream_unavailable"), 503)

    await visit.ask("hi")

    await expect(visit.page.locator("#connection")).to_have_text("No model server")
