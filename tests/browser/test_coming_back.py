"""An answer goes on whatever becomes of the page that asked for it: a reload, a second tab, a gateway that died."""

import json

from playwright.async_api import BrowserContext, expect

from tests.behaviour.script import Scripted, scripted
from tests.behaviour.tcp_relay import relay_to
from tests.browser.page_chain import HOUSE, PageChain
from tests.browser.visit import Visit
from tests.chain import Server
from tests.eventually import soon
from tests.ports import free_port


async def begun(visit: Visit, said: Scripted) -> None:
    """Ask, and wait until there is something of the answer."""
    await visit.choose(said.name)
    await visit.ask("hi")
    await visit.has_text()


async def test_a_reload_in_the_middle_of_an_answer_goes_on_with_it(visit: Visit) -> None:
    said = scripted(tokens=150, rate=100)
    await begun(visit, said)

    await visit.page.reload()
    await visit.ready()
    await visit.finished()

    assert (await visit.record())["text"] == said.text
    assert (await visit.record())["status"] == "sent"


async def test_two_tabs_show_one_stream_and_when_its_reader_closes_the_other_goes_on(
    context: BrowserContext, up: PageChain
) -> None:
    said = scripted(tokens=250, rate=40)  # it goes on while the other tab comes up
    one = await Visit.to(up.url, context)
    await begun(one, said)
    other = await Visit.to(up.url, context)
    await other.page.get_by_role("button", name="hi", exact=False).first.click()
    await other.has_text()
    assert len(up.chain.calls(said.name)) == 1
    readers = await other.page.evaluate("() => window.sluice.chat.running.follows")

    await one.page.close()
    await other.finished()

    assert readers is False
    assert (await other.record())["text"] == said.text
    assert len(up.chain.calls(said.name)) == 1


async def test_an_answer_outlives_its_gateway(context: BrowserContext, up: PageChain) -> None:
    said = scripted(tokens=200, rate=80)
    gateway = up.chain.another_gateway(LISTEN=f"127.0.0.1:{free_port()}")  # one comes back there
    with up.another_page(gateway.url) as page:
        visit = await Visit.to(page.url, context)
        await begun(visit, said)

        gateway.kill()
        await expect(visit.answer.locator(".phase")).to_contain_text("reconnecting")
        up.chain.servers.append(
            Server("gateway", {**up.chain.gateway_environ, "SLUICE_GATEWAY_LISTEN": gateway.address})
        )
        await visit.finished()

    assert (await visit.record())["text"] == said.text
    assert (await visit.record())["status"] == "sent"


async def test_an_answer_that_nobody_holds_any_more_is_interrupted_and_can_be_asked_again(visit: Visit) -> None:
    await begun(visit, scripted(tokens=10))
    await visit.finished()
    await visit.page.evaluate(
        """async () => {
          const { chat } = window.sluice;
          const answer = chat.thread.at(-1);
          const gone = { status: "streaming", stream: "gone." + "A".repeat(26), finish: undefined, done: undefined };
          await chat.store.keepMessages({ ...answer, ...gone });
        }"""
    )

    await visit.page.reload()
    await visit.ready()
    await expect(visit.answer).to_contain_text("Interrupted: the rest of this answer is not held any more.")
    kept = (await visit.record())["text"]
    await visit.answer.get_by_role("button", name="Retry").click()
    await expect(visit.answer.locator(".versions")).to_have_text("2/2")
    await visit.finished()

    assert kept != ""
    assert (await visit.record())["status"] == "sent"


async def test_an_answer_whose_last_word_was_missed_is_made_whole_by_a_snapshot(visit: Visit) -> None:
    """204: it is over, and nothing follows the number that the page has."""
    said = scripted(tokens=30)
    await begun(visit, said)
    await visit.finished()
    await visit.page.evaluate(
        """async () => {
          const { chat } = window.sluice;
          const answer = { ...chat.thread.at(-1), text: "half", status: "streaming", finish: undefined };
          await chat.store.keepMessages(answer);
        }"""
    )

    await visit.page.reload()
    await visit.ready()
    await visit.finished()

    assert (await visit.record())["text"] == said.text
    assert (await visit.record())["status"] == "sent"


async def test_four_answers_run_at_once_and_the_fifth_says_that_it_waits(visit: Visit) -> None:
    """A browser opens six connections to an origin: two are left for stopping, and for everything else."""
    running = [scripted(tokens=2000, rate=20) for _ in range(4)]
    for said in running:
        await visit.page.get_by_role("button", name="New chat").click()
        await begun(visit, said)
    await visit.page.get_by_role("button", name="New chat").click()
    await visit.choose(scripted(tokens=5).name)

    await visit.ask("the fifth")
    await expect(visit.answer.locator(".phase")).to_have_text("waiting for a slot: four answers run already")
    await visit.page.evaluate("() => [...window.sluice.chat.runs.values()][0].stop()")
    await visit.finished()

    assert (await visit.record())["status"] == "sent"
    await visit.page.evaluate("() => window.sluice.chat.runs.forEach((run) => run.stop())")


async def test_over_plain_http_from_elsewhere_all_of_it_works(context: BrowserContext, up: PageChain) -> None:
    """No secure context: no Web Locks, no clipboard, no crypto.randomUUID. The settings are those of docs/page.md."""
    said = scripted(tokens=250, rate=100)
    gateway = up.chain.another_gateway(HOSTS=HOUSE)
    with up.another_page(f"http://{HOUSE}:{gateway.port}") as page:
        url = f"http://{HOUSE}:{page.port}"
        one = await Visit.to(url, context)
        absent = "() => [isSecureContext, 'locks' in navigator, 'clipboard' in navigator]"
        assert await one.page.evaluate(absent) == [False] * 3
        await begun(one, said)
        other = await Visit.to(url, context)
        await other.page.get_by_role("button", name="hi", exact=False).first.click()
        await other.has_text()

        await one.page.close()
        await other.finished()
        await other.answer.get_by_role("button", name="Copy", exact=True).click()

        await expect(other.answer.get_by_role("button", name="Copied")).to_be_visible()
        assert (await other.record())["text"] == said.text
        assert len(up.chain.calls(said.name)) == 1


def has_begun(up: PageChain) -> bool:
    """Whether the one stream that runs has content: then its `start` has been written."""
    streams = json.loads(up.chain.gateway.get("/api/chat/streams")[1])["streams"]
    return any(stream["chunks"] > 5 for stream in streams)


async def test_a_question_whose_answer_was_lost_on_the_way_is_sent_again_and_asks_the_model_once(
    context: BrowserContext, up: PageChain
) -> None:
    """The second POST has the first one's Idempotency-Key, and so joins what the first one began."""
    said = scripted(tokens=200, rate=100)
    async with relay_to(up.chain.gateway.port) as relay:
        with up.another_page(relay.url) as page:
            visit = await Visit.to(page.url, context)
            await begun(visit, scripted(tokens=1))  # so that the browser need not ask again whether it may ask
            await visit.finished()
            await visit.choose(said.name)
            relay.fall_silent(new_ones_too=True)
            await visit.ask("hi")
            await soon(lambda: up.chain.calls(said.name)[-1:] and has_begun(up), "the answer has left the gateway")

            relay.cut()
            await visit.finished()

    assert (await visit.record())["text"] == said.text
    assert len(up.chain.calls(said.name)) == 1
