"""OpenAI's API at the gateway, on the wire: what is asked, what is refused, which models there are.

Of gateway/routes/openai.py and gateway/routes/foreign.py. That unmodified clients read it is shown by tests/clients;
how answers end by behaviour/test_openai_ends.
"""

import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.openai_client import (
    CHAT,
    PATHS,
    PNG,
    RESPONSES,
    asking,
    is_whole,
    objects,
    refused_as_openai,
    said,
)
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.reader import Answer, Client, raw_exchange

ORIGIN: Final = "http://localhost:3000"
ALIASES: Final = "gpt-4o=story,gpt-*=tooler,o1=nobody"
TOOLS: Final = {
    CHAT: [{"type": "function", "function": {"name": name}} for name in ("clock", "weather")],
    RESPONSES: [{"type": "function", "name": name} for name in ("clock", "weather")],
}
CALL: Final = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{"}}
HISTORIES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "arguments that are no JSON": {
        CHAT: {"messages": [{"role": "assistant", "tool_calls": [CALL]}]},
        RESPONSES: {"input": [{"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{"}]},
    },
    "a result without a call": {
        CHAT: {"messages": [{"role": "tool", "tool_call_id": "c1", "content": "12"}]},
        RESPONSES: {"input": [{"type": "function_call_output", "call_id": "c1", "output": "12"}]},
    },
}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}
    gateway = {"CORS_ORIGINS": ORIGIN, "MODEL_ALIASES": ALIASES, "MAX_OUTPUT_TOKENS": "40", "BODY_TIMEOUT_S": "10"}
    with running_chain(simulator=simulator, gateway=gateway) as chain, common_gate(chain, growth_bytes=256 << 20):
        yield chain


# --- what is asked


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_comes_as_a_stream_and_as_one_object(path: str, client: Client) -> None:
    model = scripted(tokens=9)
    streamed = await client.ask(path, asking(path, model.name))
    whole = await client.ask(path, asking(path, model.name, stream=False))

    assert said(path, streamed) == model.text
    assert is_whole(path, streamed)
    assert streamed.ended_cleanly
    assert json.dumps(model.text) in json.dumps(json.loads(whole.body))
    for answer in (streamed, whole):
        assert answer.status == 200
        assert answer.headers["request-id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", PATHS)
async def test_no_line_has_an_id_or_a_time_to_come_back(path: str, client: Client) -> None:
    """A known bug of others: clients fail at a comment behind an id."""
    answer = await client.ask(path, asking(path, scripted(tokens=9, prefill=2).name))

    assert b": hb\n" in answer.wire or b"event: keepalive\n" in answer.wire
    assert not re.search(rb"^(id|retry):", bytes(answer.wire), re.MULTILINE)


@pytest.mark.parametrize("path", PATHS)
async def test_unknown_fields_are_ignored_and_the_length_is_capped_in_silence(
    path: str, chain: Chain, client: Client
) -> None:
    model = scripted(tokens=60)
    longest = {CHAT: "max_completion_tokens", RESPONSES: "max_output_tokens"}[path]
    answer = await client.ask(path, {**asking(path, model.name), longest: 100_000, "next_years": "field"})
    (call,) = calls_of(chain, model.name)

    assert answer.status == 200
    assert call["body"]["options"]["num_predict"] == 40
    finished = objects(answer)[-1]
    assert (finished["choices"][0]["finish_reason"] if path == CHAT else finished["response"]["status"]) == (
        "length" if path == CHAT else "incomplete"
    )


@pytest.mark.parametrize("path", PATHS)
async def test_an_alias_asks_its_model_and_the_answer_repeats_the_client_s_name(
    path: str, chain: Chain, client: Client
) -> None:
    chain.forget()
    answers = {name: await client.ask(path, asking(path, name)) for name in ("gpt-4o", "gpt-5-mini")}
    asked = {call["model"] for call in chain.witness()["calls"] if call["path"] == "/api/chat"}

    assert asked == {"story", "tooler"}
    for name, answer in answers.items():
        models = {one["model"] if path == CHAT else one["response"]["model"] for one in objects(answer)[:1]}
        assert models == {name}
    assert sample(chain.gateway, "llm_streams_finished_total", gen_ai_request_model="story:latest") > 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("model", "sent"), [("thinker", "low"), ("story", None)])
async def test_a_model_that_cannot_think_is_not_asked_to(
    path: str, model: str, sent: str | None, chain: Chain, client: Client
) -> None:
    chain.forget()
    effort: dict[str, Any] = {CHAT: {"reasoning_effort": "minimal"}, RESPONSES: {"reasoning": {"effort": "minimal"}}}
    answer = await client.ask(path, {**asking(path, model), **effort[path]})
    (call,) = [call for call in chain.witness()["calls"] if call["path"] == "/api/chat"]

    assert answer.status == 200
    assert call["body"].get("think") == sent


async def test_a_body_larger_than_a_native_one_may_be_reaches_the_model(client: Client) -> None:
    long = [{"role": "user", "content": "x" * (9 << 20)}]
    status, body = await posted(client, CHAT, {**asking(CHAT, scripted(tokens=2).name), "messages": long})

    assert status == 200
    assert body.endswith(b"data: [DONE]\n\n")


async def posted(client: Client, path: str, body: object) -> tuple[int, bytes]:
    """Send a long body, which aiohttp wants as a file."""
    data, headers = io.BytesIO(json.dumps(body).encode()), {"Content-Type": "application/json"}
    async with client.session.post(client.url + path, data=data, headers=headers) as response:
        return response.status, await response.read()


async def test_an_idempotency_key_that_is_not_ours_in_form_is_ignored(client: Client) -> None:
    answer = await client.ask(CHAT, asking(CHAT, scripted(tokens=2).name), {"Idempotency-Key": "one two"})

    assert is_whole(CHAT, answer)


@pytest.mark.parametrize(("path", "dialect"), [(CHAT, "openai_chat"), (RESPONSES, "openai_responses")])
async def test_an_answer_is_counted_under_its_language(path: str, dialect: str, chain: Chain, client: Client) -> None:
    family = "llm_dialect_streams_finished_total"
    counted = [sample(chain.gateway, family, dialect=dialect, reason=why) for why in ("stop", "invalid_request")]
    first = sample(chain.gateway, "llm_dialect_time_to_first_token_seconds_count", dialect=dialect)
    headers = {"X-Request-Id": f"counted-{dialect}"}
    await client.ask(path, asking(path, scripted(tokens=2).name), headers)
    await client.ask(path, {"model": "story"}, {"X-Request-Id": f"refused-{dialect}"})
    await told(chain.gateway, f"counted-{dialect}")
    await told(chain.gateway, f"refused-{dialect}")

    assert [sample(chain.gateway, family, dialect=dialect, reason=why) for why in ("stop", "invalid_request")] == [
        count + 1 for count in counted
    ]
    assert sample(chain.gateway, "llm_dialect_time_to_first_token_seconds_count", dialect=dialect) == first + 1


# --- what is refused


def picture(path: str, url: str) -> dict[str, Any]:
    if path == CHAT:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "input_image", "image_url": url}


def wrong(path: str) -> dict[str, dict[str, Any]]:
    """Return bodies that must not reach a model, by what is wrong with them."""

    def put(parts: list[dict[str, Any]]) -> dict[str, Any]:
        return {{CHAT: "messages", RESPONSES: "input"}[path]: [{"role": "user", "content": parts}]}

    return {
        "no model": {"model": None},
        "several choices": {"n": 2} if path == CHAT else {"previous_response_id": "resp_1"},
        "a forced tool among several": {"tools": TOOLS[path], "tool_choice": "required"},
        "the address of an image": put([picture(path, "https://example.org/a.png")]),
        "17 images": put([picture(path, f"data:image/png;base64,{PNG}")] * 17),
        **{name: history[path] for name, history in HISTORIES.items()},
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("what", wrong(CHAT))
async def test_a_wrong_body_is_refused_in_openai_s_shape_and_reaches_no_model(
    what: str, path: str, chain: Chain, client: Client
) -> None:
    model = scripted(tokens=2).name
    error = refused_as_openai(await client.ask(path, {**asking(path, model), **wrong(path)[what]}), 400)

    assert error["type"] == "invalid_request_error"
    assert error["code"] == ("unsupported_parameter" if error["param"] else "invalid_request")
    assert calls_of(chain, model) == []


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_json_or_too_long_is_refused_in_openai_s_shape(path: str, client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    async with client.session.post(client.url + path, data=b"{", headers=headers) as response:
        broken = Answer(response.status, response.headers, body=await response.read())
    async with client.session.post(client.url + path, data=io.BytesIO(b" " * (17 << 20)), headers=headers) as response:
        long = Answer(response.status, response.headers, body=await response.read())
    async with client.session.post(client.url + path, data=b"{}") as response:
        untyped = Answer(response.status, response.headers, body=await response.read())

    assert refused_as_openai(broken, 400)["code"] == "invalid_request"
    assert refused_as_openai(long, 413)["code"] == "payload_too_large"
    assert refused_as_openai(untyped, 415)["code"] == "unsupported_media_type"
    assert {answer.headers["x-should-retry"] for answer in (broken, long, untyped)} == {"false"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["nobody", "o1"])
async def test_an_unknown_model_is_refused_also_by_an_alias(model: str, path: str, client: Client) -> None:
    error = refused_as_openai(await client.ask(path, asking(path, model)), 404)

    assert error["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/responses/resp_1", 404),
        ("DELETE", "/v1/responses/resp_1", 404),
        ("GET", CHAT, 405),
        ("HEAD", CHAT, 405),
        ("HEAD", "/v1/models/story", 405),
    ],
)
async def test_a_wrong_path_or_method_is_told_in_openai_s_shape(
    method: str, path: str, status: int, client: Client
) -> None:
    async with client.open(method, path) as reading:
        answer = await reading.until_end()

    assert answer.status == status
    if method != "HEAD":
        assert refused_as_openai(answer, status)["type"] == "invalid_request_error"


async def test_a_strange_host_is_told_in_openai_s_shape(chain: Chain) -> None:
    request = b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    answer = await raw_exchange("127.0.0.1", chain.gateway.port, request)

    assert answer.startswith(b"HTTP/1.1 421")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "misdirected"


@pytest.mark.parametrize("path", ["/", "/v1/models"])
async def test_a_probe_is_answered_without_a_body(path: str, client: Client) -> None:
    async with client.open("HEAD", path) as reading:
        answer = await reading.until_end()

    assert (answer.status, answer.body) == (200, b"")


async def test_a_page_may_send_the_headers_of_these_clients_and_see_theirs(client: Client) -> None:
    asked = "authorization, x-stainless-lang, anthropic-beta, x-evil"
    async with client.open(
        "OPTIONS", CHAT, None, {"Origin": ORIGIN, "Access-Control-Request-Headers": asked}
    ) as reading:
        preflight = await reading.until_end()
    answer = await client.ask(CHAT, asking(CHAT, "story"), {"Origin": ORIGIN})
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()

    assert {"authorization", "x-api-key", "x-stainless-lang", "anthropic-beta"} <= set(allowed.split(", "))
    assert "x-evil" not in allowed
    assert {"Request-Id", "X-Should-Retry"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))


# --- models


async def test_the_models_that_can_chat_are_listed_with_their_aliases(client: Client) -> None:
    listed = json.loads((await client.get("/v1/models")).body)
    names = [one["id"] for one in listed["data"]]

    assert listed["object"] == "list"
    assert {"story:latest", "gpt-4o"} <= set(names)
    assert not {"embedder:latest", "o1", "gpt-*"} & set(names)
    assert {one["object"] for one in listed["data"]} == {"model"}
    assert all(isinstance(one["created"], int) and one["owned_by"] for one in listed["data"])


@pytest.mark.parametrize("name", ["story", "story:latest", "library%2Fstory", "gpt-4o", "library/story%3Alatest"])
async def test_a_model_is_found_by_any_spelling_of_its_name(name: str, client: Client) -> None:
    answer = await client.get(f"/v1/models/{name}")

    assert json.loads(answer.body)["id"] in {"story:latest", "gpt-4o"}


@pytest.mark.parametrize("name", ["nobody", "embedder", "o1", "gpt-5"])
async def test_what_cannot_be_asked_by_that_name_is_no_model(name: str, client: Client) -> None:
    assert refused_as_openai(await client.get(f"/v1/models/{name}"), 404)["code"] == "model_not_found"
