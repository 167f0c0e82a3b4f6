from dataclasses import replace

import orjson
import pytest

from services.dialects.dialect import Dialect
from services.dialects.gathering import GATHERED_BYTES, Gathering
from services.dialects.native import NativeObject
from services.wire.events import (
    ApiError,
    Code,
    Failed,
    Finished,
    FinishReason,
    Phase,
    Signature,
    Started,
    Status,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
    Usage,
    shutting_down,
)
from services.wire.native import Numbered

STARTED = Started("k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "llama3.2", 5)
CALL = ToolCall("call_1", "clock", {"tz": "UTC"}, extra=Signature("gemini", {"s": "opaque"}))
RESULT = ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4)
END = Finished(FinishReason.STOP, Usage(5, 21), 4, 7, Timing(0, None, None, None, None, 1, None), None)


def gathered(*events: Numbered) -> Gathering:
    gathering = Gathering()
    dialect: Dialect = gathering
    for event in events:
        assert dialect.frames([event]) == b""
    return gathering


def test_neighbouring_text_is_kept_as_one_event_under_its_last_number() -> None:
    """A token is some 150 bytes as an event of its own, and 3 as text."""
    gathering = gathered(
        (1, STARTED),
        (2, Thinking("h")),
        (3, Thinking("m")),
        (4, Token("Hel")),
        (5, Token("lo")),
        (6, CALL),
        (7, RESULT),
        (8, Token("noon")),
        (9, END),
    )

    assert gathering.events == [
        (1, STARTED),
        (3, Thinking("hm")),
        (5, Token("Hello")),
        (6, CALL),
        (7, RESULT),
        (8, Token("noon")),
    ]
    assert gathering.end == END


def test_text_without_an_event_is_kept_as_the_event_is() -> None:
    gathering = gathered((1, STARTED), (2, Token("Hel")))

    assert gathering.text(Token, 3, "lo") == b""
    assert gathering.events == [(1, STARTED), (3, Token("Hello"))]


def test_what_is_kept_is_counted_in_bytes() -> None:
    gathering = gathered((2, Token("\u0451")), (3, Thinking("\U0001f30a")), (4, ToolCall("c", "f", {"a": 1})))

    assert gathering.bytes == 2 + 4 + len('{"a":1}')


@pytest.mark.parametrize("over", [0, 1])
def test_more_than_one_object_may_hold_is_not_kept(over: int) -> None:
    gathering = gathered((2, Token("x" * (GATHERED_BYTES + over))), (3, Token("y" * 10)))

    assert gathering.is_too_long
    assert gathering.bytes == GATHERED_BYTES + (1 if over else 10)


def test_an_answer_of_just_that_size_is_not_too_long() -> None:
    assert not gathered((2, Token("x" * GATHERED_BYTES))).is_too_long


def test_it_says_nothing_and_keeps_an_end_that_is_in_no_log() -> None:
    gathering, end = Gathering(), shutting_down(0.0).failed

    assert gathering.open(STARTED) + gathering.status(Status(Phase.LOADING)) + gathering.close(end) == b""
    assert isinstance(gathering.end, Failed)


def test_a_whole_answer_with_tools_of_the_server_has_what_it_adds_to_a_conversation() -> None:
    events: list[Numbered] = [
        (1, replace(STARTED, tools=("clock",))),
        (2, replace(CALL, runs_here=True)),
        (3, RESULT),
        (4, Token("noon")),
        (5, ToolCall("call_2", "theirs", {})),
    ]
    _, _, body = NativeObject().whole(events, replace(END, turns=2))
    whole = orjson.loads(body)

    assert (whole["tools"], whole["turns"]) == (["clock"], 2)
    assert [call["id"] for call in whole["message"]["tool_calls"]] == ["call_2"]
    assert whole["messages"][1:] == [
        {"role": "tool", "content": "12:00", "tool_name": "clock", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "noon", "tool_calls": [
            {"id": "call_2", "function": {"name": "theirs", "arguments": {}}},
        ]},
    ]  # fmt: skip


def test_a_result_is_counted_in_bytes_too() -> None:
    assert gathered((2, RESULT)).bytes == len("12:00")


def test_a_whole_answer_of_nothing_names_no_model() -> None:
    _, _, body = NativeObject().whole([], END)

    assert (orjson.loads(body)["model"], orjson.loads(body)["message"]["content"]) == ("", "")


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([], Code.UPSTREAM_DISCONNECTED),
        ([(1, STARTED), (2, Token("half"))], Code.UPSTREAM_DISCONNECTED),
        ([(1, STARTED), (2, Token("half")), (3, Failed(Code.QUEUE_TIMEOUT, "words"))], Code.QUEUE_TIMEOUT),
        ([(2, Token("x" * (GATHERED_BYTES + 1))), (3, END)], Code.UPSTREAM_ERROR),
    ],
    ids=["nothing", "half", "failed", "too long"],
)
def test_what_has_no_good_end_is_no_whole_answer(events: list[Numbered], code: Code) -> None:
    with pytest.raises(ApiError) as refusal:
        gathered(*events).finished()

    assert refusal.value.failed.code is code


def test_what_ended_well_is_whole() -> None:
    assert gathered((1, STARTED), (2, Token("a")), (3, END)).finished() == END


def test_thinking_and_calls_stand_in_the_native_object_and_nothing_where_there_are_none() -> None:
    seal = Signature("anthropic", {"s": "opaque"})
    events = gathered((1, STARTED), (2, Thinking("hm")), (3, seal), (4, CALL)).events
    _, _, whole = NativeObject().whole(events, END)
    _, _, plain = NativeObject().whole(gathered((1, STARTED), (2, Token("a"))).events, END)

    assert orjson.loads(whole)["message"] == {
        "role": "assistant",
        "content": "",
        "thinking": "hm",
        "tool_calls": [
            {
                "id": "call_1",
                "function": {"name": "clock", "arguments": {"tz": "UTC"}},
                "extra": {"provider": "gemini", "data": {"s": "opaque"}},
            }
        ],
        "extra": [{"provider": "anthropic", "data": {"s": "opaque"}}],
    }
    assert orjson.loads(plain)["message"] == {"role": "assistant", "content": "a"}
