"""The proxy as an Ollama: lines, one object or frames, from the same log; and how each of them ends.

Of proxy/routes/ollama.py and services/dialects/ollama.py.
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.ollama_client import SHAPES, asking, lines_of, said
from tests.behaviour.refusals import refused_as_ollama
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import TINY_BUFFER_BYTES, SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

COMMIT_S: Final = 1.0  # when an event stream's headers leave at the latest
QUEUE_TIMEOUT_S: Final = 0.5
FIRST_TOKEN_TIMEOUT_S: Final = 1.3  # past the commit of an event stream
WRITE_TIMEOUT_S: Final = 1.0
SLACK_S: Final = 3.0
KINDS: Final = ("chat", "generate")
STOPPED: Final = "The answer was stopped."
LINE_ENDS: Final = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # to str.splitlines, besides the one that is meant


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator, log_level="debug") as chain, common_gate(chain):
        yield chain


@pytest.fixture(scope="module")
def narrow(chain: Chain) -> Server:
    """A proxy with one permit, a line for one, and little patience."""
    return chain.another_proxy(
        PERMITS="1",
        QUEUE_LENGTH="1",
        QUEUE_TIMEOUT_S=str(QUEUE_TIMEOUT_S),
        FIRST_TOKEN_TIMEOUT_S=str(FIRST_TOKEN_TIMEOUT_S),
    )


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[Client]:
    async with Client(chain.proxy.url) as client:
        yield client


# --- three shapes of one answer


@pytest.mark.parametrize("stream", [{"stream": True}, {"stream": None}, {}], ids=["true", "null", "absent"])
@pytest.mark.parametrize("kind", KINDS)
async def test_lines_are_what_nobody_refuses(kind: str, stream: dict[str, Any], client: Client) -> None:
    model = scripted(tokens=30)
    body = {name: value for name, value in asking(kind, model.name).items() if name != "stream"}
    answer = await client.ask(f"/api/{kind}", {**body, **stream})
    lines = lines_of(answer)

    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.ended_cleanly
    assert said(lines) == model.text
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert {line["model"] for line in lines} == {model.name}
    assert lines[-1]["done_reason"] == "stop"
    assert (lines[-1]["eval_count"], "context" in lines[-1]) == (31, False)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_object_is_what_stream_false_asks_for(kind: str, client: Client) -> None:
    model = scripted("thinker", tokens=30, think=5)
    answer = await client.ask(f"/api/{kind}", asking(kind, model.name, shape="object"))
    whole = json.loads(answer.body)

    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert said([whole]) == model.text
    assert whole.get("message", whole)["thinking"]
    assert (whole["done"], whole["done_reason"], whole["model"]) == (True, "stop", model.name)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_stream_is_a_stream_whatever_its_reader_speaks(shape: str, client: Client) -> None:
    """It has an id, numbers and a log: others can read it as frames."""
    model = scripted(tokens=30)
    answer = await client.ask("/api/chat", asking("chat", model.name, shape=shape), {"X-Request-Id": f"plain-{shape}"})
    again = await client.get(f"/api/streams/{answer.headers['X-Stream-Id']}")

    assert answer.headers["X-Request-Id"] == f"plain-{shape}"
    assert (again.text, again.reason, again.last_number) == (model.text, "stop", 32)


async def test_a_line_says_when_it_was_made_as_ollama_does(client: Client) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    answer = await client.ask("/api/generate", asking("generate", "sim:tokens=5"))
    times = [line["created_at"] for line in lines_of(answer)]

    assert all(time.endswith("Z") for time in times)
    made = [datetime.fromisoformat(time) for time in times]
    assert before <= made[0] <= made[-1] <= datetime.now(UTC) + timedelta(milliseconds=1)


async def test_an_answer_with_nothing_in_it_has_its_end_alone(client: Client) -> None:
    lines = lines_of(await client.ask("/api/chat", asking("chat", "sim:tokens=0")))

    assert [(line["done"], line["message"]["content"]) for line in lines] == [(True, "")]


@pytest.mark.parametrize("shape", SHAPES)
async def test_pieces_of_any_size_come_whole(shape: str, client: Client) -> None:
    """Of 64 KiB and more each: several events."""
    model = scripted(tokens=12, size=65_537)  # together less than a log holds, however slowly this test reads
    answer = await client.ask("/api/chat", asking("chat", model.name, shape=shape))

    assert said(lines_of(answer) if shape == "lines" else [json.loads(answer.body)]) == model.text


async def test_what_python_splits_lines_by_is_written_as_escapes(client: Client) -> None:
    """M6: ollama-python reads as ``str.splitlines`` does."""
    answer = await client.ask("/api/generate", asking("generate", "generate_odd_characters"))

    assert not set(LINE_ENDS) & set(answer.body.decode())
    assert {"\v", "\x1c", "\x85", "\u2029"} <= set(said(lines_of(answer)))


async def test_an_object_over_eight_mebibytes_is_refused_and_its_model_stopped(chain: Chain, client: Client) -> None:
    model = scripted(tokens=200, size=65_536)
    answer = await client.ask("/api/chat", asking("chat", model.name, shape="object"))

    assert "stream" in refused_as_ollama(answer, Code.UPSTREAM_ERROR)
    await soon(lambda: chain.calls(model.name)[0]["end"], "the call ended")


# --- the headers leave with the first line, and then nothing can be taken back


@pytest.mark.parametrize("kind", KINDS)
async def test_no_header_leaves_before_the_first_line(kind: str, chain: Chain) -> None:
    """An event stream's would after a second."""
    began = time.monotonic()
    async with SocketClient.connected(chain.proxy.port) as client:
        await client.ask(f"/api/{kind}", asking(kind, f"sim:tokens=3,prefill={COMMIT_S + 0.3}"))
        await client.read()
        waited_s = time.monotonic() - began
        answer = await client.until(lambda answer: answer.ended_cleanly)

    assert waited_s > COMMIT_S + 0.3
    assert lines_of(answer)[-1]["done"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_failure_before_the_first_line_is_a_status_however_late(shape: str, narrow: Server) -> None:
    began = time.monotonic()
    async with Client(narrow.url) as client:
        answer = await client.ask("/api/chat", asking("chat", "sim:fault=mute", shape=shape))

    refused_as_ollama(answer, Code.UPSTREAM_TIMEOUT)
    assert time.monotonic() - began > FIRST_TOKEN_TIMEOUT_S


BEFORE: Final = {
    "fault=error,at=0": Code.UPSTREAM_ERROR,
    "fault=truncate,at=0": Code.UPSTREAM_TRUNCATED,
    "fault=refuse": Code.UPSTREAM_DISCONNECTED,
    "status=503": Code.UPSTREAM_UNAVAILABLE,
    "status=400": Code.INVALID_REQUEST,
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_failure_before_the_first_line_keeps_its_status(shape: str, client: Client) -> None:
    bodies = [asking("chat", f"sim:tokens=9,{fault}", shape=shape) for fault in BEFORE]
    answers = await asyncio.gather(*(client.ask("/api/chat", body) for body in bodies))

    for answer, code in zip(answers, BEFORE.values(), strict=True):
        refused_as_ollama(answer, code)


@pytest.mark.parametrize("shape", SHAPES)
async def test_who_waits_too_long_in_line_is_told_by_a_status_and_so_is_who_finds_it_full(
    shape: str, narrow: Server
) -> None:
    """O2: on an event stream the first would be an event."""
    model = f"sim:tokens=200,rate=20,seed={SHAPES.index(shape)}"
    async with Client(narrow.url) as client, client.open("POST", "/api/chat", asking("chat", model)) as running:
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(client.ask("/api/chat", asking("chat", model, shape=shape)))
            await soon(lambda: sample(narrow, "llm_admission_queue_length") == 1, "one waits")
            full = await client.ask("/api/chat", asking("chat", model, shape=shape))
        waited_s = time.monotonic() - began
        running.leave()

    refused_as_ollama(full, Code.OVERLOADED)
    refused_as_ollama(waiting.result(), Code.QUEUE_TIMEOUT)
    assert QUEUE_TIMEOUT_S <= waited_s <= QUEUE_TIMEOUT_S + SLACK_S


AFTER: Final = {
    "fault=reset,at=3": Code.UPSTREAM_DISCONNECTED,
    "fault=truncate,at=3": Code.UPSTREAM_TRUNCATED,
    "fault=error,at=3": Code.UPSTREAM_ERROR,
    "fault=malformed,at=3,count=8": Code.UPSTREAM_MALFORMED,
    "fault=stall,at=3": Code.UPSTREAM_TIMEOUT,
}


async def broken(client: Client, model: Scripted, shape: str) -> list[Answer]:
    """Return the answers of ``model`` when it fails behind its third token, in the order of AFTER."""
    bodies = [asking("chat", f"{model.name},{fault}", shape=shape) for fault in AFTER]
    return await asyncio.gather(*(client.ask("/api/chat", body) for body in bodies))


async def test_an_answer_that_breaks_ends_with_an_error_line(client: Client) -> None:
    model = scripted(tokens=9)
    for fault, answer in zip(AFTER, await broken(client, model, "lines"), strict=True):
        *before, last = lines_of(answer)

        assert said(before) == "".join(model.tokens[:3]), fault
        assert set(last) - {"skipped_lines"} == {"error"}, fault
        assert last["error"], fault
        assert (answer.status, answer.ended_cleanly) == (200, True), fault


async def test_an_answer_that_breaks_is_no_object(client: Client) -> None:
    """Nothing was shown yet: its failure is a status, however many words there were."""
    answers = await broken(client, scripted(tokens=9), "object")

    for answer, code in zip(answers, AFTER.values(), strict=True):
        refused_as_ollama(answer, code)


# --- stopped, and left


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("when", ["first word", "midway"])
async def test_an_answer_that_was_stopped_says_so(when: str, shape: str, chain: Chain, client: Client) -> None:
    """Behind some lines by an error line; else by 409."""
    pace: dict[str, Any] = {"rate": 50} if when == "midway" else {"prefill": 30}
    model = scripted(tokens=500, **pace)
    request_id = f"stopped-{when.replace(' ', '-')}-{shape}"
    asked = asking("chat", model.name, shape=shape)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.ask("/api/chat", asked, {"X-Request-Id": request_id}))
        stream_id = await running_id(chain.proxy, model.name)
        if when == "midway":
            await soon(lambda: chain.calls(model.name)[0]["tokens"] > 5, "some words")
        async with client.session.delete(f"{client.url}/api/streams/{stream_id}") as stopped:
            assert stopped.status == 202
    answer = reading.result()

    if when == "midway" and shape == "lines":
        *before, last = lines_of(answer)
        assert last == {"error": STOPPED}
        assert model.text.startswith(said(before))
        assert answer.ended_cleanly
    else:
        assert (answer.status, json.loads(answer.body)) == (409, {"error": STOPPED})
        assert answer.headers["Sluice-Error-Code"] == "cancelled"
    assert await told(chain.proxy, request_id) == ["cancelled"]


async def running_id(proxy: Server, model: str) -> str:
    """Return the id of the stream that asks ``model``, once there is one."""

    def listed() -> str:
        streams = json.loads(proxy.get("/api/streams")[1])["streams"]
        return next((one["id"] for one in streams if one["model"] == model), "")

    return str(await soon(listed, "it runs"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("phase", ["prefill", "streaming"])
async def test_leaving_stops_the_model_in_every_shape_and_phase(phase: str, shape: str, chain: Chain) -> None:
    """C1, C2: before the first line too, where nothing was written yet."""
    pace: dict[str, Any] = {"rate": 50} if phase == "streaming" else {"prefill": 30}
    model = scripted(tokens=3000, **pace)
    request_id = f"left-{phase}-{shape}"
    async with SocketClient.connected(chain.proxy.port) as client:
        await client.ask("/api/chat", asking("chat", model.name, shape=shape), {"X-Request-Id": request_id})
        await soon(lambda: [call["state"] for call in chain.calls(model.name)] == [phase], phase)
        left_at = time.monotonic()
        client.fin()
        assert await told(chain.proxy, request_id) == ["cancelled"]
    (call,) = chain.calls(model.name)

    assert call["end"] == "left"
    assert call["left_at"] - left_at <= 1.0 + SLACK_S  # P6; who may come back has five seconds


async def test_a_reader_of_lines_that_stops_reading_is_cut_like_any_other(chain: Chain) -> None:
    """C4: its body ends in the middle, never with a last chunk."""
    before = sample(chain.proxy, "llm_followers_cut_total", reason="slow_client")
    model = scripted(tokens=5000, rate=1000)
    async with SocketClient.connected(chain.proxy.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.ask("/api/chat", asking("chat", model.name), {"X-Request-Id": "slow-lines"})
        await client.until(lambda answer: answer.body.count(b"\n") > 10)
        stopped_at = time.monotonic()
        assert await told(chain.proxy, "slow-lines", 15.0) == ["cancelled"]
        took_s = time.monotonic() - stopped_at
        await client.until_closed()

    lines = lines_of(client.answer)
    assert WRITE_TIMEOUT_S <= took_s <= WRITE_TIMEOUT_S + SLACK_S
    assert model.text.startswith(said(lines))
    assert not client.answer.ended_cleanly
    assert not [line for line in lines if "error" in line or line["done"]]
    assert sample(chain.proxy, "llm_followers_cut_total", reason="slow_client") == before + 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reader_of_lines_that_pauses_in_time_catches_up_with_longer_ones(kind: str, chain: Chain) -> None:
    model = scripted(tokens=4000, size=200)  # more than all the buffers on the way, less than the log
    async with SocketClient.connected(chain.proxy.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.ask(f"/api/{kind}", asking(kind, model.name))
        await client.read()
        await asyncio.sleep(WRITE_TIMEOUT_S * 0.6)  # the pause itself: what is tested
        lines = lines_of(await client.until_end())

    assert said(lines) == model.text
    assert lines[-1]["done"]
    assert len(lines) < 4000


async def test_a_drain_refuses_new_ones_and_ends_the_running_with_its_words(chain: Chain) -> None:
    proxy = chain.another_proxy(DRAIN_S="2")
    model = scripted(tokens=3000, rate=50)
    async with Client(proxy.url) as client, asyncio.TaskGroup() as tasks:
        readers = [
            tasks.create_task(client.ask("/api/chat", asking("chat", model.name, shape=shape))) for shape in SHAPES
        ]
        await soon(lambda: len(chain.calls(model.name)) == 2, "both run")
        proxy.signal(signal.SIGTERM)
        await soon(lambda: proxy.get("/readyz")[0] == 503, "it drains")
        refused = await client.ask("/api/chat", asking("chat", model.name))
    lines, whole = (reader.result() for reader in readers)

    refused_as_ollama(refused, Code.SHUTTING_DOWN)
    refused_as_ollama(whole, Code.SHUTTING_DOWN)
    assert list(lines_of(lines)[-1]) == ["error"]
    assert lines.ended_cleanly
    assert proxy.wait() == 0
