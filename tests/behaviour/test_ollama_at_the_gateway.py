"""Ollama's own API at the gateway, under /ollama/: its shapes, the gateway's guards, and how its answers end.

Of gateway/routes/ollama.py, gateway/relay/passage.py and services/dialects. That each call of the official clients
gives what it gives directly is shown by tests/clients.
"""

import asyncio
import json
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import calls_of, gateway_beside, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.ollama_client import HELLO, SHAPES, asking, lines_of, said
from tests.behaviour.refusals import refused_as_ollama
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

KINDS: Final = ("chat", "generate")
STOPPED: Final = "The answer was stopped."
DRAINS: Final = "This server is shutting down. Ask again in a moment."
CAP: Final = 40
BODY_BYTES: Final = 20_000
TINY_BUFFER_BYTES: Final = 4096
ORIGIN: Final = "http://localhost:3000"
READS: Final = ("tags", "ps", "version")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator, gateway={"CORS_ORIGINS": ORIGIN}) as chain, common_gate(chain):
        yield chain


def carried(gateway: Server) -> float:
    """How many answers the gateway has a hop of: before the first line there is nothing else to be seen of them."""
    return sample(gateway, "llm_streams_active")


async def ask(client: Client, kind: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    return await client.ask(f"/ollama/api/{kind}", body, headers)


# --- what is asked


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_not_offered_is_dropped_and_said(kind: str, chain: Chain, client: Client) -> None:
    model = scripted(tokens=3)
    fields: dict[str, Any] = {
        "keep_alive": "5m",
        "raw": True,
        "template": "x",
        "options": {"num_ctx": 2048, "top_k": 4},
        "own": 1,
    }
    answer = await ask(client, kind, asking(kind, model.name, **fields))
    (call,) = calls_of(chain, model.name)

    dropped = ["keep_alive", "options.num_ctx", "template"]
    assert answer.headers["Sluice-Dropped"] == ", ".join(dropped if kind == "chat" else sorted([*dropped, "raw"]))
    assert call["body"].keys() == {"model", *HELLO[kind], "options", "stream"}
    assert call["body"]["options"].keys() == {"num_predict", "top_k"}


@pytest.mark.parametrize(("wished", "sent"), [(None, CAP), (0, CAP), (-1, CAP), (7, 7), (4000, CAP)])
async def test_the_length_is_always_capped(wished: int | None, sent: int, chain: Chain) -> None:
    model = scripted(tokens=100)
    options: dict[str, Any] = {} if wished is None else {"options": {"num_predict": wished}}
    with gateway_beside(chain, MAX_OUTPUT_TOKENS=str(CAP)) as gateway:
        async with Client(gateway.url) as client:
            answer = await ask(client, "chat", asking("chat", model.name, shape="object", **options))
    (call,) = calls_of(chain, model.name)

    assert call["body"]["options"]["num_predict"] == sent
    assert json.loads(answer.body)["done_reason"] == "length"


@pytest.mark.parametrize(("reason", "more"), [("load", {}), ("unload", {"keep_alive": 0})])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_order_to_load_or_unload_is_obeyed_by_word_alone(
    kind: str, reason: str, more: dict[str, Any], chain: Chain, client: Client
) -> None:
    model = scripted("story").name
    answer = await ask(client, kind, {"model": model, **more})
    unknown = await ask(client, kind, {"model": "nobody", **more})

    assert (json.loads(answer.body)["done"], json.loads(answer.body)["done_reason"]) == (True, reason)
    assert calls_of(chain, model) == []
    refused_as_ollama(unknown, Code.MODEL_NOT_FOUND)


@pytest.mark.parametrize("path", ["/ollama/api/chat", "/ollama/api/generate", "/ollama/api/embed", "/ollama/api/show"])
async def test_the_gateway_s_guards_hold_in_ollama_s_shape(path: str, chain: Chain, client: Client) -> None:
    """Content-Type is the CSRF guard, Host that of a rebound name."""
    text = await client.ask(path, {"model": "sim"}, {"Content-Type": "text/plain"})
    strange = await client.ask(path, {"model": "sim"}, {"Host": "rebound.example"})
    nothing = await client.ask(path, {}, {"Origin": ORIGIN})
    with gateway_beside(chain, BODY_BYTES=str(BODY_BYTES)) as gateway:
        async with Client(gateway.url) as narrow:
            long = await narrow.ask(path, {"model": "x" * BODY_BYTES})
    async with client.open("PUT", path) as reading:
        put = await reading.until_end()

    refused_as_ollama(text, Code.UNSUPPORTED_MEDIA_TYPE)
    refused_as_ollama(strange, Code.MISDIRECTED)
    refused_as_ollama(long, Code.PAYLOAD_TOO_LARGE)
    refused_as_ollama(put, Code.METHOD_NOT_ALLOWED)
    assert "model" in refused_as_ollama(nothing, Code.INVALID_REQUEST)
    assert nothing.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert put.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/ollama/api/pull", "/ollama/v1/models", "/ollama/simulator/witness"])
async def test_what_is_not_offered_is_404(path: str, client: Client) -> None:
    refused_as_ollama(await client.ask(path, {}), Code.NOT_FOUND)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_s_probe_is_answered(method: str, client: Client) -> None:
    async with client.open(method, "/ollama/") as reading:
        answer = await reading.until_end()

    assert (answer.status, answer.body) == (200, b"Sluice is running" if method == "GET" else b"")


# --- what is passed on


async def test_lists_are_passed_on_and_name_no_digest_of_what_runs(client: Client) -> None:
    await ask(client, "chat", asking("chat", "story"))
    tags, ps, version = [json.loads((await client.get(f"/ollama/api/{name}")).body) for name in READS]

    assert {model["name"] for model in tags["models"]} >= {"story:latest"}
    assert "story:latest" in {model["name"] for model in ps["models"]}
    assert not any("digest" in model for model in ps["models"])
    assert set(version) == {"version"}


async def test_a_model_is_shown_without_its_file(client: Client) -> None:
    shown = json.loads((await ask(client, "show", {"name": "story"})).body)

    assert "capabilities" in shown
    assert "modelfile" not in shown
    refused_as_ollama(await ask(client, "show", {"model": "nobody"}), Code.MODEL_NOT_FOUND)


async def test_texts_are_embedded(client: Client) -> None:
    body = {"model": "embedder", "input": ["a", "b"], "keep_alive": "5m"}
    many = await ask(client, "embed", body)
    one = await ask(client, "embeddings", {"model": "embedder", "prompt": "a"})

    assert len(json.loads(many.body)["embeddings"]) == 2
    assert json.loads(one.body)["embedding"]
    assert (many.headers["Sluice-Dropped"], "Sluice-Dropped" in one.headers) == ("keep_alive", False)


# --- how an answer ends


@pytest.mark.parametrize("kind", KINDS)
async def test_lines_end_with_the_model_server_s_own_numbers(kind: str, chain: Chain, client: Client) -> None:
    model = scripted(tokens=30)
    answer = await ask(client, kind, asking(kind, model.name), {"X-Request-Id": f"numbers-{kind}"})
    lines = lines_of(answer)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-store, no-transform", "no")
    assert (said(lines), answer.ended_cleanly) == (model.text, True)
    assert lines[-1].keys() >= {"total_duration", "load_duration", "prompt_eval_count", "eval_duration"}
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("stop", 31)
    assert await told(chain.gateway, f"numbers-{kind}") == ["stop"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        *(("status=400", Code.INVALID_REQUEST), ("status=503,retry_after=60", Code.UPSTREAM_UNAVAILABLE)),
        *(("fault=truncate,at=0", Code.UPSTREAM_TRUNCATED), ("prefill=30", Code.UPSTREAM_TIMEOUT)),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_failure_before_the_first_line_is_a_status(shape: str, script: str, code: Code, client: Client) -> None:
    """Also behind the first second, when the hop's headers have come: nothing was said yet."""
    model = scripted(tokens=9).name + f",{script}"

    refused_as_ollama(await ask(client, "chat", asking("chat", model, shape=shape)), code)


async def test_a_failure_behind_a_line_is_the_last_line(chain: Chain, client: Client) -> None:
    model = scripted(tokens=9, fault="error", at=3)
    answer = await ask(client, "chat", asking("chat", model.name), {"X-Request-Id": "broke-midway"})
    *before, last = lines_of(answer)

    assert said(before) == "".join(model.tokens[:3])
    assert list(last) == ["error"]
    assert answer.ended_cleanly
    assert await told(chain.gateway, "broke-midway") == ["upstream_error"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("when", ["first word", "midway"])
async def test_an_answer_that_was_stopped_says_so(when: str, shape: str, chain: Chain, client: Client) -> None:
    model = scripted(tokens=500, rate=50, prefill=0 if when == "midway" else 30)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(ask(client, "chat", asking("chat", model.name, shape=shape)))
        await soon(lambda: calls_of(chain, model.name), "it is asked")
        if when == "midway":
            await soon(lambda: calls_of(chain, model.name)[0]["tokens"] > 5, "some words")
        else:
            await soon(lambda: carried(chain.gateway), "its hop's headers: the line alone is waited for")
        (stream,) = json.loads(chain.proxy.get("/api/streams")[1])["streams"]
        assert (await client.ask(f"/api/chat/stream/{stream['id']}/cancel")).status == 202
    answer = reading.result()

    if when == "midway" and shape == "lines":
        assert lines_of(answer)[-1] == {"error": STOPPED}
        assert answer.ended_cleanly
    else:
        assert (answer.status, json.loads(answer.body)) == (409, {"error": STOPPED})
        assert answer.headers["Sluice-Error-Code"] == "cancelled"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phase", ["prefill", "streaming"])
async def test_leaving_cancels_at_once(phase: str, shape: str, chain: Chain) -> None:
    """C1, C2: and not after the 5 s in which a native client may come back."""
    model = scripted(tokens=3000, rate=50, prefill=0 if phase == "streaming" else 30)
    request_id = f"left-{phase}-{shape}"
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.ask("/ollama/api/chat", asking("chat", model.name, shape=shape), {"X-Request-Id": request_id})
        await soon(lambda: [call["state"] for call in calls_of(chain, model.name)] == [phase], phase)
        left_at = time.monotonic()
        client.fin()
        assert await told(chain.proxy, request_id) == ["cancelled"]
    await soon(lambda: calls_of(chain, model.name)[0]["left_at"], "the model server saw it")

    assert time.monotonic() - left_at < 4
    assert await told(chain.gateway, request_id) == ["client_gone"]


async def test_a_reader_of_lines_that_stops_reading_is_cut_and_its_model_stopped(chain: Chain) -> None:
    """C4: it cannot come back, so the proxy is told; and its body ends in the middle, never with a last chunk."""
    model = scripted(tokens=1900, size=4096, rate=200)
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.ask("/ollama/api/chat", asking("chat", model.name), {"X-Request-Id": "slow-lines"})
        await client.until(lambda answer: answer.body.count(b"\n") > 10)
        assert await told(chain.gateway, "slow-lines", 15.0) == ["slow_client"]
        assert await told(chain.proxy, "slow-lines") == ["cancelled"]
        await client.until_closed()

    lines = lines_of(client.answer)
    assert model.text.startswith(said(lines))
    assert not client.answer.ended_cleanly
    assert not [line for line in lines if "error" in line or line["done"]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phase", ["prefill", "streaming"])
async def test_a_drain_is_told_to_who_cannot_come_back(phase: str, shape: str, chain: Chain) -> None:
    """L2: and the proxy is told, which would go on for 5 s."""
    model = scripted(tokens=3000, rate=50, prefill=0 if phase == "streaming" else 30)
    request_id = f"drained-{phase}-{shape}"
    with gateway_beside(chain, DRAIN_S="0.3") as gateway:
        async with Client(gateway.url) as client, asyncio.TaskGroup() as tasks:
            body = asking("chat", model.name, shape=shape)
            reading = tasks.create_task(ask(client, "chat", body, {"X-Request-Id": request_id}))
            await soon(lambda: [call["state"] for call in calls_of(chain, model.name)] == [phase], phase)
            await soon(lambda: carried(gateway), "its hop's headers")
            gateway.signal(signal.SIGTERM)
        answer = reading.result()
        assert gateway.wait() == 0  # the proxy has been told who left
        assert await told(gateway, request_id) == ["shutting_down"]
    await soon(lambda: calls_of(chain, model.name)[0]["left_at"], "the model server saw it")

    if phase == "streaming" and shape == "lines":
        assert lines_of(answer)[-1] == {"error": DRAINS}
        assert answer.ended_cleanly
    else:
        assert refused_as_ollama(answer, Code.SHUTTING_DOWN) == DRAINS
    assert await told(chain.proxy, request_id) == ["cancelled"]


async def test_without_a_proxy_each_route_says_so_in_ollama_s_shape(chain: Chain) -> None:
    with gateway_beside(chain, PROXY_URL="http://127.0.0.1:9") as gateway:
        async with Client(gateway.url) as client:
            answers = [await ask(client, "chat", asking("chat", "sim", shape=shape)) for shape in SHAPES]
            answers.append(await ask(client, "embed", {"model": "embedder", "input": "a"}))
            answers.append(await client.get("/ollama/api/tags"))

    for answer in answers:
        refused_as_ollama(answer, Code.UPSTREAM_UNAVAILABLE)
