from typing import Any

import pytest

from gateway.conversations.answer import lost, status_of, taken_from
from gateway.store.rows import Answer, Status
from services.wire.events import Code, FinishReason

BEFORE = Answer("ms_1", Status.STREAMING)
DONE = {"finish_reason": "stop", "usage": {"output_tokens": 2}, "timing": {"total_ms": 9}, "served_by": {"model": "m"}}


def snapshot(**more: Any) -> dict[str, Any]:
    return {"text": "Hello", "thinking": "hm", "tool_calls": [], "last": 3, **more}


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (FinishReason.STOP, Status.SENT),
        (FinishReason.LENGTH, Status.SENT),
        (FinishReason.TOOL_CALLS, Status.SENT),
        (FinishReason.CONTENT_FILTER, Status.SENT),
        (FinishReason.CANCELLED, Status.STOPPED),
        (FinishReason.ABANDONED, Status.INTERRUPTED),
        (Code.SHUTTING_DOWN, Status.INTERRUPTED),
        (Code.UPSTREAM_DISCONNECTED, Status.FAILED),
        (Code.QUEUE_TIMEOUT, Status.FAILED),
        ("a word of a newer proxy", Status.FAILED),
    ],
)
def test_every_end_is_a_status(reason: str, status: Status) -> None:
    assert status_of(reason) is status


def test_of_an_answer_that_goes_on_its_text_is_known() -> None:
    known = taken_from(snapshot(), BEFORE)

    assert (known.status, known.content, known.thinking, known.code) == (Status.STREAMING, "Hello", "hm", None)


def test_an_answer_that_is_over_is_known_with_its_numbers() -> None:
    known = taken_from(snapshot(end=DONE), BEFORE)

    assert (known.status, known.code) == (Status.SENT, "stop")
    assert (known.usage, known.timing, known.served_by) == (DONE["usage"], DONE["timing"], DONE["served_by"])


def test_a_failed_answer_keeps_its_text_and_its_code() -> None:
    known = taken_from(snapshot(end={"error": {"code": "upstream_timeout", "message": "words"}}), BEFORE)

    assert (known.status, known.code, known.content) == (Status.FAILED, "upstream_timeout", "Hello")


def test_a_head_that_has_left_the_log_is_in_what_was_known_before() -> None:
    before = Answer("ms_1", Status.STREAMING, content="Once upon a", thinking="well hm")

    known = taken_from(snapshot(text="upon a time", text_from=5, thinking_from=5), before)

    assert (known.content, known.thinking) == ("Once upon a time", "well hm")


def test_calls_that_ran_here_are_shown_in_their_places_with_what_came_of_them() -> None:
    calls = [
        {"call_id": "call_1", "name": "clock", "arguments": {}, "runs": "server"},
        {"call_id": "call_2", "name": "own", "arguments": {}},
        {"call_id": "call_3", "name": "date", "arguments": {}, "runs": "server"},
    ]
    results = [{"call_id": "call_1", "name": "clock", "ok": True, "content": "12:00", "duration_ms": 4}]
    turns = [
        {"role": "assistant", "content": "Hm. ", "tool_calls": [{}]},
        {"role": "tool", "content": "12:00"},
        {"role": "assistant", "content": "And", "tool_calls": [{}]},
        {"role": "assistant", "content": "so."},
    ]

    known = taken_from(snapshot(tool_calls=calls, tool_results=results, messages=turns), BEFORE)

    assert known.tool_calls == (calls[1],)
    assert known.tools == ({**calls[0], **results[0], "at": 4}, {**calls[2], "at": len("Hello")})
    assert known.turns == tuple(turns)


def test_an_answer_whose_stream_is_gone_is_interrupted_with_what_was_known() -> None:
    known = lost(taken_from(snapshot(), BEFORE), Code.STREAM_GONE)

    assert (known.status, known.code, known.content) == (Status.INTERRUPTED, "stream_gone", "Hello")
