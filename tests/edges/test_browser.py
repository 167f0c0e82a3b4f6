"""A browser at an edge: HTTP/2, and with it more streams at once than it opens connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import pytest
from playwright.async_api import Page, async_playwright

from tests.behaviour.connections import calls_of
from tests.behaviour.script import scripted
from tests.edges.running import Behind, RunningEdge
from tests.eventually import soon
from tests.machine import needs, program

pytestmark = [pytest.mark.edge, pytest.mark.timeout(120), needs("chromium")]

STREAMS: Final = 7  # one more than a browser has connections to an origin of HTTP/1.1
STOPPED_WITHIN_S: Final = 1.0
OPEN: Final = """async (models) => {
  window.streams = models.map((model) => ({ model, words: 0, events: 0, stop: new AbortController() }));
  for (const stream of window.streams) {
    const answer = await fetch("/api/chat/stream", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model: stream.model, message: "hi" }),
      signal: stream.stop.signal,
    });
    const followed = `/api/chat/stream/${answer.headers.get("X-Stream-Id")}`;
    stream.source = new EventSource(followed);
    stream.source.addEventListener("token", () => { stream.events += 1; });
    const reader = answer.body.getReader();
    const read = () => reader.read().then(({ done }) => { if (!done) { stream.words += 1; read(); } }, () => {});
    read();
  }
}"""
COUNTED: Final = "() => window.streams.map(({ words, events }) => [words, events])"
LEAVE: Final = "(index) => { window.streams[index].stop.abort(); window.streams[index].source.close(); }"
PROTOCOLS: Final = """() => [...new Set([...performance.getEntriesByType("navigation"),
  ...performance.getEntriesByType("resource")].map((entry) => entry.nextHopProtocol))]"""


@pytest.fixture
async def page(edge: RunningEdge) -> AsyncIterator[Page]:
    """The chat page, opened at an edge, in a browser that takes the test's certificate."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        page = await browser.new_page(ignore_https_errors=True)
        await page.goto(edge.url)
        await page.wait_for_selector("html[data-ready]", state="attached")
        yield page
        await browser.close()


async def test_more_than_six_streams_are_open_at_once_and_one_that_is_left_stops_alone(
    page: Page, edge: RunningEdge, behind: Behind
) -> None:
    """T17, P6: seven that are fetched, and an EventSource on each, in one connection."""
    models = [scripted(tokens=2000, rate=20).name for _ in range(STREAMS)]
    await page.evaluate(OPEN, models)
    await until_all_have_more(page, than=[[2, 2]] * STREAMS)
    running = [calls_of(behind.chain, model)[0]["state"] for model in models]

    assert await page.evaluate(PROTOCOLS) == ["h2"]
    assert running == ["streaming"] * STREAMS

    before = await page.evaluate(COUNTED)
    left_at = time.monotonic()
    await page.evaluate(LEAVE, 3)
    await soon(lambda: calls_of(behind.chain, models[3])[0]["closed_at"], "the model that is left stops", within_s=20)
    stopped_s = calls_of(behind.chain, models[3])[0]["closed_at"] - left_at
    await until_all_have_more(page, than=[one for index, one in enumerate(before) if index != 3], but=3)
    still = [calls_of(behind.chain, model)[0]["state"] for index, model in enumerate(models) if index != 3]
    print(
        f"{edge.edge.name:8} {2 * STREAMS} streams in one connection of h2; one that is left stops: {stopped_s:.2f} s"
    )

    assert stopped_s <= STOPPED_WITHIN_S
    assert still == ["streaming"] * (STREAMS - 1)


async def until_all_have_more(page: Page, *, than: list[list[int]], but: int | None = None) -> None:
    """Wait until each stream, ``but`` one, has brought more; by asking, for the page lets nobody eval."""
    async with asyncio.timeout(20):
        while True:
            counted = [one for index, one in enumerate(await page.evaluate(COUNTED)) if index != but]
            if all(now > before for pair in zip(counted, than, strict=True) for now, before in zip(*pair, strict=True)):
                return
