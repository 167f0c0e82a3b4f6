"""How an answer ends for a client made for OpenAI, who cannot come back: never cleanly where it is not whole.

Of gateway/routes/foreign.py, gateway/relay/repeats.py and the dialects. What is asked is behaviour/test_openai.
"""

import asyncio
import json
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of, gateway_beside, sample, told
from tests.behaviour.gate import common_gate
from tests.behaviour.openai_client import (
    CHAT,
    PATHS,
    RESPONSES,
    asking,
    error_of,
    is_whole,
    objects,
    refused_as_openai,
    said,
)
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.reader import Client

TINY_BUFFER_BYTES: Final = 4096
FORMS: Final = (True, False)
FAILS: Final = {
    "status=500": (502, "upstream_error"),
    "status=503": (503, "upstream_unavailable"),
    "fault=error,at=0": (502, "upstream_error"),
}
"""Models that say nothing, and what becomes of them."""
REPEAT: Final = {"x-stainless-retry-count": "1"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator) as chain, common_gate(chain):
        yield chain


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("truncate", "upstream_truncated"),
        ("reset", "upstream_disconnected"),
        ("cut", "upstream_disconnected"),
        ("error", "upstream_error"),
        ("stall", "upstream_timeout"),
    ],
)
async def test_an_answer_that_breaks_keeps_its_text_and_ends_in_an_error(
    fault: str, code: str, path: str, client: Client
) -> None:
    """Known bugs of others: an invented finish reason, a failure that is swallowed, a terminator behind it."""
    model = scripted(tokens=9, fault=fault, at=3)
    answer = await client.ask(path, asking(path, model.name))

    assert error_of(path, answer)["code"] == code
    assert said(path, answer) == "".join(model.tokens[:3])
    assert answer.ended_cleanly


@pytest.mark.parametrize("stream", FORMS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("script", "status"), FAILS.items())
async def test_a_failure_before_the_first_word_is_a_status(
    script: str, status: tuple[int, str], path: str, stream: bool, client: Client
) -> None:
    """Or the stream's error: where the proxy asks again its headers may have left meanwhile."""
    answer = await client.ask(path, asking(path, f"{scripted(tokens=9).name},{script}", stream=stream))
    if stream and answer.status == 200:
        assert error_of(path, answer)["code"] == status[1]
        return
    error = refused_as_openai(answer, status[0])

    assert (error["code"], error["type"]) == (status[1], "server_error")
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", PATHS)
async def test_a_model_server_that_is_always_away_is_asked_three_times_and_not_nine(
    path: str, chain: Chain, client: Client
) -> None:
    """A known bug of others: the client's attempts times ours. Ours are told not to be repeated."""
    model = f"{scripted(tokens=9).name},status=503"
    answer = await client.ask(path, asking(path, model, stream=False))

    assert answer.headers["x-should-retry"] == "false"
    assert len(calls_of(chain, model)) <= 3


@pytest.mark.parametrize("stream", FORMS)
@pytest.mark.parametrize("path", PATHS)
async def test_leaving_cancels_at_once(path: str, stream: bool, chain: Chain) -> None:
    """C1, C2."""
    model = scripted(tokens=3000, rate=50)
    request_id = f"left-{path.rpartition('/')[2]}-{stream}"
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.ask(path, asking(path, model.name, stream=stream), {"X-Request-Id": request_id})
        await soon(lambda: [call["state"] for call in calls_of(chain, model.name)] == ["streaming"], "it streams")
        client.fin()
        assert await told(chain.proxy, request_id) == ["cancelled"]
    await soon(lambda: calls_of(chain, model.name)[0]["left_at"], "the model server saw it")

    assert await told(chain.gateway, request_id) == ["client_gone"]


async def test_a_reader_that_stops_reading_is_cut_and_its_body_never_ends_properly(chain: Chain) -> None:
    """C4."""
    model = scripted(tokens=1900, size=4096, rate=200)
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) as client:
        await client.ask(CHAT, asking(CHAT, model.name), {"X-Request-Id": "slow-chunks"})
        await client.until(lambda answer: answer.body.count(b"\n") > 10)
        assert await told(chain.gateway, "slow-chunks", 15.0) == ["slow_client"]
        assert await told(chain.proxy, "slow-chunks") == ["cancelled"]
        await client.until_closed()

    assert not client.answer.ended_cleanly
    assert b"[DONE]" not in client.answer.body


async def test_a_drain_is_told_in_the_language_of_the_answer(chain: Chain) -> None:
    """L2."""
    models = {path: scripted(tokens=3000, rate=50).name for path in PATHS}
    with gateway_beside(chain, DRAIN_S="0.3") as gateway:
        async with Client(gateway.url) as client, asyncio.TaskGroup() as tasks:
            reading = {path: tasks.create_task(client.ask(path, asking(path, models[path]))) for path in PATHS}
            for model in models.values():
                await speaks(chain, model)
            gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0  # the proxy has been told who left
    for path in PATHS:
        answer = reading[path].result()
        assert error_of(path, answer)["code"] == "shutting_down"
        assert answer.ended_cleanly
        await soon(partial(is_left, chain, models[path]), "the model server saw it")


async def speaks(chain: Chain, model: str) -> None:
    """Wait until a model has said some words to the one who asked it."""
    await soon(lambda: [call["tokens"] > 3 for call in calls_of(chain, model)] == [True], "some words")


def is_left(chain: Chain, model: str) -> bool:
    """Whether the model server saw that the one who asked has gone."""
    return bool(calls_of(chain, model)[0]["left_at"])


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_somebody_stops_ends_in_an_error(path: str, chain: Chain, client: Client) -> None:
    model = scripted(tokens=3000, rate=50)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(client.ask(path, asking(path, model.name)))
        await speaks(chain, model.name)
        (stream,) = json.loads(chain.proxy.get("/api/streams")[1])["streams"]
        await client.ask(f"/api/chat/stream/{stream['id']}/cancel")

    assert error_of(path, reading.result())["code"] == "cancelled"


@pytest.mark.parametrize("path", PATHS)
async def test_a_silent_model_server_is_bridged_by_heartbeats_between_frames(path: str, client: Client) -> None:
    """Known bugs of others: no heartbeat, one inside a frame, or one that no agent counts."""
    answer = await client.ask(path, asking(path, scripted(tokens=3, prefill=2).name))

    assert is_whole(path, answer)
    if path == CHAT:
        assert answer.wire.count(b"\n\n: hb\n") >= 1
        assert answer.wire.count(b": hb\n") + len(objects(answer)) > 5
    else:
        assert [one["type"] for one in objects(answer)].count("keepalive") >= 2
        assert [one["sequence_number"] for one in objects(answer)] == list(range(len(objects(answer))))


async def test_heartbeats_do_not_hide_a_dead_model_server(client: Client) -> None:
    """A known bug of others: pings go on for ever. Here the first token has its time, and then it is an error."""
    answer = await client.ask(CHAT, asking(CHAT, scripted(tokens=3, prefill=30).name))

    assert error_of(CHAT, answer)["code"] == "upstream_timeout"


def too_late(chain: Chain) -> Server:
    """Run one more gateway, to which a whole answer is too late after a second."""
    return Server("tests.behaviour.retimed_gateway", chain.gateway_environ)


async def test_a_whole_answer_that_takes_too_long_is_an_error_and_its_model_stops(chain: Chain) -> None:
    model = scripted(tokens=3000, rate=50)
    gateway = too_late(chain)
    try:
        eventually(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready")
        async with Client(gateway.url) as client:
            answer = await client.ask(CHAT, asking(CHAT, model.name, stream=False))
        await soon(partial(is_left, chain, model.name), "the model server saw it")
    finally:
        gateway.stop()

    error = refused_as_openai(answer, 504)
    assert (error["code"], answer.headers["x-should-retry"]) == ("upstream_timeout", "false")


# --- repeats


async def first_attempt(client: Client, path: str, body: dict[str, Any], model: str, chain: Chain) -> Any:
    reading = asyncio.get_running_loop().create_task(client.ask(path, body))
    await speaks(chain, model)
    return reading


@pytest.mark.parametrize("path", PATHS)
async def test_a_repeat_first_stops_what_is_left_of_the_attempt_before(path: str, chain: Chain, client: Client) -> None:
    """Where its socket died half-open, nobody has seen that client leave."""
    model = scripted(tokens=3000, rate=50).name
    body = asking(path, model)
    first = await first_attempt(client, path, body, model, chain)
    async with client.open("POST", path, body, REPEAT) as again:
        await again.some()
        before, after = calls_of(chain, model)
        again.leave()

    assert error_of(path, await first)["code"] == "cancelled"
    assert before["left_at"]
    assert before["tokens"] < 3000
    assert after["model"] == model


@pytest.mark.parametrize("what", ["another body", "another route", "the first attempt", "no number"])
async def test_what_is_no_repeat_stops_nothing(what: str, chain: Chain, client: Client) -> None:
    model = scripted(tokens=40, rate=40).name
    body = asking(CHAT, model)
    first = await first_attempt(client, CHAT, body, model, chain)
    path = RESPONSES if what == "another route" else CHAT
    other = asking(path, model, user="x") if what == "another body" else asking(path, model)
    count = {"the first attempt": "0", "no number": "-1"}.get(what, "1")
    second = await client.ask(path, other, {"x-stainless-retry-count": count})

    assert is_whole(CHAT, await first)
    assert is_whole(path, second)


async def test_a_repeat_stops_a_whole_answer_too(chain: Chain, client: Client) -> None:
    model = scripted(tokens=100, rate=40).name
    body = asking(CHAT, model, stream=False)
    first = await first_attempt(client, CHAT, body, model, chain)
    second = await client.ask(CHAT, body, REPEAT)

    assert refused_as_openai(await first, 409)["code"] == "cancelled"
    assert second.status == 200
    assert sample(chain.gateway, "llm_dialect_streams_finished_total", dialect="openai_chat", reason="cancelled") >= 1


async def test_the_repeat_of_an_attempt_that_was_refused_stops_none_of_its_equals(chain: Chain) -> None:
    """The SDKs ask again after a 503 and a 429: whoever asks the same of several at once would lose them all."""
    model = scripted(tokens=3000, rate=50).name
    body = asking(CHAT, model)
    with gateway_beside(chain, MAX_STREAMS="2") as gateway:
        async with Client(gateway.url) as client, client.open("POST", CHAT, body) as one:
            await one.some()
            async with client.open("POST", CHAT, body) as other:
                await other.some()
                refused = [await client.ask(CHAT, body, headers) for headers in ({}, REPEAT)]
                seen = calls_of(chain, model)
                other.leave()
            one.leave()
        await soon(lambda: all(call["left_at"] for call in calls_of(chain, model)), "the model server saw both leave")

    assert [refused_as_openai(answer, 503)["code"] for answer in refused] == ["overloaded"] * 2
    assert [call["left_at"] for call in seen] == [None] * 2
