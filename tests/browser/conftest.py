"""One Chromium for all tests of the page, and the chain behind it; skipped by name where there is no browser."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.browser.page_chain import HOUSE, PageChain, running_page
from tests.browser.said import record
from tests.browser.visit import Visit
from tests.chain import ROOT
from tests.machine import hidden, lacking, program
from tests.npm_packages import installed

HERE: Final = Path(__file__).parent


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium; without it the page's tests are skipped, but in CI, which has one."""
    found = program("chromium")
    if found is None and "CI" in os.environ and "chromium" not in hidden():
        pytest.fail("CI needs Chromium for the page's tests: .ci/run installs it")
    if found is None:
        pytest.skip(lacking("chromium"))
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", f"--host-resolver-rules=MAP {HOUSE} 127.0.0.1"]
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def up(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageChain]:
    """The chain that most tests of the page share; its model server says what :mod:`tests.browser.said` has."""
    assert chromium
    folder = tmp_path_factory.mktemp("said")
    record(folder)
    with running_page(simulator={"CAPTURES": str(folder)}) as up:
        yield up


@pytest.fixture(scope="session")
def libraries() -> None:
    """What the page takes of others is installed; skipped where npm cannot be had."""
    done = subprocess.run(
        ["sh", "deploy/libraries.sh"], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    if done.returncode:
        pytest.skip(f"the page's libraries cannot be installed: {done.stderr.strip().rpartition(chr(10))[2]}")


@pytest.fixture(scope="session")
def axe() -> Path:
    return installed(ROOT / "tests" / "browser") / "node_modules" / "axe-core" / "axe.min.js"


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser profile of one test's own: its storage, its tabs."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    yield context
    await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def regular(browser: Browser, up: PageChain) -> AsyncIterator[Visit]:
    """A person whose page stays open from test to test: opening it costs most of a second."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    yield await Visit.to(up.url, context)
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(regular: Visit, up: PageChain) -> Visit:
    """A person at the page, with no chats and everything closed; who needs a browser of their own takes ``context``."""
    await regular.begin_anew(up.url)
    return regular


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run every test of this folder in the browser's loop."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
