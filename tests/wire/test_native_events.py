"""Frames back into events: the decoder is held to the encoder, both ways."""

from dataclasses import replace
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire.events import (
    EVENT_NAMES,
    Approval,
    Code,
    Event,
    Failed,
    Finished,
    FinishReason,
    Phase,
    ServedBy,
    Signature,
    Stage,
    Started,
    Status,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
    TriedServer,
    Usage,
)
from services.wire.native import HopBroken, NativeFrames
from services.wire.native_events import NOT_IN_THE_LOG, READERS, Decoded, decoded, events_of

ID = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TIMING = Timing(queue_ms=3, load_ms=None, prefill_ms=120, decode_ms=1690, ttft_ms=210, total_ms=1900, tokens_per_s=19.5)
COUNTED = Finished(
    FinishReason.TOOL_CALLS,
    Usage(12, None),
    chunks=33,
    bytes=161,
    timing=TIMING,
    served_by=ServedBy("ollama", "llama3.2", 1),
    skipped_lines=2,
    last_word={"done_reason": "stop", "eval_count": 34},
)
NOT_COUNTED = Finished(FinishReason.CANCELLED, None, 0, 0, TIMING, None)
CLOUD = ServedBy("groq", "llama-3.3-70b", 2, server="groq", dropped=("options.top_k",))
THOUGHT = Finished(FinishReason.STOP, Usage(12, 34, 20), 1, 2, TIMING, CLOUD)
EVENTS: list[Event] = [
    Started(ID, "llama3.2", 5),
    Started(ID, "llama3.2", 5, tools=()),
    Started(ID, "llama3.2", 5, tools=("clock", "weather")),
    Status(Phase.QUEUED, position=2),
    Status(Phase.RETRYING, attempt=2),
    Status(Phase.RETRYING, attempt=3, server="groq"),
    Status(Phase.APPROVAL, name="clock", call_id="call_3"),
    Thinking("The user greets"),
    Token("a\u2028b\n\nevent: done\n"),
    Signature("anthropic", {"signature": "EvQB", "characters": 15}),
    ToolCall("call_1", "clock", {"tz": "UTC", "deep": [{"a": None}]}),
    ToolCall("call_2", "clock", {}, Signature("gemini", {"thoughtSignature": "Eo0H"})),
    ToolCall("call_3", "clock", {}, runs_here=True, needs_approval=True),
    ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4.5),
    ToolResult("call_3", "clock", ok=False, content="No.", duration_ms=0, approval=Approval.REFUSED),
    COUNTED,
    NOT_COUNTED,
    THOUGHT,
    replace(THOUGHT, timing=replace(TIMING, tools_ms=4.5), turns=2),
    Failed(Code.UPSTREAM_TIMEOUT, "Silent.", Stage.IDLE, retryable=True, skipped_lines=1),
    Failed(Code.UPSTREAM_ERROR, "It broke.", retryable=False),
    Failed(Code.UPSTREAM_UNAVAILABLE, "Nobody.", retryable=True, tried=(TriedServer("gpu1", "refused"),)),
]


def framed(*events: Event) -> bytes:
    dialect = NativeFrames(ID, request_id="r-1", heartbeat_s=10)
    return b"".join(
        dialect.status(event) if isinstance(event, Status) else dialect.frames([(number, event)])
        for number, event in enumerate(events, 1)
    )


def read(frames: bytes) -> list[Decoded]:
    return list(events_of(frames))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_frame(event: Event) -> None:
    number = NOT_IN_THE_LOG if isinstance(event, Status) else 1

    assert read(framed(event)) == [(number, event)]


def test_each_event_of_the_encoder_has_its_reader_and_each_reader_its_event() -> None:
    assert set(READERS) == set(EVENT_NAMES.values())
    assert {type(event) for event in EVENTS} == set(EVENT_NAMES) == set(get_args(Event))


def test_events_come_in_the_order_of_their_frames() -> None:
    assert [event for _, event in read(b": hb\n" + framed(*EVENTS))] == EVENTS


@given(st.text(min_size=1))
def test_any_text_comes_back(text: str) -> None:
    assert read(framed(Token(text), Thinking(text))) == [(1, Token(text)), (2, Thinking(text))]


@pytest.mark.parametrize(
    "frame",
    [
        b'id: a-2\nevent: sealed\ndata: {"type":"sealed","content":"x"}\n\n',
        b'data: {"type":"token"}\n\n',
        b'event: status\ndata: {"type":"status","phase":"dreaming"}\n\n',
    ],
    ids=["event", "no name", "phase"],
)
def test_what_is_not_known_is_ignored(frame: bytes) -> None:
    """A proxy may be newer than its gateway."""
    assert read(frame + framed(Token("a"))) == [(1, Token("a"))]


def test_keys_that_are_not_known_are_ignored() -> None:
    data = orjson.loads(framed(COUNTED).split(b"data: ")[1])
    data |= {"mood": 2, "usage": {**data["usage"], "cached_tokens": 3}, "timing": {**data["timing"], "naps_ms": 1}}
    data["served_by"]["region"] = "here"

    assert list(decoded(f"{ID}-7", "done", data)) == [(7, COUNTED)]


@pytest.mark.parametrize(
    "frame",
    [
        b"id: a-2\nevent: token\ndata: {}\n\n",
        b'id: a-2\nevent: token\ndata: {"content":7}\n\n',
        b'id: a-2\nevent: tool_call\ndata: {"call_id":"c","name":"f","arguments":"{}"}\n\n',
        b'id: a-2\nevent: done\ndata: {"finish_reason":"bored"}\n\n',
        b'id: a-2\nevent: error\ndata: {"error":{"code":"strange","message":""}}\n\n',
        b'id: a-2\nevent: error\ndata: {"error":[]}\n\n',
        b'id: a-x\nevent: token\ndata: {"content":"a"}\n\n',
        b"id: a-2\nevent: token\ndata: no JSON\n\n",
    ],
    ids=["no text", "text", "arguments", "reason", "code", "error", "number", "JSON"],
)
def test_what_no_proxy_writes_breaks_the_hop(frame: bytes) -> None:
    with pytest.raises(HopBroken):
        read(frame)
