"""services/termchat/answer_events.py: what a server said, whatever it is."""

import json
from typing import Any

import pytest

from services.termchat.answer_events import (
    AnswerFailed,
    event_of,
    number_at,
    object_of,
    objects_in,
    refusal,
    tools_in,
)
from services.wire.events import ToolCall, ToolResult

BUSY = json.dumps({"error": {"code": "overloaded", "message": "Later.", "retryable": True, "request_id": "r-1"}})


def test_a_refusal_in_our_shape_keeps_its_words_and_its_wait() -> None:
    assert refusal(503, BUSY.encode(), "2") == AnswerFailed("overloaded", "Later.", True, 2.0, "r-1")


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (407, "unauthorized"), (502, "")])
@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"{}", b"[" * 100_000])
def test_a_refusal_by_what_stands_before_the_gateway_is_told_by_its_status(status: int, code: str, body: bytes) -> None:
    failed = refusal(status, body, "Sat, 28 Nov 2026 12:00:00 GMT")

    assert (failed.code, failed.retry_after_s) == (code, None)
    assert str(status) in failed.message


def test_a_tool_s_result_is_read_as_it_was_written() -> None:
    data = {"type": "tool_result", "call_id": "c1", "name": "clock", "ok": True, "content": "12:00", "duration_ms": 4}

    assert event_of(data) == ToolResult("c1", "clock", ok=True, content="12:00", duration_ms=4)


@pytest.mark.parametrize(("arguments", "read"), [({"tz": "UTC"}, {"tz": "UTC"}), (None, {}), ("{}", {})])
def test_a_tool_s_arguments_are_an_object_or_none(arguments: object, read: dict[str, str]) -> None:
    data = {"type": "tool_call", "call_id": "c1", "name": "clock", "arguments": arguments}

    assert event_of(data) == ToolCall("c1", "clock", read)


@pytest.mark.parametrize("rows", [None, 5, {"a": 1}, [1, "x"]])
def test_a_list_that_is_none_or_holds_no_objects_is_empty(rows: object) -> None:
    assert objects_in({"models": rows}, "models") == []


@pytest.mark.parametrize(("data", "number"), [({"a": {"b": 2}}, 2.0), ({"a": 2}, None), ({"a": {"b": True}}, None)])
def test_a_number_is_found_inside_objects_only(data: dict[str, object], number: float | None) -> None:
    assert number_at(data, "a", "b") == number
    assert object_of(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("told", "tools"),
    [
        ({"server_tools": ["clock", 5]}, ["clock"]),
        ({"server_tools": True}, True),
        ({"server_tools": 1}, False),
        ({}, False),
    ],
)
def test_the_tools_beside_the_model_are_names_or_that_there_are_some(told: dict[str, Any], tools: object) -> None:
    assert tools_in(told) == tools
