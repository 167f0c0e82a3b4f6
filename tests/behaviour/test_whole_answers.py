"""An answer without its stream: the whole at once, what there is of it so far, and which ones run.

Of gateway/routes/native.py, gateway/routes/responder.py, gateway/relay/gathering.py and proxy/routes/streams.py.
"""

import asyncio
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import refused
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.reader import Client

WHOLE: Final = "/api/chat"
JSON: Final = {"Accept": "application/json"}
SNAPSHOT_EVERY_S: Final = 0.05
COMMIT_S: Final = 1.0
QUEUE_TIMEOUT_S: Final = 0.5
SLACK_S: Final = 3.0
LOG_BYTES: Final = 65_536
TOOL: Final = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {"tz": {"type": "string"}}}},
}
LISTED: Final = {"model", "status", "age_s", "chunks", "bytes"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator, log_level="debug") as chain, common_gate(chain):
        yield chain


@pytest.fixture(scope="module")
def narrow(chain: Chain) -> Server:
    """A gateway before a proxy with one permit, a line for one, little patience and short logs."""
    proxy = chain.another_proxy(
        PERMITS="1", QUEUE_LENGTH="1", QUEUE_TIMEOUT_S=f"{QUEUE_TIMEOUT_S}", LOG_BYTES=f"{LOG_BYTES}"
    )
    gateway = chain.another_gateway(PROXY_URL=proxy.url)
    eventually(lambda: gateway.get("/readyz")[0] == 200, "the narrow gateway is ready", within_s=10)
    return gateway


@pytest.fixture
async def narrow_client(narrow: Server) -> AsyncIterator[Client]:
    async with Client(narrow.url) as client:
        yield client


def asking(model: Scripted | str, **fields: Any) -> dict[str, Any]:
    return {"model": model.name if isinstance(model, Scripted) else model, "message": "hi", **fields}


def path_of(stream_id: str) -> str:
    return f"/api/chat/stream/{stream_id}"


# --- the whole at once


@pytest.mark.parametrize("stream", [{}, {"stream": False}, {"stream": None}], ids=["absent", "false", "null"])
async def test_the_whole_answer_is_what_its_stream_says(stream: dict[str, Any], client: Client) -> None:
    model = scripted("thinker", tokens=30, think=5)
    answer = await client.ask(WHOLE, asking(model, **stream))
    whole = json.loads(answer.body)
    frames = await client.get(path_of(answer.stream_id))

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert set(whole) == {"message", "model", "usage", "timing", "finish_reason"}
    assert whole["message"] == {"role": "assistant", "content": model.text, "thinking": frames.thinking}
    assert frames.thinking
    assert whole["model"] == model.name
    assert frames.end is not None
    assert {name: frames.end[name] for name in ("usage", "timing", "finish_reason")} == {
        name: whole[name] for name in ("usage", "timing", "finish_reason")
    }


async def test_the_calls_of_a_whole_answer_are_listed(client: Client) -> None:
    whole = json.loads((await client.ask(WHOLE, asking("tooler:calls=2", tools=[TOOL]))).body)
    calls = whole["message"]["tool_calls"]

    assert (whole["message"]["content"], whole["finish_reason"]) == ("", "tool_calls")
    functions = [call["function"] for call in calls]
    assert [(function["name"], list(function["arguments"])) for function in functions] == [("clock", ["tz"])] * 2
    assert len({call["id"] for call in calls}) == 2


async def test_the_message_of_a_whole_answer_is_taken_back_as_it_is(chain: Chain, client: Client) -> None:
    asked = asking("tooler:seed=29", tools=[TOOL])
    said = json.loads((await client.ask(WHOLE, asked)).body)["message"]
    result = {"role": "tool", "tool_name": "clock", "tool_call_id": said["tool_calls"][0]["id"], "content": "12:00"}
    again = {"model": asked["model"], "tools": [TOOL], "messages": [{"role": "user", "content": "hi"}, said, result]}
    answer = await client.ask(WHOLE, again)

    assert answer.status == 200
    assert chain.calls("tooler:seed=29")[-1]["body"]["messages"][1:] == [said, result]


async def test_a_whole_answer_may_take_longer_than_the_commit_of_a_stream(client: Client) -> None:
    began = time.monotonic()
    answer = await client.ask(WHOLE, asking(f"sim:tokens=3,prefill={COMMIT_S + 0.3}"))

    assert json.loads(answer.body)["finish_reason"] == "stop"
    assert time.monotonic() - began > COMMIT_S + 0.3


async def test_a_stream_is_not_asked_for_here(client: Client) -> None:
    error = refused(await client.ask(WHOLE, asking("sim", stream=True)), Code.INVALID_REQUEST)

    assert error["message"] == "stream must be false on this route"


FAILING: Final = {
    "nobody": Code.MODEL_NOT_FOUND,
    "embedder": Code.INVALID_REQUEST,
    "sim:status=503": Code.UPSTREAM_UNAVAILABLE,
    "sim:tokens=9,fault=error,at=3": Code.UPSTREAM_ERROR,
    "sim:tokens=9,fault=reset,at=3": Code.UPSTREAM_DISCONNECTED,
    "sim:tokens=9,fault=truncate,at=3": Code.UPSTREAM_TRUNCATED,
    "sim:tokens=9,fault=malformed,at=3,count=8": Code.UPSTREAM_MALFORMED,
    "sim:tokens=9,fault=stall,at=3": Code.UPSTREAM_TIMEOUT,
}


async def test_a_failure_is_a_status_wherever_it_came(client: Client) -> None:
    """Behind the first words too: nothing was shown yet."""
    answers = await asyncio.gather(*(client.ask(WHOLE, asking(model)) for model in FAILING))

    for answer, code in zip(answers, FAILING.values(), strict=True):
        refused(answer, code)


async def test_an_answer_that_is_too_long_for_one_object_is_refused_and_its_model_stopped(
    chain: Chain, client: Client
) -> None:
    model = scripted(tokens=300, size=65_536, rate=100)  # 19 MB, no faster than a busy machine reads
    error = refused(await client.ask(WHOLE, asking(model)), Code.UPSTREAM_ERROR)
    await soon(lambda: chain.calls(model.name)[0]["end"], "the call ended")

    assert "stream" in error["message"]
    assert chain.calls(model.name)[0]["end"] == "left"


async def test_a_full_line_and_a_long_wait_in_it_are_503(narrow: Server, narrow_client: Client) -> None:
    """O2: on a stream the second would be an event."""
    model = scripted(tokens=200, rate=20)
    async with narrow_client.open("POST", "/api/chat/stream", asking(model)) as running:
        await running.until_tokens(1)
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(narrow_client.ask(WHOLE, asking(model)))
            await soon(lambda: len(listed(narrow)) == 2, "one waits")
            full = await narrow_client.ask(WHOLE, asking(model))
        waited_s = time.monotonic() - began
        running.leave()

    refused(full, Code.OVERLOADED)
    refused(waiting.result(), Code.QUEUE_TIMEOUT)
    assert QUEUE_TIMEOUT_S <= waited_s <= QUEUE_TIMEOUT_S + SLACK_S


@pytest.mark.parametrize("phase", ["prefill", "streaming"])
async def test_leaving_cancels_a_whole_answer(phase: str, chain: Chain) -> None:
    pace: dict[str, Any] = {"rate": 50} if phase == "streaming" else {"prefill": 30}
    model = scripted(tokens=3000, **pace)
    request_id = f"left-whole-{phase}"
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.ask(WHOLE, asking(model), {"X-Request-Id": request_id})
        await soon(lambda: [call["state"] for call in chain.calls(model.name)] == [phase], phase)
        left_at = time.monotonic()
        client.fin()
        assert await told(chain.gateway, request_id) == ["client_gone"]
        assert await told(chain.proxy, request_id) == ["cancelled"]
    (call,) = chain.calls(model.name)

    assert call["end"] == "left"
    assert call["left_at"] - left_at <= 1.0 + SLACK_S  # P6; who may come back has five seconds


async def test_a_whole_answer_that_somebody_stopped_says_so(chain: Chain, client: Client) -> None:
    model = scripted(tokens=500, rate=50)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.ask(WHOLE, asking(model)))
        (stream_id,) = await soon(lambda: ids_of(chain, model), "it runs")
        await soon(lambda: chain.calls(model.name)[0]["tokens"] > 5, "some words")
        assert (await client.ask(f"{path_of(stream_id)}/cancel")).status == 202
    whole = json.loads(reading.result().body)

    assert whole["finish_reason"] == "cancelled"
    assert model.text.startswith(whole["message"]["content"])
    assert whole["usage"] is None


async def test_a_whole_answer_that_a_drain_cuts_off_is_shutting_down(chain: Chain) -> None:
    """It has no id to come back with: the model is stopped. One that ends in time is whole."""
    gateway = chain.another_gateway(DRAIN_S="2")
    eventually(lambda: gateway.get("/readyz")[0] == 200, "it is ready", within_s=10)
    long, short = scripted(tokens=3000, rate=50), scripted(tokens=20, rate=50)
    async with Client(gateway.url) as client, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.ask(WHOLE, asking(long), {"X-Request-Id": "drained-whole"}))
        in_time = tasks.create_task(client.ask(WHOLE, asking(short)))
        await soon(lambda: chain.calls(long.name) and chain.calls(short.name), "both run")
        gateway.signal(signal.SIGTERM)
        await soon(lambda: gateway.get("/readyz")[0] == 503, "it drains")
        new = await client.ask(WHOLE, asking("sim"))

    refused(new, Code.SHUTTING_DOWN)
    refused(reading.result(), Code.SHUTTING_DOWN)
    assert json.loads(in_time.result().body)["message"]["content"] == short.text
    assert await told(chain.proxy, "drained-whole") == ["cancelled"]
    assert gateway.wait() == 0


# --- what there is so far


async def snapshot(client: Client, stream_id: str) -> dict[str, Any]:
    answer = await client.get(path_of(stream_id), JSON)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    page: dict[str, Any] = json.loads(answer.body)
    return page


async def snapshots_until_the_end(client: Client, stream_id: str) -> list[dict[str, Any]]:
    """Take a snapshot every 50 ms until the answer is over."""
    pages = [await snapshot(client, stream_id)]
    while pages[-1]["status"] not in {"finished", "failed"}:
        await asyncio.sleep(SNAPSHOT_EVERY_S)  # the period: what is tested
        pages.append(await snapshot(client, stream_id))
    return pages


async def test_each_snapshot_is_a_prefix_of_the_next_and_the_last_is_the_whole(client: Client) -> None:
    model = scripted("thinker", tokens=60, think=10, rate=50)
    async with client.open("POST", "/api/chat/stream", asking(model)) as running:
        await running.until_tokens(1)
        pages = await snapshots_until_the_end(client, running.answer.stream_id)
        whole = await running.until_end()
    last = pages[-1]

    assert len(pages) > 15
    for page, later in itertools.pairwise(pages):
        assert all(later[kind].startswith(page[kind]) for kind in ("text", "thinking"))
        assert later["last"] >= page["last"]
    assert all(len((page["text"] + page["thinking"]).encode()) == page["bytes"] for page in pages)
    assert {page["status"] for page in pages[:-1]} == {"streaming"}
    assert last.pop("end")["finish_reason"] == whole.reason
    assert last == {
        "stream_id": whole.stream_id,
        "status": "finished",
        "model": model.name,
        "text": model.text,
        "thinking": whole.thinking,
        "tool_calls": [],
        "chunks": 70,
        "bytes": len((model.text + whole.thinking).encode()),
        "last": whole.last_number,
    }


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("Application/JSON", "application/json"),
        ("text/event-stream;q=0.5, application/json", "application/json"),
        ("text/event-stream;q=0, */*", "application/json"),
        ("text/event-stream, application/json", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("*/*", "text/event-stream"),
    ],
)
async def test_a_snapshot_is_for_who_prefers_json_to_frames(
    accept: str, content_type: str, chain: Chain, client: Client
) -> None:
    answer = await client.ask("/api/chat/stream", asking(scripted(tokens=3)))
    async with Client(chain.proxy.url) as direct:
        shown = [
            await client.get(f"{path_of(answer.stream_id)}?after=0", {"Accept": accept}),
            await direct.get(f"/api/streams/{answer.stream_id}", {"Accept": accept}),
        ]

    assert [one.headers["Content-Type"].partition(";")[0] for one in shown] == [content_type] * 2


async def test_a_snapshot_whose_head_has_left_the_log_says_from_which_character_on_it_is(narrow_client: Client) -> None:
    model = scripted(tokens=400, size=600, rate=300)
    assert not model.text.isascii()  # characters are not bytes here
    async with narrow_client.open("POST", "/api/chat/stream", asking(model)) as running:
        await running.until_tokens(1)
        pages = await snapshots_until_the_end(narrow_client, running.answer.stream_id)
        await running.until_end()

    for page in pages:
        start = page.get("text_from", 0)
        assert model.text[start : start + len(page["text"])] == page["text"]
    assert "text_from" not in pages[0]
    assert pages[-1]["text_from"] > 0
    assert pages[-1]["text_from"] + len(pages[-1]["text"]) == len(model.text)
    assert pages[-1]["bytes"] == len(model.text.encode()) > LOG_BYTES


async def test_a_snapshot_shows_calls_failures_and_waiting(narrow_client: Client) -> None:
    called = await narrow_client.ask("/api/chat/stream", asking("tooler:calls=2", tools=[TOOL]))
    broken = await narrow_client.ask("/api/chat/stream", asking("sim:tokens=9,fault=error,at=3"))
    model = scripted(tokens=100, rate=50)
    async with narrow_client.open("POST", "/api/chat/stream", asking(model)) as running:
        await running.until_tokens(1)
        async with narrow_client.open("POST", "/api/chat/stream", asking(model)) as waiting:
            queued = await snapshot(narrow_client, waiting.answer.stream_id)
            waiting.leave()
        running.leave()
    pages = [await snapshot(narrow_client, answer.stream_id) for answer in (called, broken)]

    assert (queued["status"], queued["chunks"], queued["text"]) == ("queued", 0, "")
    assert pages[0]["tool_calls"] == [
        {name: call[name] for name in ("call_id", "name", "arguments")} for call in called.tool_calls
    ]
    assert (pages[1]["status"], pages[1]["text"]) == ("failed", broken.text)


async def test_a_snapshot_of_what_is_not_held_is_gone(client: Client) -> None:
    refused(await client.get(path_of("abcd." + "A" * 26), JSON), Code.STREAM_GONE)


async def test_the_proxys_snapshot_is_the_same_page(chain: Chain, client: Client) -> None:
    answer = await client.chat("sim:tokens=5")
    async with Client(chain.proxy.url) as direct:
        page = json.loads((await direct.get(f"/api/streams/{answer.stream_id}", JSON)).body)

    assert page == await snapshot(client, answer.stream_id)


# --- which ones run


def listed(gateway: Server) -> list[dict[str, Any]]:
    streams: list[dict[str, Any]] = json.loads(gateway.get("/api/chat/streams")[1])["streams"]
    return streams


def ids_of(chain: Chain, model: Scripted) -> list[str]:
    """Return the ids of the running streams that ask ``model``, as the proxy lists them."""
    streams = json.loads(chain.proxy.get("/api/streams")[1])["streams"]
    return [one["id"] for one in streams if one["model"] == model.name]


async def test_running_answers_are_listed_without_the_ids_that_are_the_keys_to_them(
    chain: Chain, client: Client
) -> None:
    models = [scripted(tokens=1000, rate=50), scripted(tokens=1000, prefill=30)]
    opened = [client.open("POST", "/api/chat/stream", asking(model)) for model in models]
    async with opened[0] as first, opened[1]:
        await first.until_tokens(3)
        rows = {row["model"]: row for row in listed(chain.gateway)}
        body = chain.gateway.get("/api/chat/streams")[1].decode()
    await soon(lambda: listed(chain.gateway) == [], "nothing runs")

    assert set(rows) == {model.name for model in models}
    assert [set(row) for row in rows.values()] == [LISTED] * 2
    assert [rows[model.name]["status"] for model in models] == ["streaming", "starting"]
    assert rows[models[0].name]["chunks"] >= 3
    assert rows[models[0].name]["bytes"] > 0
    assert first.answer.stream_id not in body
    assert first.answer.stream_id.partition(".")[2] not in body


async def test_the_proxy_lists_an_owners_streams_with_their_followers(chain: Chain) -> None:
    model = scripted(tokens=1000, rate=50)
    mine, other = {"Sluice-Owner": "ada"}, {"Sluice-Owner": "bob"}
    async with Client(chain.proxy.url) as direct, direct.open("POST", "/api/chat/stream", talk(model), mine) as first:
        await first.until_tokens(3)
        async with direct.open("GET", f"/api/streams/{first.answer.stream_id}", None, mine) as second:
            await second.until_tokens(1)
            answers = [await direct.get("/api/streams", owner) for owner in (mine, other, {})]
    rows, others, nobodys = (json.loads(answer.body)["streams"] for answer in answers)

    assert [(row["id"], row["model"], row["followers"]) for row in rows] == [(first.answer.stream_id, model.name, 2)]
    assert set(rows[0]) == {"id", "events", "followers", *LISTED}
    assert rows[0]["events"] == rows[0]["chunks"] + 1
    assert others == nobodys == []
    await soon(lambda: sample(chain.proxy, "llm_streams_active") == 0, "nothing runs")


def talk(model: Scripted) -> dict[str, Any]:
    return {"model": model.name, "messages": [{"role": "user", "content": "hi"}]}
