"""Anthropic's API at the gateway: what it refuses, how its answers are told and end, and what reaches the model.

Of gateway/routes/anthropic.py, gateway/languages.py and services/dialects. That its own clients understand it is shown
by tests/clients.
"""

import json
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import calls_of, gateway_beside, told
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer
from tests.behaviour.refusals import UNFIT
from tests.behaviour.script import scripted
from tests.chain import Chain
from tests.clients.calls import PNG
from tests.eventually import soon
from tests.reader import Answer, Client

PATH: Final = "/v1/messages"
COUNT: Final = "/v1/messages/count_tokens"
CLOCK: Final = {"name": "clock", "input_schema": {"type": "object", "properties": {"tz": {"type": "string"}}}}
PICTURE: Final = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
LINKED: Final = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/x.png"}}
RESULT: Final = {"type": "tool_result", "tool_use_id": "c1", "content": "12"}
NO_JSON: Final = {"type": "tool_use", "id": "c1", "name": "clock", "input": '{"tz":'}


def asking(model: str, *blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    content = list(blocks) or "hi"
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}], **fields}


def refused(answer: Answer, status: int, name: str, code: Code) -> str:
    """Assert that ``answer`` is a refusal in Anthropic's shape, and return its words."""
    body = json.loads(answer.body)
    words = str(body["error"]["message"])
    assert (answer.status, answer.headers["Sluice-Error-Code"]) == (status, code)
    assert body == {
        "type": "error",
        "error": {"type": name, "message": words},
        "request_id": answer.headers["request-id"],
    }
    assert answer.headers["request-id"] == answer.headers["X-Request-Id"]
    assert words
    assert not UNFIT.search(words)
    return words


def types_of(answer: Answer) -> list[str]:
    assert [event.type for event in answer.events] == [one["type"] for one in answer.data]
    return [one["type"] for one in answer.data]


BAD: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no model": ({"model": None}, "model is required"),
    "no length": ({"max_tokens": None}, "max_tokens is required"),
    "a forced tool among several": (
        {"tools": [CLOCK, {"name": "bell"}], "tool_choice": {"type": "any"}},
        "tool_choice cannot force",
    ),
    "an image's address": ({"messages": [{"role": "user", "content": [LINKED]}]}, "messages[0].content[0].image"),
    "17 images": ({"messages": [{"role": "user", "content": [PICTURE] * 17}]}, "messages must have at most 16 images"),
    "arguments that are no JSON": (
        {"messages": [{"role": "assistant", "content": [NO_JSON]}]},
        "messages[0].content[0].tool_use.input must be an object",
    ),
    "a result without a call": ({"messages": [{"role": "user", "content": [RESULT]}]}, "tool_use_id of a tool_result"),
}


@pytest.mark.parametrize("fault", BAD)
async def test_what_cannot_be_answered_is_refused_in_its_shape_and_reaches_no_model(
    fault: str, chain: Chain, client: Client
) -> None:
    model, (fields, words) = scripted().name, BAD[fault]
    answer = await client.ask(PATH, {**asking(model), **fields})

    assert refused(answer, 400, "invalid_request_error", Code.INVALID_REQUEST).startswith(words)
    assert answer.headers["x-should-retry"] == "false"
    assert calls_of(chain, model) == []


async def test_what_is_no_body_of_a_model_here_is_refused_in_its_shape(chain: Chain, client: Client) -> None:
    text = await client.ask(PATH, asking("sim"), {"Content-Type": "text/plain"})
    unknown = await client.ask(PATH, asking("nobody"))
    async with client.session.post(client.url + PATH, data=b"{", headers={"Content-Type": "application/json"}) as sent:
        no_json = Answer(sent.status, sent.headers, body=await sent.read())
    with gateway_beside(chain, DIALECT_BODY_BYTES="20000") as gateway:
        async with Client(gateway.url) as narrow:
            long = await narrow.ask(PATH, asking("sim", {"type": "text", "text": "x" * 20_000}))

    refused(text, 415, "invalid_request_error", Code.UNSUPPORTED_MEDIA_TYPE)
    refused(unknown, 404, "not_found_error", Code.MODEL_NOT_FOUND)
    refused(no_json, 400, "invalid_request_error", Code.INVALID_REQUEST)
    refused(long, 413, "request_too_large", Code.PAYLOAD_TOO_LARGE)


async def test_every_path_has_its_shape_where_its_version_is_said(client: Client) -> None:
    """The models' path is OpenAI's, too: the header alone tells."""
    version = {"anthropic-version": "2026-10-21"}
    nothing, put = await client.get("/v1/nothing", version), await client.get(COUNT)

    refused(nothing, 404, "not_found_error", Code.NOT_FOUND)
    refused(put, 405, "invalid_request_error", Code.METHOD_NOT_ALLOWED)
    assert "type" not in json.loads((await client.get("/v1/nothing")).body)


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
async def test_a_key_comes_by_either_header_and_in_either_version(
    header: str, version: str, chain: Chain, tmp_path: Path
) -> None:
    keys = KeysOnDisk(tmp_path)
    key = keys.add(scopes='["chat"]')
    brought = bearer(key) if header == "Authorization" else {header: key}
    with gateway_beside(chain, **keys.settings) as gateway:
        async with Client(gateway.url) as client:
            let_in = await client.ask(COUNT, asking("sim"), {**brought, "anthropic-version": version})
            unknown = await client.ask(PATH, asking("sim"), {"anthropic-version": version})

    assert let_in.status == 200
    refused(unknown, 401, "authentication_error", Code.UNAUTHORIZED)


async def test_what_is_asked_reaches_the_model_as_it_was_meant(chain: Chain, client: Client) -> None:
    model = scripted("tooler", tokens=3).name
    system = [{"type": "text", "text": "x-anthropic-billing-header: x"}, {"type": "text", "text": "Be brief"}]
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop_sequences": ["END"]}
    await client.ask(f"{PATH}?beta=true", asking(model, system=system, tools=[CLOCK], **sampling, new=1))
    (call,) = calls_of(chain, model)
    function = {"name": "clock", "parameters": CLOCK["input_schema"]}

    assert call["body"] == {
        "model": model,
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": function}],
        "think": False,
        "options": {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop": ["END"], "num_predict": 100},
        "stream": True,
    }


async def test_the_model_thinks_only_where_it_is_asked_to(chain: Chain, client: Client) -> None:
    """Bug 20: a model that can think does so unless it is told not to."""
    thinking, silent = scripted("thinker", tokens=3).name, scripted("thinker", tokens=3).name
    await client.ask(PATH, asking(thinking, thinking={"type": "enabled", "budget_tokens": 1024}))
    await client.ask(PATH, asking(silent))

    assert [calls_of(chain, model)[0]["body"]["think"] for model in (thinking, silent)] == [True, False]


async def test_an_agent_s_side_call_for_a_title_is_answered_in_its_form_and_without_thinking(
    chain: Chain, client: Client
) -> None:
    """As Claude Code 2.1 was seen to make it, beside its first question; its effort is for those that think."""
    model = scripted("thinker").name
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    system = [{"type": "text", "text": "x-anthropic-billing-header: cc"}, {"type": "text", "text": "Write a title"}]
    config = {"effort": "high", "format": {"type": "json_schema", "schema": schema}}
    answer = await client.ask(PATH, asking(model, system=system, tools=[], output_config=config, stream=True))
    (call,) = calls_of(chain, model)

    assert (call["body"]["think"], call["body"]["format"]) == (False, schema)
    assert "tools" not in call["body"]
    assert json.loads("".join(one["delta"]["text"] for one in answer.data if "text" in one.get("delta", {})))["title"]
    assert types_of(answer)[-1] == "message_stop"


async def test_counting_asks_no_model_and_says_what_an_answer_begins_with(chain: Chain, client: Client) -> None:
    """Bugs 6, 7."""
    model = scripted("tooler", tokens=3).name
    body = asking(model, {"type": "text", "text": "x" * 400}, system="Be brief", tools=[CLOCK])
    counted = json.loads((await client.ask(COUNT, body)).body)
    assert calls_of(chain, model) == []

    answer = await client.ask(PATH, {**body, "stream": True})

    assert counted["input_tokens"] > 100
    assert answer.data[0]["message"]["usage"]["input_tokens"] == counted["input_tokens"]


async def test_an_answer_is_told_in_anthropic_s_events_and_nothing_else(client: Client) -> None:
    """Bugs 6, 12, 15."""
    model = scripted(tokens=5)
    answer = await client.ask(PATH, asking(model.name, stream=True))
    before, after = ["message_start", "content_block_start"], ["content_block_stop", "message_delta", "message_stop"]

    assert types_of(answer) == [*before, *["content_block_delta"] * (len(answer.data) - 5), *after]
    assert "".join(one["delta"]["text"] for one in answer.data if "text" in one.get("delta", {})) == model.text
    assert answer.data[-2]["usage"]["output_tokens"] == 6  # Ollama counts the end of an answer, too
    assert answer.ended_cleanly
    assert not any(field in bytes(answer.wire) for field in (b"id: ", b"retry: ", b"[DONE]"))


async def test_a_silent_model_is_waited_for_with_pings(client: Client) -> None:
    """Bug 10: Claude Code gives up on a stream without an event."""
    model = scripted(tokens=3, prefill=2)
    answer = await client.ask(PATH, asking(model.name, stream=True))
    types = types_of(answer)

    assert types[0] == "message_start"
    assert types[1] == "ping"
    assert types[-1] == "message_stop"
    assert b": hb" not in bytes(answer.wire)


@pytest.mark.parametrize(
    ("fault", "name"),
    [("error", "api_error"), ("truncate", "api_error"), ("reset", "api_error"), ("stall", "timeout_error")],
)
async def test_an_answer_that_breaks_off_ends_with_an_error_and_nothing_behind_it(
    fault: str, name: str, client: Client
) -> None:
    """Bugs 1, 8, 13: no invented stop, no silent end, and no ping that hides a dead model."""
    model = scripted(tokens=9, fault=fault, at=3)
    answer = await client.ask(PATH, asking(model.name, stream=True))
    last = answer.data[-1]

    assert (last["type"], last["error"]["type"]) == ("error", name)
    assert last["request_id"] == answer.headers["request-id"]
    assert not {"message_delta", "message_stop"} & set(types_of(answer))
    assert "".join(one["delta"]["text"] for one in answer.data if "delta" in one) == "".join(model.tokens[:3])
    assert answer.ended_cleanly


async def test_a_call_that_was_cut_at_its_length_is_not_shown(client: Client) -> None:
    """Bug 23: half of its arguments may mean something else."""
    fields: dict[str, Any] = {"tools": [CLOCK], "tool_choice": {"type": "tool", "name": "clock"}, "max_tokens": 2}
    answer = await client.ask(PATH, asking(scripted("story").name, **fields, stream=True))

    assert types_of(answer) == ["message_start", "message_delta", "message_stop"]
    assert answer.data[1]["delta"]["stop_reason"] == "max_tokens"


async def test_a_drain_is_told_to_who_cannot_come_back(chain: Chain) -> None:
    model = scripted(tokens=3000, rate=50)
    with gateway_beside(chain, DRAIN_S="0.3") as gateway:
        async with (
            Client(gateway.url) as client,
            client.open(
                "POST", PATH, asking(model.name, stream=True), {"X-Request-Id": "drained-anthropic"}
            ) as reading,
        ):
            await reading.some()
            gateway.signal(signal.SIGTERM)
            answer = await reading.until_end()
        assert gateway.wait() == 0  # the proxy has been told who left
        assert await told(gateway, "drained-anthropic") == ["shutting_down"]
    await soon(lambda: calls_of(chain, model.name)[0]["left_at"], "the model server saw it")

    assert answer.data[-1]["error"]["type"] == "overloaded_error"
    assert answer.ended_cleanly


async def test_who_looks_whether_somebody_is_there_is_answered(client: Client) -> None:
    async with client.open("HEAD", PATH) as reading:
        assert reading.answer.status == 200


async def test_the_models_are_listed_in_its_shape_where_its_version_is_said(client: Client) -> None:
    version = {"anthropic-version": "2023-06-01"}
    listed = json.loads((await client.get("/v1/models", version)).body)
    one = json.loads((await client.get("/v1/models/story", version)).body)

    assert one in listed["data"]
    assert (one["type"], listed["has_more"]) == ("model", False)
    assert "embedder:latest" not in {model["id"] for model in listed["data"]}
