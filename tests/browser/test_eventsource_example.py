"""examples/eventsource.html in Chromium: an EventSource, which cannot POST, follows what a fetch has started."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

from playwright.async_api import BrowserContext

from tests.browser.page_chain import PageChain
from tests.chain import ROOT
from tests.eventually import eventually


@contextlib.contextmanager
def served_as_the_example_says(port: int) -> Iterator[str]:
    """Serve examples/ from an origin that the gateway allows."""
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", "examples"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/eventsource.html"
    try:
        eventually(lambda: answers(url), what="the example is served")
        yield url
    finally:
        server.terminate()
        server.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 ours
            return bool(answer.status == 200)
    except OSError:
        return False


async def test_the_eventsource_example_shows_the_whole_answer_and_does_not_come_back_after_its_end(
    context: BrowserContext, up: PageChain
) -> None:
    gateway, page, followed = up.chain.gateway, await context.new_page(), []
    page.on("request", lambda request: followed.append(request.url))
    with served_as_the_example_says(up.spare_ports[0]) as url:
        async with page.expect_response("**/api/chat/stream") as started:
            await page.goto(f"{url}?gateway={gateway.url}")
        answer = page.locator("#answer[data-finish]")
        await answer.wait_for()
        stream_id = (await (await started.value).all_headers())["x-stream-id"]
    _, snapshot = gateway.get(f"/api/chat/stream/{stream_id}", {"Accept": "application/json"})

    assert await answer.get_attribute("data-finish") == "stop"
    assert await answer.text_content() == json.loads(snapshot)["text"]
    assert [url for url in followed if stream_id in url] == [f"{gateway.url}/api/chat/stream/{stream_id}"]
