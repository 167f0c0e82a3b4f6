"""Whom one can ask, with what, and what happens where there is nobody."""

import base64
from collections.abc import Iterator

import pytest
from playwright.async_api import BrowserContext, FilePayload, expect

from tests.browser.page_chain import PageChain
from tests.browser.visit import Visit
from tests.chain import Server
from tests.deploy.model_server import ollama


async def test_the_list_says_what_each_model_is_and_what_cannot_chat_cannot_be_chosen(visit: Visit) -> None:
    await visit.page.keyboard.press("Control+m")
    options = visit.page.get_by_role("option")

    await expect(visit.page.locator("#model")).to_contain_text("sim:latest")
    await expect(visit.page.locator("#model")).to_contain_text("simulated")
    await expect(options.filter(has_text="viewer")).to_contain_text("4 MB")
    await expect(options.filter(has_text="viewer")).to_contain_text("sees pictures")
    await expect(options.filter(has_text="thinker")).to_contain_text("thinks")
    await expect(options.filter(has_text="embedder")).to_contain_text("cannot chat")
    await expect(options.filter(has_text="embedder")).to_have_attribute("aria-disabled", "true")


async def test_a_model_is_chosen_by_keys_and_answers_in_that_conversation(visit: Visit) -> None:
    keys = visit.page.keyboard
    await keys.press("Control+m")
    await keys.type("story")
    await keys.press("Enter")
    await visit.page.get_by_label("Message", exact=True).focus()
    await visit.ask("tell me")
    await visit.finished()

    await expect(visit.text).to_contain_text("The keeper climbed ninety steps")
    await expect(visit.answer.locator(".facts")).to_contain_text("story:latest")


async def test_the_page_says_plainly_that_the_words_are_simulated(visit: Visit) -> None:
    await expect(visit.page.locator("#empty")).to_contain_text("the words are the simulator's, not a model's")
    await expect(visit.page.locator("#hint")).to_have_text("These words are the simulator's, not a model's.")


@pytest.fixture
def nobody(up: PageChain) -> Iterator[Server]:
    """A page in front of a model server without a model."""
    with ollama() as url:
        proxy = up.chain.another_proxy(OLLAMA_URL=url)
        gateway = up.chain.another_gateway(PROXY_URL=proxy.url)
        with up.another_page(gateway.url) as page:
            yield page
        for server in (gateway, proxy):
            server.stop()


async def test_without_a_model_the_page_says_so_and_how_to_get_one(context: BrowserContext, nobody: Server) -> None:
    visit = await Visit.to(nobody.url, context)

    await expect(visit.page.locator("#empty")).to_contain_text("No model is installed")
    await expect(visit.page.locator("#empty pre")).to_have_text("ollama pull llama3.2")
    await visit.ask("hi")
    await expect(visit.answer.get_by_role("alert")).to_contain_text("model_not_found")


async def test_parameters_are_a_conversation_s_own_and_reach_the_model(visit: Visit, up: PageChain) -> None:
    page = visit.page
    await visit.choose("sim:tokens=3,seed=777")
    await page.get_by_role("button", name="Parameters").click()
    await page.get_by_label("System prompt").fill("Be brief.")
    await page.get_by_label("Temperature").fill("0.25")
    await page.get_by_label("Seed").fill("42")
    await page.get_by_label("Most tokens in an answer").fill("0")
    await expect(page.get_by_text("A number from 1 to 1,000,000.")).to_be_visible()
    await visit.ask("hi")
    await visit.finished()

    (call,) = up.chain.calls("sim:tokens=3,seed=777")
    assert call["body"]["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert call["body"]["options"]["temperature"] == 0.25
    assert call["body"]["options"]["seed"] == 42
    await page.get_by_role("button", name="Reset all").click()
    await expect(page.get_by_label("Temperature")).to_have_value("")


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def see(visit: Visit) -> None:
    """Choose the model that sees pictures."""
    await expect(visit.page.locator("#model")).to_contain_text("sim")
    await visit.page.keyboard.press("Control+m")
    await visit.page.keyboard.type("viewer")
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.locator("#model")).to_contain_text("viewer:latest")


async def test_pictures_are_sent_where_the_model_sees_and_only_the_newest_ones(visit: Visit, up: PageChain) -> None:
    page, attach = visit.page, visit.page.get_by_role("button", name="Add pictures")
    await expect(attach).to_be_hidden()
    await see(visit)
    await expect(attach).to_be_visible()

    await page.locator("#picture-files").set_input_files(
        [FilePayload(name=f"{n}.png", mimeType="image/png", buffer=PNG) for n in (1, 2)]
    )
    await page.get_by_role("button", name="Remove 1.png").click()
    await visit.ask("what is this?")
    await visit.finished()
    await expect(visit.text).to_have_text("Pictures in the last message: 1.")
    await visit.ask("and now?")
    await visit.finished()

    await expect(visit.text).to_have_text("Pictures in the last message: 0.")
    await expect(page.locator(".question img")).to_have_attribute("alt", "2.png")
    last = up.chain.calls("viewer:latest")[-1]
    assert "It is not sent again" in last["body"]["messages"][0]["content"]


async def test_a_large_picture_is_made_small_enough_for_the_gateway(context: BrowserContext, up: PageChain) -> None:
    """Noise does not compress: 4000 by 3000 of it are 30 MB."""
    noise = """async (most) => {
      const app = document.querySelector("script[type=module]").src;
      const { madeSmall } = await import(app.replace("app.js", "pictures.js"));
      const canvas = Object.assign(document.createElement("canvas"), { width: 2400, height: 1800 });
      const context = canvas.getContext("2d");
      const image = context.createImageData(2400, 1800);
      for (let i = 0; i < image.data.length; i += 4) image.data.set([i * 7, i * 13, (i * i) % 255, 255], i);
      context.putImageData(image, 0, 0);
      const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
      const small = await madeSmall(new File([blob], "noise.png", { type: "image/png" }), most);
      return [blob.size, (small.data.length * 3) / 4, small.type];
    }"""
    visit = await Visit.to(up.url, context)

    before, after, kind = await visit.page.evaluate(noise, 200_000)

    assert before > 200_000
    assert 0 < after <= 200_000
    assert kind == "image/jpeg"


async def test_what_is_no_picture_is_refused_by_name(visit: Visit) -> None:
    await see(visit)

    await visit.page.locator("#picture-files").set_input_files(
        {"name": "essay.png", "mimeType": "image/png", "buffer": b"no picture"}
    )

    await expect(visit.page.locator("#hint")).to_contain_text("essay.png is no picture")
    await expect(visit.page.locator("#pictures-waiting")).to_be_hidden()


async def test_a_model_server_that_is_away_is_not_called_a_gateway_that_is(
    context: BrowserContext, up: PageChain
) -> None:
    proxy = up.chain.another_proxy(OLLAMA_URL="http://127.0.0.1:9")
    gateway = up.chain.another_gateway(PROXY_URL=proxy.url)
    with up.another_page(gateway.url) as page:
        visit = await Visit.to(page.url, context)

        await expect(visit.page.locator("#connection")).to_have_text("No model server")
        await expect(visit.page.locator("#banners")).to_contain_text("No model server answers the gateway.")
    for server in (gateway, proxy):
        server.stop()


async def test_a_gateway_that_is_away_is_named(context: BrowserContext, up: PageChain) -> None:
    with up.another_page("http://127.0.0.1:9") as page:
        visit = await Visit.to(page.url, context)

        await expect(visit.page.get_by_role("alert")).to_have_text(
            "The gateway at http://127.0.0.1:9 cannot be reached."
        )
        await expect(visit.page.locator("#connection")).to_have_text("No gateway")
