"""The AI SDK's chat at the gateway: how its answers end, and who may come back to one and stop it.

Of gateway/routes/ai_sdk.py and services/dialects. That the AI SDK itself understands it is shown by tests/clients.
"""

import json
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from services.wire.events import RULES, Code
from tests.behaviour.connections import calls_of, gateway_beside, told
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain
from tests.eventually import soon
from tests.reader import Answer, Client

PATH: Final = "/api/ui/chat"
LINKED: Final = {"type": "file", "mediaType": "image/png", "url": "http://127.0.0.1/x.png"}


def asking(model: str, name: str = "", **fields: Any) -> dict[str, Any]:
    said = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    return {"model": model, "id": name, "messages": [said], "trigger": "submit-message", **fields}


def stream_of(name: str) -> str:
    return f"{PATH}/{name}/stream"


def chunks(answer: Answer) -> list[Any]:
    """Return the chunks; what a cut left in pieces is none."""
    return [event.data if event.data == "[DONE]" else json.loads(event.data) for event in answer.events]


def text(answer: Answer) -> str:
    return "".join(chunk["delta"] for chunk in chunks(answer) if "delta" in chunk)


def long(**parameters: Any) -> Scripted:
    return scripted(tokens=5000, rate=50, **parameters)


async def test_an_answer_is_told_in_chunks_between_start_and_done(client: Client) -> None:
    model = scripted(tokens=5)
    answer = await client.ask(PATH, asking(model.name))
    told_of = chunks(answer)

    assert [chunk["type"] for chunk in told_of[:3]] == ["start", "start-step", "text-start"]
    assert [chunk if chunk == "[DONE]" else chunk["type"] for chunk in told_of[-4:]] == [
        "text-end",
        "finish-step",
        "finish",
        "[DONE]",
    ]
    assert told_of[-2]["messageMetadata"]["usage"]["outputTokens"] == 6  # Ollama counts the end, too
    assert text(answer) == model.text
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert not any(field in bytes(answer.wire) for field in (b"id: ", b"retry: ", b"event: "))


async def test_what_the_stream_waits_for_is_shown_with_comments_between(client: Client) -> None:
    answer = await client.ask(PATH, asking(scripted(tokens=3, load=1.5).name))

    assert {chunk["data"]["phase"] for chunk in chunks(answer)[:-1] if chunk["type"] == "data-status"} & {"loading"}
    assert b": hb\n" in bytes(answer.wire)


@pytest.mark.parametrize("fault", ["error", "truncate", "stall"])
async def test_an_answer_that_breaks_off_ends_with_an_error(fault: str, client: Client) -> None:
    """Bugs 1, 8: an end without `finish` looks finished on the page."""
    model = scripted(tokens=9, fault=fault, at=3)
    answer = await client.ask(PATH, asking(model.name))

    assert text(answer) == "".join(model.tokens[:3])
    assert chunks(answer)[-2]["type"] == "error"
    assert not [chunk for chunk in chunks(answer)[:-1] if chunk["type"] == "finish"]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"model": "nobody"}, Code.MODEL_NOT_FOUND, "model 'nobody' not found"),
        ({"messages": []}, Code.INVALID_REQUEST, "messages is required"),
        (
            {"messages": [{"role": "user", "parts": [LINKED]}]},
            Code.INVALID_REQUEST,
            "url of a file part must be a data:",
        ),
    ],
)
async def test_a_refusal_is_a_sentence_for_the_page(
    fields: dict[str, Any], code: Code, words: str, client: Client
) -> None:
    """And for its program there is the code, which a page of another origin may read."""
    answer = await client.ask(PATH, {**asking("sim"), **fields}, {"Origin": "http://localhost:3000"})

    assert "Sluice-Error-Code" in answer.headers["Access-Control-Expose-Headers"]
    assert (answer.status, answer.headers["Sluice-Error-Code"]) == (RULES[code].status, code)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body.decode().startswith(words)


@pytest.mark.parametrize(("mode", "goes_on"), [("cancel", False), ("continue", True)])
async def test_leaving_means_what_the_page_said(mode: str, goes_on: bool, chain: Chain, client: Client) -> None:
    model, name = long(), f"leaves-and-{mode}s-01"
    async with SocketClient.connected(chain.gateway.port) as page:
        await page.ask(PATH, asking(model.name, name, on_disconnect=mode), {"X-Request-Id": name})
        await page.until(text)  # who leaves before the headers, whatever he asked for, leaves nothing behind
        page.fin()
        assert await told(chain.gateway, name) == ["client_gone"]
    if not goes_on:
        assert await told(chain.proxy, name) == ["cancelled"]
        assert (await client.get(stream_of(name))).status == 204
        return
    async with client.open("GET", stream_of(name)) as reading:
        await reading.until(text)
    assert model.text.startswith(text(reading.answer))
    assert (await client.ask(f"{PATH}/{name}/stop")).status == 202


async def test_two_tabs_follow_one_answer_and_see_it_stopped(chain: Chain, client: Client) -> None:
    model, name = long(), "two-tabs-of-one-page"
    async with client.open("POST", PATH, asking(model.name, name, on_disconnect="continue")) as first:
        await first.some()
        async with client.open("GET", stream_of(name)) as second:
            await second.until(text)
            assert (await client.ask(f"{PATH}/{name}/stop")).status == 202
            answers = [await first.until_end(), await second.until_end()]

    assert [chunks(answer)[-2]["errorText"] for answer in answers] == ["The answer was stopped."] * 2
    assert chunks(answers[0])[0] == chunks(answers[1])[0]  # one message id
    assert text(answers[0]) == text(answers[1])
    assert (await client.ask(f"{PATH}/{name}/stop")).status == 204
    await soon(lambda: calls_of(chain, model.name)[0]["left_at"], "the model server saw it")


async def test_a_message_that_goes_on_keeps_its_id_for_who_comes_back(client: Client) -> None:
    model, name = long(), "goes-on-in-a-message"
    body = asking(model.name, name, on_disconnect="continue")
    body["messages"].append({"id": "m1", "role": "assistant", "parts": [{"type": "text", "text": "So"}]})
    async with client.open("POST", PATH, body) as first, client.open("GET", stream_of(name)) as second:
        await first.some()
        await second.some()
        await client.ask(f"{PATH}/{name}/stop")

    assert [chunks(one.answer)[0]["messageId"] for one in (first, second)] == ["m1", "m1"]


@pytest.mark.parametrize("name", ["short", "never-asked-by-anyone"])
async def test_a_chat_that_nobody_runs_is_nothing_to_come_back_to(name: str, client: Client) -> None:
    assert (await client.get(stream_of(name))).status == 204
    assert (await client.ask(f"{PATH}/{name}/stop")).status == 204


async def test_a_chat_s_name_opens_nothing_to_another_key(chain: Chain, tmp_path: Path) -> None:
    keys = KeysOnDisk(tmp_path)
    ada, bob = (bearer(keys.add(name, scopes='["chat"]')) for name in ("Ada", "Bob"))
    model, name = long(), "a-chat-of-ada-s-alone"
    with gateway_beside(chain, **keys.settings) as gateway:
        async with (
            Client(gateway.url) as client,
            client.open("POST", PATH, asking(model.name, name, on_disconnect="continue"), ada) as reading,
        ):
            await reading.some()
            of_bob = [await client.get(stream_of(name), bob), await client.ask(f"{PATH}/{name}/stop", None, bob)]
            stopped = await client.ask(f"{PATH}/{name}/stop", None, ada)

    assert [answer.status for answer in of_bob] == [204, 204]
    assert stopped.status == 202


@pytest.mark.parametrize("mode", ["cancel", "continue"])
async def test_a_drain_is_told_to_who_cannot_come_back_and_cuts_who_can(
    mode: str, chain: Chain, client: Client
) -> None:
    model, name = long(), f"drained-chat-{mode}"
    with gateway_beside(chain, DRAIN_S="0.3") as gateway:
        async with (
            Client(gateway.url) as page,
            page.open("POST", PATH, asking(model.name, name, on_disconnect=mode), {"X-Request-Id": name}) as reading,
        ):
            await reading.until(text)
            gateway.signal(signal.SIGTERM)
            answer = await reading.until_end()
        assert gateway.wait() == 0  # the proxy has been told who left
        assert await told(gateway, name) == ["shutting_down" if mode == "cancel" else "handed_over"]
    if mode == "cancel":
        assert chunks(answer)[-2]["errorText"].startswith("This server is shutting down")
        await soon(lambda: calls_of(chain, model.name)[0]["left_at"], "the model server saw it")
        return
    assert not answer.ended_cleanly
    async with client.open("GET", stream_of(name)) as again:  # through another gateway
        while len(text(again.answer)) <= len(text(answer)):
            await again.some()
    assert text(again.answer).startswith(text(answer))
    assert (await client.ask(f"{PATH}/{name}/stop")).status == 202
