"""The bytes that a reader gets: the form of native frames, and the proxy's seed dialect."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.behaviour.frames import frames
from tests.behaviour.refusals import GENERATE, asking
from tests.behaviour.script import scripted
from tests.chain import Chain
from tests.reader import Client

NATIVE: Final = {"Accept": "text/event-stream;dialect=native"}
HEARTBEAT_S: Final = 0.3
CLOCK: Final = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"properties": {"tz": {"type": "string"}}}},
}
DONE_KEYS: Final = ["type", "finish_reason", "usage", "chunks", "bytes", "timing", "served_by", "gateway"]


@pytest.fixture
async def direct(chain: Chain) -> AsyncIterator[Client]:
    async with Client(chain.proxy.url) as client:
        yield client


# --- form


async def test_every_frame_has_its_fields_in_order_on_lines_that_end_in_lf(client: Client, direct: Client) -> None:
    """id, event, retry, data; no CR, no mark of byte order; `data` on one line: all asserted in frames()."""
    model = scripted(tokens=400, think=10, load=1.2)
    answers = await asyncio.gather(
        client.ask(GENERATE, asking(model.name)),
        client.chat(scripted("tooler").name, tools=[CLOCK]),
        client.chat(scripted(tokens=9, fault="error", at=4).name),
        direct.ask(GENERATE, asking(scripted(tokens=400, think=10).name)),
        direct.ask(GENERATE, asking(scripted(tokens=9, fault="error", at=4).name)),
    )

    taken = [frames(answer.wire) for answer in answers]
    assert [len(some) for some in taken] == [len(answer.events) for answer in answers]
    assert {frame["retry"] for some in taken for frame in some if frame["retry"]} == {"2000"}
    assert [bool(frame["retry"]) for frame in taken[0]] == [frame["event"] == "start" for frame in taken[0]]
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]{1,64}", frame["id"] or "-") for some in taken for frame in some)


async def test_the_native_frames_have_the_keys_of_the_protocol_in_its_order(client: Client) -> None:
    answer = await client.chat(scripted(tokens=3, think=2).name, conversation_id="c_8f")
    keys = {data["type"]: list(data) for data in answer.data}

    assert keys == {
        "start": [
            *("type", "stream_id", "request_id", "model", "resume_window_s", "heartbeat_s", "conversation_id"),
        ],
        "thinking": ["type", "content"],
        "token": ["type", "content"],
        "done": DONE_KEYS,
    } | ({"status": ["type", "phase"]} if "status" in keys else {})
    assert answer.data[0]["conversation_id"] == "c_8f"
    assert answer.data[0]["heartbeat_s"] == HEARTBEAT_S
    assert answer.data[0]["request_id"] == answer.headers["X-Request-Id"]


async def test_the_stream_says_how_long_it_waits_for_who_left(client: Client, direct: Client) -> None:
    cancel, stay, alone = await asyncio.gather(
        client.chat(scripted(tokens=1).name),
        client.chat(scripted(tokens=1).name, on_disconnect="continue"),
        direct.ask(GENERATE, asking(scripted(tokens=1).name), NATIVE),
    )

    assert [answer.data[0]["resume_window_s"] for answer in (cancel, stay, alone)] == [5, 30, 0]


async def test_the_headers_keep_everything_between_from_holding_tokens_back(client: Client, direct: Client) -> None:
    squeezed = {"Accept-Encoding": "gzip, br, zstd"}
    answers = [await one.ask(GENERATE, asking(scripted(tokens=1).name), squeezed) for one in (client, direct)]

    for answer in answers:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store, no-transform"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in answer.headers
        assert answer.stream_id == answer.data[0]["stream_id"]
        assert re.fullmatch(r"[A-Za-z0-9]{1,16}\.[A-Z2-7]{26}", answer.stream_id)
    assert answers[1].headers["Sluice-Heartbeat"] == "0.3"


# --- the seed dialect


async def test_the_simplest_reader_gets_the_whole_answer_from_the_proxy(direct: Client) -> None:
    """A loop over `data:` lines that prints `token` until `done`."""
    model = scripted(tokens=300, think=30, load=1.2)
    answer = await direct.ask(GENERATE, asking(model.name))
    lines = [line for line in bytes(answer.wire).decode().split("\n") if line.startswith("data: ")]
    text, over = "", False
    for data in answer.data:
        assert not over
        text, over = text + data["token"], data["done"]

    assert len(lines) == len(answer.data)
    assert (text, over) == (model.text, True)


async def test_the_seed_frames_are_named_only_where_onmessage_need_not_see_them(direct: Client) -> None:
    model = scripted(tokens=5, think=3, load=1.2)
    answer = await direct.ask(GENERATE, asking(model.name))
    taken = frames(answer.wire)
    start, waits, thinking, token, end = kinds(taken)

    assert start == ("start", ["token", "done", "stream_id", "model"])
    assert waits == ("status", ["token", "done", "phase"])
    assert thinking == ("thinking", ["token", "done", "thinking"])
    assert token == (None, ["token", "done"])
    assert end == (None, ["token", "done", "done_reason", "model", "usage", "chunks", "bytes", "timing", "served_by"])


def kinds(taken: list[Any]) -> list[tuple[str | None, list[str]]]:
    """The name and keys of each frame, neighbours of one kind taken together."""
    found: list[tuple[str | None, list[str]]] = []
    for frame in taken:
        kind = (frame["event"], list(frame.data))
        if not found or found[-1] != kind:
            found.append(kind)
    return found


async def test_a_seed_token_frame_is_these_bytes(direct: Client) -> None:
    answer = await direct.ask(GENERATE, asking(scripted(tokens=1, size=9).name))
    token = next(
        frame for frame in bytes(answer.wire).split(b"\n\n") if b'"done":false' in frame and b"event" not in frame
    )

    assert token == b'id: %b-2\ndata: {"token":"%b","done":false}' % (answer.stream_id.encode(), answer.text.encode())


async def test_a_seed_tool_call_and_a_seed_error_are_events_with_names(direct: Client) -> None:
    body = {"model": "tooler", "messages": [{"role": "user", "content": "hi"}], "tools": [CLOCK]}
    called = await direct.ask("/api/chat/stream", body)
    broken = await direct.ask(GENERATE, asking(scripted(tokens=9, fault="truncate", at=4).name))
    call = next(frame for frame in frames(called.wire) if frame["event"] == "tool_call")

    assert list(call.data) == ["token", "done", "tool_call"]
    assert list(call.data["tool_call"]) == ["call_id", "name", "arguments"]
    assert called.reason == "tool_calls"
    assert broken.events[-1].type == "error"
    assert list(broken.data[-1]) == ["token", "done", "error"]
