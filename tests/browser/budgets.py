"""The page's budgets, measured and printed: ``python -m tests.browser.budgets`` (two minutes).

Bytes of the first load; long tasks in a stream of a minute at 100 tokens/s; paint after the event; heap after ten long
answers. Bytes and heap are asserted in test_budgets.py, times are not: a busy machine would break them.
"""

import asyncio
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, CDPSession, Request, async_playwright

from tests.behaviour.script import scripted
from tests.browser.page_chain import PageChain, running_page
from tests.browser.said import record
from tests.browser.visit import Visit

RATE: Final = 100
STREAM_S: Final = 60
LONG_ANSWERS: Final = 10
LONG_TOKENS: Final = 3000

COSTS: Final = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
WATCH: Final = """() => {
  window.long = [];
  new PerformanceObserver((list) => window.long.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
  window.late = [];
  window.sluice.chat.addEventListener("answer", () => {
    const heard = performance.now();
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.late.push(performance.now() - heard);
      channel.port2.postMessage(null);
    });
  });
}"""


@dataclass(frozen=True)
class FirstLoad:
    """Bytes of bodies as they came over the wire: what the page needs to be used, and what it fetches after that."""

    usable: int
    markdown: int
    requests: int


async def first_load(context: BrowserContext, url: str) -> FirstLoad:
    """Open the page in a fresh profile."""
    page = await context.new_page()
    asked: list[Request] = []
    page.on("requestfinished", lambda request: asked.append(request))  # noqa: PLW0108 playwright needs a function
    await page.goto(url)
    await page.wait_for_function("() => window.sluice?.libraries.markdown && window.sluice.models.listed")
    named = await page.evaluate(
        "() => [...document.querySelectorAll('link, script')].map((one) => one.href || one.src)"
    )
    needed = {*named, f"{url}/", f"{url}/config.json"}
    sizes = {request.url: (await request.sizes())["responseBodySize"] for request in asked}
    await page.close()
    return FirstLoad(
        sum(size for asked_for, size in sizes.items() if asked_for in needed),
        sum(size for asked_for, size in sizes.items() if asked_for not in needed),
        len(sizes),
    )


async def heap_bytes(visit: Visit) -> int:
    """Return what the page holds once its garbage is gone."""
    session = await visit.page.context.new_cdp_session(visit.page)
    await session.send("HeapProfiler.collectGarbage")
    usage = await session.send("Runtime.getHeapUsage")
    return int(usage["usedSize"])


async def long_answers(visit: Visit, count: int, tokens: int) -> list[int]:
    """Ask for so many long answers, each in a chat of its own; return the heap after each."""
    held = []
    for _ in range(count):
        await visit.page.evaluate("() => window.sluice.chat.startNew()")
        await visit.choose(scripted(tokens=tokens, rate=0).name)
        await visit.ask("hi")
        await visit.finished(60)
        held.append(await heap_bytes(visit))
    return held


async def steady_stream(visit: Visit) -> dict[str, float]:
    """Follow a stream of a minute; return what it cost the page."""
    await visit.choose(scripted(tokens=RATE * STREAM_S, rate=RATE).name)
    await visit.page.evaluate(WATCH)
    session = await visit.page.context.new_cdp_session(visit.page)
    await session.send(
        "Performance.enable", {"timeDomain": "threadTicks"}
    )  # its own time, not that of waiting for a core
    before = await spent(session)
    await visit.ask("hi")
    await visit.finished(STREAM_S + 30)
    after = await spent(session)
    seen = await visit.page.evaluate("() => ({ long: window.long, late: window.late })")
    late = sorted(seen["late"])
    return {
        **{name: after[name] - before[name] for name in COSTS},
        "tokens": (await visit.record())["last"] - 2,
        "long_tasks": len(seen["long"]),
        "longest_ms": max(seen["long"], default=0),
        "paint_median_ms": statistics.median(late),
        "paint_p99_ms": late[int(len(late) * 0.99)],
    }


async def spent(session: CDPSession) -> dict[str, float]:
    """Return the seconds that the page's main thread has worked."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return {one["name"]: one["value"] for one in metrics if one["name"] in COSTS}


async def measure(up: PageChain, context: BrowserContext) -> None:
    loaded = await first_load(context, up.url)
    print(f"first load, compressed: {loaded.usable / 1000:.1f} KB until it can be used (at most 60 KB),", end=" ")
    print(f"then {loaded.markdown / 1000:.1f} KB until it draws Markdown, in {loaded.requests} requests")
    visit = await Visit.to(up.url, context)
    stream = await steady_stream(visit)
    print(
        f"{STREAM_S} s at {RATE} tokens/s ({stream['tokens']} tokens): {stream['long_tasks']} long tasks (none),",
        end=" ",
    )
    print(f"longest {stream['longest_ms']:.0f} ms")
    busy = ", ".join(f"{name} {stream[name]:.1f} s" for name in COSTS)
    print(f"the main thread's own time in it: {busy}")
    print(f"paint after the event: median {stream['paint_median_ms']:.1f} ms, 99th percentile", end=" ")
    print(f"{stream['paint_p99_ms']:.1f} ms (at most 50 ms)")
    held = await long_answers(visit, LONG_ANSWERS, LONG_TOKENS)
    megabytes = " ".join(f"{one / 1e6:.1f}" for one in held)
    print(f"heap over {LONG_ANSWERS} answers of {LONG_TOKENS} tokens, in MB: {megabytes}")


async def main() -> None:
    said = Path(tempfile.mkdtemp())
    record(said)
    with running_page(simulator={"CAPTURES": str(said)}) as up:
        async with async_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            await measure(up, await browser.new_context())
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
