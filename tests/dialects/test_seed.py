from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialects.dialect import Dialect
from services.dialects.seed import SeedFrames
from services.wire.events import (
    Code,
    Failed,
    Finished,
    FinishReason,
    Phase,
    ServedBy,
    Signature,
    Started,
    Status,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
    Usage,
)
from services.wire.native import Numbered
from services.wire.sse import ServerSentEvent, SseDecoder

ID = "k3fa.4MZ6ABCDEFGHIJKLMNOPQRSTUV"
TIMING = Timing(queue_ms=3, load_ms=0, prefill_ms=120, decode_ms=1690, ttft_ms=210, total_ms=1900, tokens_per_s=19.5)
DONE = Finished(FinishReason.STOP, Usage(12, 34), 33, 161, TIMING, ServedBy("ollama", "llama3.2", 1))
SEED: Dialect = SeedFrames(ID, request_id="r-1", model="llama3.2")
EVENTS: list[Numbered] = [
    (1, Started(ID, "llama3.2", 0.0)),
    (2, Thinking("The user greets")),
    (3, Token("Hello")),
    (4, ToolCall("call_1", "clock", {"tz": "UTC"}, extra=Signature("gemini", {"s": "opaque"}))),
    (5, ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4)),
    (6, DONE),
    (7, Failed(Code.UPSTREAM_ERROR, "words")),
]


def test_a_provider_s_signature_is_not_told() -> None:
    assert SEED.frames([(4, Signature("gemini", {"s": "opaque"}))]) == b""


def dispatched(frames: bytes) -> list[ServerSentEvent]:
    return list(SseDecoder().feed(frames))


@pytest.mark.parametrize(
    ("event", "frame"),
    [
        (
            EVENTS[0],
            f'id: {ID}-1\nevent: start\ndata: {{"token":"","done":false,"stream_id":"{ID}","model":"llama3.2"}}\n\n',
        ),
        (EVENTS[1], f'id: {ID}-2\nevent: thinking\ndata: {{"token":"","done":false,"thinking":"The user greets"}}\n\n'),
        (EVENTS[2], f'id: {ID}-3\ndata: {{"token":"Hello","done":false}}\n\n'),
    ],
    ids=["start", "thinking", "token"],
)
def test_a_frame_is_that_of_the_protocol_s_example(event: Numbered, frame: str) -> None:
    assert SEED.frames([event]) == frame.encode()


@pytest.mark.parametrize("event", [Token("Hello 🌊"), Thinking('"\n')])
def test_text_without_an_event_is_the_event_s_frame(event: Token | Thinking) -> None:
    assert SEED.text(type(event), 7, event.content) == SEED.frames([(7, event)])


def test_the_final_frame_is_that_of_the_protocol_s_example() -> None:
    (event,) = dispatched(SEED.frames([EVENTS[5]]))
    data = orjson.loads(event.data)

    assert (event.type, event.last_event_id) == ("message", f"{ID}-6")
    assert list(data)[:4] == ["token", "done", "done_reason", "model"]
    assert (data["token"], data["done"], data["done_reason"], data["model"]) == ("", True, "stop", "llama3.2")
    assert data["usage"] == {"input_tokens": 12, "output_tokens": 34}
    assert data["timing"]["ttft_ms"] == 210
    assert "type" not in data


def test_a_tool_s_call_and_its_result_stand_in_fields_of_their_own() -> None:
    call, result = (orjson.loads(event.data) for event in dispatched(SEED.frames(EVENTS[3:5])))

    assert call["tool_call"] == {"call_id": "call_1", "name": "clock", "arguments": {"tz": "UTC"}}
    assert result["tool_result"] == {
        "call_id": "call_1",
        "name": "clock",
        "ok": True,
        "content": "12:00",
        "duration_ms": 4,
    }


def test_a_failure_is_an_error_event_that_is_done() -> None:
    (event,) = dispatched(SEED.frames([EVENTS[6]]))

    assert event.type == "error"
    assert orjson.loads(event.data) == {
        "token": "",
        "done": True,
        "error": {"code": "upstream_error", "message": "words", "retryable": True, "request_id": "r-1"},
    }


@pytest.mark.parametrize("end", [replace(DONE, skipped_lines=2), Failed(Code.INTERNAL, "words", skipped_lines=2)])
def test_what_was_left_out_is_said_at_either_end(end: Finished | Failed) -> None:
    (event,) = dispatched(SEED.frames([(6, end)]))

    assert orjson.loads(event.data)["skipped_lines"] == 2


def test_a_status_frame_has_no_id_and_no_hole() -> None:
    frame = SEED.status(Status(Phase.QUEUED, position=2))

    assert frame == b'event: status\ndata: {"token":"","done":false,"phase":"queued","position":2}\n\n'


def test_tools_are_told_in_full_and_a_provider_s_own_field_is_not() -> None:
    call, result = (orjson.loads(event.data) for event in dispatched(SEED.frames(EVENTS[3:5])))

    assert call == {
        "token": "",
        "done": False,
        "tool_call": {"call_id": "call_1", "name": "clock", "arguments": {"tz": "UTC"}},
    }
    assert result["tool_result"] == {
        "call_id": "call_1",
        "name": "clock",
        "ok": True,
        "content": "12:00",
        "duration_ms": 4,
    }


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event[1]).__name__)
def test_the_simplest_reader_never_meets_a_hole(event: Numbered) -> None:
    """Every frame has ``token``, a string, and ``done``, true at the end only."""
    (dispatch,) = dispatched(SEED.frames([event]))
    data = orjson.loads(dispatch.data)

    assert isinstance(data["token"], str)
    assert data["done"] is (event[0] >= 6)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event[1]).__name__)
def test_onmessage_sees_text_and_the_end_and_nothing_else(event: Numbered) -> None:
    (dispatch,) = dispatched(SEED.frames([event]))

    assert (dispatch.type == "message") is isinstance(event[1], Token | Finished)


@given(texts=st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_comes_back_from_its_frames(texts: list[str]) -> None:
    frames = SEED.frames([(number, Token(text)) for number, text in enumerate(texts, 1)])

    assert [orjson.loads(event.data)["token"] for event in dispatched(frames)] == texts


def test_the_first_frame_and_an_end_that_is_in_no_log_are_written_as_the_others() -> None:
    seed = SeedFrames(ID, request_id="r-1", model="llama3.2")
    (end,) = dispatched(seed.close(Failed(Code.SHUTTING_DOWN, "words")))

    assert seed.open(Started(ID, "llama3.2", 0.0)) == SEED.frames(EVENTS[:1])
    assert (end.type, end.last_event_id) == ("error", "")
