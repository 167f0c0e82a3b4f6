"""Responses as a stream of named events, and as one object."""

import json
from collections import Counter
from typing import Any

import pytest

from services.dialects import openai_responses
from services.dialects.estimate import input_tokens
from services.dialects.foreign import shown_id
from services.dialects.openai_response import WholeResponse
from services.dialects.openai_responses import RESPONSES, ResponseEvents
from services.dialects.openai_responses_request import responses
from services.wire.events import (
    Code,
    Failed,
    FinishReason,
    Phase,
    Signature,
    Status,
    Token,
    ToolCall,
    ToolResult,
    Usage,
)
from services.wire.native import Numbered
from tests.dialects.speech import SAID, STARTED, STREAM_ID, TOLD, data_of, ended, sent, wanted

FOUR_ITEMS = ["reasoning", "message", "function_call", "function_call"]


def events() -> ResponseEvents:
    return ResponseEvents(wanted(), TOLD)


def types(frames: bytes) -> list[str]:
    return [data["type"].removeprefix("response.") for data in data_of(frames)]


def test_items_open_grow_and_close_one_after_the_other() -> None:
    assert types(events().frames([*SAID[:5], (7, ended(FinishReason.TOOL_CALLS))])) == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        "completed",
    ]


def test_events_are_named_by_their_type_and_numbered_without_a_gap() -> None:
    dialect = events()
    frames = dialect.frames(SAID[:4]) + dialect.heartbeat() + dialect.frames([*SAID[4:], (7, ended())])

    assert [event.type for event in sent(frames)] == [data["type"] for data in data_of(frames)]
    assert [data["sequence_number"] for data in data_of(frames)] == list(range(len(data_of(frames))))
    assert {line.partition(b":")[0] for line in frames.split(b"\n") if line} == {b"event", b"data"}


def test_each_item_is_called_the_same_from_its_first_event_to_the_response() -> None:
    said = data_of(events().frames([*SAID, (7, ended())]))
    (*_, completed) = said
    added = [data["item"] for data in said if data["type"] == "response.output_item.added"]
    done = [data["item"] for data in said if data["type"] == "response.output_item.done"]

    assert [item["type"] for item in done] == FOUR_ITEMS
    assert [item["id"] for item in added] == [item["id"] for item in done]
    assert [data["output_index"] for data in said if data["type"] == "response.output_item.done"] == [0, 1, 2, 3]
    assert completed["response"]["output"] == done
    assert STREAM_ID not in json.dumps(said)


def test_the_last_events_repeat_what_was_said() -> None:
    output = data_of(events().frames([*SAID, (7, ended())]))[-1]["response"]["output"]

    assert output[0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert output[1]["content"][0]["text"] == "Hello"
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[2:]] == [
        ("call_1", "clock", '{"tz":"UTC"}'),
        ("call_2", "weather", "{}"),
    ]


def test_text_behind_a_call_is_an_item_of_its_own() -> None:
    said: list[Numbered] = [(1, STARTED), (2, Token("a")), (3, ToolCall("c", "clock", {})), (4, Token("b"))]
    output = data_of(events().frames([*said, (5, ended())]))[-1]["response"]["output"]

    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert len({item["id"] for item in output}) == 3


@pytest.mark.parametrize(
    ("reason", "why"),
    [(FinishReason.LENGTH, "max_output_tokens"), (FinishReason.CONTENT_FILTER, "content_filter")],
)
def test_an_answer_that_is_not_complete_says_why(reason: FinishReason, why: str) -> None:
    last = data_of(events().frames([*SAID[:4], (5, ended(reason))]))[-1]

    assert last["type"] == "response.incomplete"
    assert last["response"]["status"] == "incomplete"
    assert last["response"]["incomplete_details"] == {"reason": why}
    assert last["response"]["output"][-1]["status"] == "incomplete"


@pytest.mark.parametrize("end", [Failed(Code.UPSTREAM_TRUNCATED, "words"), ended(FinishReason.CANCELLED)])
def test_a_failure_is_told_by_an_error_and_by_a_failed_response_and_nothing_follows(end: Any) -> None:
    """Some clients raise by the one, some by the other; the error has the fields of both of its published forms."""
    error, failed = data_of(events().frames([*SAID[:3], (5, end)]))[-2:]

    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert error["code"] == error["error"]["code"] == (end.code if isinstance(end, Failed) else end.reason)
    assert error["message"] == error["error"]["message"] == failed["response"]["error"]["message"]
    assert failed["response"]["error"]["code"] == "server_error"
    assert failed["response"]["status"] == "failed"


def test_usage_is_the_model_servers_and_estimated_only_where_it_counted_nothing() -> None:
    counted = data_of(events().frames([(1, STARTED), (2, ended())]))[-1]["response"]["usage"]
    guessed = data_of(events().frames([(1, STARTED), (2, ended(usage=None))]))[-1]["response"]["usage"]
    half = data_of(events().frames([(1, STARTED), (2, ended(usage=Usage(None, 2)))]))[-1]["response"]["usage"]

    assert (counted["input_tokens"], counted["output_tokens"], counted["total_tokens"]) == (9, 2, 11)
    assert (guessed["input_tokens"], guessed["output_tokens"]) == (input_tokens(wanted().request), 4)
    assert (half["input_tokens"], half["output_tokens"]) == (input_tokens(wanted().request), 2)


def test_lines_that_were_left_out_are_said() -> None:
    assert data_of(events().frames([(1, STARTED), (2, ended(skipped_lines=3))]))[-1]["response"]["skipped_lines"] == 3


def test_an_answer_that_is_too_long_to_be_repeated_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_responses, "GATHERED_BYTES", 3)
    frames = events().frames([(1, STARTED), (2, Token("abc")), (3, Token("def")), (4, ended())])

    assert [data["delta"] for data in data_of(frames) if "delta" in data] == ["abc", "def"]
    assert Counter(types(frames))["failed"] == 1


@pytest.mark.parametrize("text", ['"', "\\", "\n\r", "\u2028\x85", "ёж 🦔", '"delta":""', '"sequence_number":0'])
def test_text_of_any_characters_arrives_as_it_was(text: str) -> None:
    (delta,) = [data for data in data_of(events().frames([(1, STARTED), (2, Token(text))])) if "delta" in data]

    assert delta["delta"] == text


def test_what_these_clients_do_not_know_is_not_said() -> None:
    dialect = events()
    result = ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=1)

    assert dialect.status(Status(Phase.LOADING)) == dialect.frames([(1, result)]) == b""


def test_a_whole_answer_is_the_response_that_a_stream_ends_with() -> None:
    streamed = data_of(events().frames([*SAID, (7, ended())]))[-1]["response"]
    merged = [SAID[0], SAID[1], (4, Token("Hello")), *SAID[4:]]
    result = (8, ToolResult("call_1", "clock", ok=True, content="", duration_ms=1))
    status, _, body = WholeResponse(wanted(), TOLD).whole([*merged, result], ended())

    assert status == 200
    assert json.loads(body) == streamed
    assert streamed["id"] == shown_id("resp_", STREAM_ID)


def test_a_call_that_is_sent_back_as_it_came_has_its_provider_s_seal() -> None:
    _, _, body = WholeResponse(wanted(), TOLD).whole(SAID, ended(FinishReason.TOOL_CALLS))
    asked = responses(json.dumps({"model": "m", "input": json.loads(body)["output"]}).encode())
    calls = [call for message in asked.request.messages for call in message.tool_calls or ()]

    assert [call.extra for call in calls] == [Signature("gemini", {"s": "opaque"}), None]


def test_the_form_that_was_asked_for_is_repeated() -> None:
    """Clients read by it whether what they got is to be parsed."""
    form = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    asked = responses(json.dumps({"model": "m", "input": "hi", "text": {"format": form}}).encode())
    last = data_of(ResponseEvents(asked, TOLD).frames([(1, STARTED), (2, ended())]))[-1]

    assert last["response"]["text"] == {"format": form}
    assert data_of(events().frames([(1, STARTED), (2, ended())]))[-1]["response"]["text"] == {
        "format": {"type": "text"}
    }


def test_a_whole_answer_that_was_stopped_is_an_error() -> None:
    status, _, body = WholeResponse(wanted(), TOLD).whole(SAID, ended(FinishReason.ABANDONED))

    assert (status, json.loads(body)["error"]["code"]) == (409, "abandoned")


def test_it_can_be_opened_by_hand() -> None:
    assert types(events().open(STARTED)) == ["created", "in_progress"]


def test_the_language_makes_both_forms() -> None:
    assert isinstance(RESPONSES.frames(wanted(), TOLD), ResponseEvents)
    assert RESPONSES.whole is WholeResponse
