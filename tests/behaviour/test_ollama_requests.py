"""What clients made for Ollama ask of the proxy beside answers: loads, embeddings, fields that it drops.

Of proxy/routes/ollama.py and proxy/routes/embedding.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from services.dialects.ollama_request import ALLOWABLE
from services.wire.events import Code
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import refused, refused_as_ollama
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

USER: Final = [{"role": "user", "content": "hi"}]
SAID: Final[dict[str, dict[str, Any]]] = {"/api/generate": {"prompt": "hi"}, "/api/chat": {"messages": USER}}
RUNNER: Final = {"num_ctx": 2048, "num_thread": 2, "num_gpu": 1, "num_batch": 64}
SSE: Final = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator, proxy={"PERMITS": "1"}, log_level="debug") as chain, common_gate(chain):
        yield chain


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[Client]:
    chain.forget()
    async with Client(chain.proxy.url) as client:
        yield client


def asked_of_the_model(chain: Chain) -> list[dict[str, Any]]:
    """Return the calls for an answer that reached the model server."""
    return [call for call in chain.witness()["calls"] if call["path"] in SAID]


# --- what is dropped


DROPPED: Final[dict[str, Any]] = {
    "keep_alive": 0,
    "template": "{{ .Prompt }}",
    "options": {"num_ctx": 4096, "secret": 1},
    "secret": 1,
}
SHAPES: Final[dict[str, tuple[str, dict[str, Any], dict[str, str]]]] = {
    "frames": ("/api/generate/stream", {"prompt": "hi"}, {}),
    "frames on Ollama's route": ("/api/chat", {"messages": USER}, SSE),
    "lines": ("/api/generate", {"prompt": "hi"}, {}),
    "one object": ("/api/chat", {"messages": USER, "stream": False}, {}),
    "a load": ("/api/chat", {"messages": []}, {}),
    "vectors": ("/api/embed", {"input": "hi"}, {}),
    "a refusal of the model server's": ("/api/chat", {"messages": USER, "model": "nobody"}, {}),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_was_dropped_is_said_in_every_shape_of_an_answer(shape: str, chain: Chain, client: Client) -> None:
    path, said, headers = SHAPES[shape]
    model = "embedder" if path == "/api/embed" else "sim"
    expected = ["keep_alive", "options.num_ctx"] + ([] if path == "/api/embed" else ["template"])

    answer = await client.ask(path, {"model": model, **DROPPED, **said}, headers)

    def told() -> list[dict[str, Any]]:
        own = answer.headers["X-Request-Id"]
        return [line for line in chain.proxy.events("request.fields_dropped") if line["request_id"] == own]

    (line,) = await soon(told, "the log says it")
    assert answer.headers["Sluice-Dropped"] == ", ".join(expected)
    assert (line["level"], line["fields"]) == ("debug", expected)
    assert [call["body"].keys() & DROPPED.keys() - {"options"} for call in asked_of_the_model(chain)] in ([], [set()])


@pytest.mark.parametrize("path", SAID)
async def test_where_nothing_is_dropped_nothing_is_said(path: str, client: Client) -> None:
    answer = await client.ask(path, {"model": "sim", "keep_alive": None, "format": "", "context": [], **SAID[path]})

    assert answer.status == 200
    assert "Sluice-Dropped" not in answer.headers


async def test_an_operator_lets_fields_through_at_the_proxy_and_the_gateway_refuses_them(chain: Chain) -> None:
    proxy = await asyncio.to_thread(chain.another_proxy, ALLOW_FIELDS=", ".join(ALLOWABLE))
    body = {"model": "sim:seed=31", "prompt": "hi", "keep_alive": "7m", "options": {**RUNNER, "main_gpu": 0}}
    async with Client(proxy.url) as client:
        answer = await client.ask("/api/generate", body)
        wrong = await client.ask("/api/generate", {**body, "keep_alive": True})
    proxy.stop()
    async with Client(chain.gateway.url) as client:
        for field in ({"keep_alive": "7m"}, {"options": {"num_ctx": 2048}}):
            refusal = await client.ask("/api/generate/stream", {"model": "sim", "prompt": "hi", **field})
            assert "unknown field: " in refused(refusal, Code.INVALID_REQUEST)["message"]
    (call,) = chain.calls("sim:seed=31")

    assert (answer.status, answer.headers["Sluice-Dropped"]) == (200, "options.main_gpu")
    assert call["body"] == {
        "model": "sim:seed=31", "prompt": "hi", "keep_alive": "7m", "options": RUNNER, "stream": True
    }  # fmt: skip
    assert "keep_alive" in refused_as_ollama(wrong, Code.INVALID_REQUEST)


# --- loads that load nothing


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        *(({}, "load"), ({"stream": True}, "load"), ({"stream": False, "keep_alive": "5m"}, "load")),
        *(({"keep_alive": 0}, "unload"), ({"stream": False, "keep_alive": "0s"}, "unload")),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", SAID)
async def test_an_empty_prompt_is_answered_as_ollama_answers_a_load_and_loads_nothing(
    path: str, fields: dict[str, Any], reason: str, chain: Chain, client: Client
) -> None:
    """As recorded in generate_load_empty_prompt, chat_load_empty_messages, generate_unload and chat_unload."""
    model = "story:seed=37"
    answer = await client.ask(path, {"model": model, **fields})
    loaded = json.loads((await client.get("/api/ps")).body)["models"]
    said = {"message": {"role": "assistant", "content": ""}} if path == "/api/chat" else {"response": ""}
    body = json.loads(answer.body)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert body.pop("created_at")
    assert body == {"model": model, **said, "done": True, "done_reason": reason}
    assert asked_of_the_model(chain) == []
    assert model not in {one["name"] for one in loaded}


@pytest.mark.parametrize("path", SAID)
async def test_a_load_of_a_model_that_there_is_not_is_its_404(path: str, client: Client) -> None:
    answer = await client.ask(path, {"model": "nobody"})

    assert "nobody" in refused_as_ollama(answer, Code.MODEL_NOT_FOUND)


@pytest.mark.parametrize("path", SAID)
async def test_frames_have_no_answer_to_nothing(path: str, chain: Chain, client: Client) -> None:
    on_its_own_route = await client.ask(path, {"model": "sim"}, SSE)
    on_the_stream_route = await client.ask(f"{path}/stream", {"model": "sim"})

    assert "required" in refused_as_ollama(on_its_own_route, Code.INVALID_REQUEST)
    assert "required" in refused(on_the_stream_route, Code.INVALID_REQUEST)["message"]
    assert asked_of_the_model(chain) == []


async def test_the_command_lines_requests_for_list_show_ps_and_run_are_answered(chain: Chain, client: Client) -> None:
    """Each command probes by HEAD first; `run` shows the model, loads it by an empty generate, then chats."""
    run: dict[str, Any] = {"model": "story", "prompt": "", "options": {}, "keep_alive": None}
    chat: dict[str, Any] = {
        "model": "story",
        "messages": USER,
        "options": {},
        "format": "",
        "think": None,
        "keep_alive": None,
    }
    script: list[tuple[str, str, object]] = [
        *(("HEAD", "/", None), ("GET", "/api/tags", None)),
        *(("HEAD", "/", None), ("POST", "/api/show", {"model": "story", "name": "story", "verbose": False})),
        *(("HEAD", "/", None), ("GET", "/api/ps", None)),
        *(("HEAD", "/", None), ("POST", "/api/show", {"model": "story", "name": "story"})),
        *(("POST", "/api/generate", run), ("POST", "/api/chat", chat)),
    ]
    answers = []
    for method, path, body in script:
        async with client.open(method, path, body) as reading:
            answers.append(await reading.until_end())
    lines = [json.loads(line) for line in answers[-1].body.split(b"\n") if line]

    assert [answer.status for answer in answers] == [200] * len(script)
    assert json.loads(answers[-2].body)["done_reason"] == "load"
    assert "".join(line["message"]["content"] for line in lines)
    assert (lines[-1]["done"], lines[-1]["done_reason"]) == (True, "stop")
    assert len(asked_of_the_model(chain)) == 1


# --- embeddings


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/embed", {"model": "embedder", "input": ["a", "b"], "truncate": True, "dimensions": 16}),
        ("/api/embed", {"model": "embedder", "input": "a"}),
        ("/api/embed", {"model": "embedder", "input": []}),
        ("/api/embeddings", {"model": "embedder", "prompt": "a"}),
    ],
    ids=str,
)
async def test_vectors_are_those_of_the_model_server(
    path: str, body: dict[str, Any], chain: Chain, client: Client
) -> None:
    async with Client(chain.simulator.url) as simulator:
        direct = json.loads((await simulator.ask(path, body)).body)
    chain.forget()
    answer = await client.ask(path, {**body, "Input": "x", "secret": 1})
    (call,) = chain.calls("embedder")
    vectors = json.loads(answer.body)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert vectors.keys() == direct.keys()
    assert {name: vectors[name] for name in vectors if "duration" not in name} == {
        name: direct[name] for name in direct if "duration" not in name
    }
    assert call["body"] == body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"input": "x"}, Code.INVALID_REQUEST),
        ({"model": "embedder", "input": 5}, Code.INVALID_REQUEST),
        ({"model": "nobody", "input": "x"}, Code.MODEL_NOT_FOUND),
        ({"model": "story", "input": "x"}, Code.UPSTREAM_ERROR),  # recording embed_story
    ],
    ids=str,
)
async def test_what_cannot_be_embedded_is_refused_in_ollamas_shape(
    body: dict[str, Any], code: Code, client: Client
) -> None:
    refused_as_ollama(await client.ask("/api/embed", body), code)


async def test_who_embeds_waits_for_a_permit_of_the_model(chain: Chain, client: Client) -> None:
    """With one permit, held by an answer that goes on, the wait is as long as any may be."""
    model = "sim:tokens=2000,rate=50,seed=41"
    async with client.open("POST", "/api/generate/stream", {"model": model, "prompt": "hi"}) as running:
        await running.until_tokens(1)
        waited: Answer = await client.ask("/api/embed", {"model": model, "input": "x"})
        running.leave()
    await soon(lambda: chain.calls(model)[0]["left_at"], "the answer's permit is free")

    assert "wait in line" in refused_as_ollama(waited, Code.QUEUE_TIMEOUT)
    assert len(chain.calls(model)) == 1
