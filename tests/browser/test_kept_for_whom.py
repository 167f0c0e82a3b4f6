"""Chats that the gateway keeps are whose the key is: another key shows another list, in every tab."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Route, expect

from tests.behaviour.keys_on_disk import KeysOnDisk, bearer
from tests.behaviour.script import scripted
from tests.browser.kept import conversations
from tests.browser.page_chain import PageChain
from tests.browser.visit import Visit
from tests.chain import Server

QUICK: Final = scripted(tokens=5).name
SCOPES: Final = '["chat", "models", "conversations"]'


@dataclass
class House:
    """A gateway that keeps chats of two people, one of whom has two keys, and its page."""

    gateway: Server
    page: Server
    ada: str
    ada_too: str
    bob: str

    def makes(self, key: str, title: str) -> str:
        """Make a chat, as another device of whoever has this key would; return its id."""
        made: str = self._ask("POST", "", key, {"title": title})["id"]
        return made

    def empty(self) -> None:
        """Delete all chats."""
        for key in (self.ada, self.bob):
            for one in self._ask("GET", "", key)["conversations"]:
                self._ask("DELETE", f"/{one['id']}", key)

    def _ask(self, method: str, path: str, key: str, body: object = None) -> Any:
        return conversations(self.gateway, method, path, body, bearer(key))


@pytest.fixture(scope="module")
def running(up: PageChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("for_whom")
    keys = KeysOnDisk(folder)
    ada, ada_too, bob = [keys.add(name, scopes=SCOPES) for name in ("Ada", "Ada", "Bob")]
    gateway = up.chain.another_gateway(DATABASE=f"sqlite:///{folder}/conversations.db", **keys.settings)
    with up.another_page(gateway.url, STORE="yes") as page:
        yield House(gateway, page, ada, ada_too, bob)
    gateway.stop()


@pytest.fixture
def house(running: House) -> House:
    """The same, with nothing kept."""
    running.empty()
    return running


@pytest_asyncio.fixture(loop_scope="session")
async def adas(context: BrowserContext, house: House) -> tuple[Visit, Visit]:
    """Two tabs of Ada's, which show what she asked in one of them."""
    first = await Visit.to(house.page.url, context)
    await give(first, house.ada)
    await first.choose(QUICK)
    await first.ask("Ada's plan")
    await first.finished()
    second = await Visit.to(house.page.url, context)
    await second.page.locator(".entry .open").click()
    await expect(second.page.locator(".question .plain")).to_have_text(["Ada's plan"])
    return first, second


async def give(visit: Visit, key: str) -> None:
    """Give the page this key, as its settings do."""
    await visit.page.evaluate("key => window.sluice.chat.gateway.apiKey.become(key)", key)


async def shows(visit: Visit, titles: list[str], questions: list[str]) -> None:
    await expect(visit.page.locator(".entry-title")).to_have_text(titles)
    await expect(visit.page.locator(".question .plain")).to_have_text(questions)


async def test_another_persons_key_shows_that_persons_chats_in_every_tab_and_hears_of_no_others(
    adas: tuple[Visit, Visit], house: House
) -> None:
    first, second = adas
    house.makes(house.bob, "of Bob's")
    await second.page.evaluate(
        """() => {
          window.told = [];
          new BroadcastChannel("sluice-events").onmessage = ({ data }) => window.told.push(data.conversation_id);
        }"""
    )

    await give(first, house.bob)

    for visit in adas:
        await shows(visit, ["of Bob's"], [])
    of_adas = house.makes(house.ada, "Ada's, elsewhere")
    house.makes(house.bob, "Bob's, elsewhere")
    for visit in adas:
        await shows(visit, ["Bob's, elsewhere", "of Bob's"], [])
    assert of_adas not in await second.page.evaluate("() => window.told")
    await first.choose(QUICK)
    await first.ask("hello?")
    await first.finished()
    assert (await first.record())["status"] == "sent"


async def test_a_key_that_is_forgotten_takes_its_chats_off_the_screen_in_every_tab(adas: tuple[Visit, Visit]) -> None:
    first, second = adas
    await first.page.evaluate("() => { window.sluice.chat.open.parameters = { system: 'Ada is a spy.' } }")
    await second.page.get_by_label("Search chats").fill("plan")
    await expect(second.page.locator(".entry-title")).to_have_text(["Ada's plan"])

    await give(first, "")

    for visit in adas:
        await shows(visit, [], [])
        await expect(visit.page.locator("#title")).to_have_text("New chat")
    assert await first.page.evaluate("() => window.sluice.chat.open.parameters") == {}


async def test_an_answer_that_nobody_took_yet_is_not_asked_for_in_the_name_of_who_comes_next(
    adas: tuple[Visit, Visit], house: House
) -> None:
    """Its conversation is made under Ada's key, and told about when it is Bob's that the page has."""
    first, _ = adas
    posted, given = asyncio.Event(), asyncio.Event()

    async def held(route: Route) -> None:
        if route.request.method == "POST":
            posted.set()
            await asyncio.wait_for(given.wait(), 10)
        await route.continue_()

    await first.page.route("**/api/conversations", held)
    await first.page.get_by_role("button", name="New chat").click()
    await first.ask("Ada's second plan")
    await asyncio.wait_for(posted.wait(), 10)
    await give(first, house.bob)
    given.set()

    await shows(first, [], [])
    await first.page.wait_for_function("() => window.sluice.chat.runs.size === 0")
    assert "plan" not in await first.page.evaluate("() => JSON.stringify({ ...sessionStorage })")
    house.makes(house.bob, "of Bob's")
    await shows(first, ["of Bob's"], [])


async def test_another_key_of_the_same_person_leaves_the_chat_open_and_a_refused_question_its_retry(
    adas: tuple[Visit, Visit], house: House
) -> None:
    first, _ = adas
    await give(first, house.ada_too)
    await first.choose(QUICK)
    await first.ask("and another")
    await first.finished()
    await shows(first, ["Ada's plan"], ["Ada's plan", "and another"])

    await give(first, "")
    await shows(first, [], [])
    await first.choose(QUICK)
    await first.ask("asked by nobody")
    retry = first.answer.get_by_role("button", name="Retry")
    await expect(retry).to_be_visible()
    await give(first, house.ada)
    await expect(first.page.locator(".entry-title")).to_have_text(["Ada's plan"])
    await retry.click()
    await first.finished()
    assert (await first.record())["status"] == "sent"
    await shows(first, ["asked by nobody", "Ada's plan"], ["asked by nobody"])
