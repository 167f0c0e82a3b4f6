"""Anthropic's events and message: the order of its frames, what is never said, and every way to end."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialects.anthropic import (
    AnthropicEvents,
    AnthropicMessage,
    ThinkingSeal,
    anthropic_models,
    refusal,
    status_of,
)
from services.dialects.dialect import Dialect
from services.dialects.estimate import input_tokens
from services.dialects.foreign import Told, Wanted
from services.wire.events import (
    RULES,
    ApiError,
    Code,
    Failed,
    Finished,
    FinishReason,
    Phase,
    Started,
    Status,
    Terminal,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
    Usage,
)
from services.wire.native import Numbered
from services.wire.request import ChatRequest, Message
from services.wire.sse import SseDecoder

ID = "k3fa.4MZ6ABCDEFGHIJKLMNOPQRSTUV"
TIMING = Timing(0, None, None, None, None, 1, None)
WANTED = Wanted(request=ChatRequest(model="m", messages=(Message("user", "hi"),)), stream=True)
TOLD = Told("claude-x", 1795260000, "r-1")
ESTIMATE = input_tokens(WANTED.request)
STARTED: Numbered = (1, Started(ID, "m:latest", 0))
CALLS: list[Numbered] = [
    (5, ToolCall("call_1", "clock", {"tz": "UTC"})),
    (6, ToolCall("call_2", "clock", {})),
]
EVENTS: list[Numbered] = [STARTED, (2, Thinking("h")), (3, Thinking("m")), (4, Token("Hello")), *CALLS]
STOPS = [FinishReason.CANCELLED, FinishReason.ABANDONED]


def ended(reason: FinishReason = FinishReason.STOP, usage: Usage | None = None, skipped_lines: int = 0) -> Finished:
    return Finished(reason, usage, 4, 7, TIMING, None, skipped_lines)


def told(*events: Numbered) -> list[dict[str, Any]]:
    """Return the data of the frames, whose event each has as its type."""
    dialect: Dialect = AnthropicEvents(WANTED, TOLD)
    frames = list(SseDecoder().feed(dialect.frames(events)))
    data = [json.loads(frame.data) for frame in frames]
    assert [frame.type for frame in frames] == [one["type"] for one in data]
    return data


def whole(*events: Numbered, end: Finished | None = None) -> dict[str, Any]:
    status, headers, body = AnthropicMessage(WANTED, TOLD).whole(events, end or ended())
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    message: dict[str, Any] = orjson.loads(body)
    return message


def test_blocks_come_one_after_another_numbered_from_0_without_a_gap() -> None:
    """new-api#5482, litellm#34692: clients index into a list."""
    data = told(*EVENTS, (7, ended(FinishReason.TOOL_CALLS)))

    assert [(one["type"], one["index"]) for one in data if "index" in one] == [
        ("content_block_start", 0),
        *[("content_block_delta", 0)] * 3,
        ("content_block_stop", 0),
        *[(f"content_block_{what}", block) for block in (1, 2, 3) for what in ("start", "delta", "stop")],
    ]
    assert [one["type"] for one in (data[0], *data[-2:])] == ["message_start", "message_delta", "message_stop"]


def test_every_block_says_what_it_is_before_its_deltas() -> None:
    data = told(*EVENTS)

    assert [one["content_block"] for one in data if one["type"] == "content_block_start"] == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "call_1", "name": "clock", "input": {}},
        {"type": "tool_use", "id": "call_2", "name": "clock", "input": {}},
    ]
    assert [one["delta"] for one in data if one["type"] == "content_block_delta"] == [
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": ThinkingSeal("hm").signature},
        {"type": "text_delta", "text": "Hello"},
        {"type": "input_json_delta", "partial_json": '{"tz":"UTC"}'},
        {"type": "input_json_delta", "partial_json": "{}"},
    ]


def test_the_start_has_an_estimate_of_the_input_and_an_id_that_is_no_key_to_the_stream() -> None:
    """CLIProxyAPI#1700, vercel/ai#17326: Claude Code reads the input's tokens here."""
    message = told(STARTED)[0]["message"]

    assert message["usage"]["input_tokens"] == ESTIMATE > 0
    assert (message["model"], message["role"], message["content"]) == ("claude-x", "assistant", [])
    assert message["id"].startswith("msg_")
    assert ID.partition(".")[2] not in message["id"]
    assert message["id"] == told(STARTED)[0]["message"]["id"] == whole(STARTED)["id"]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "end_turn"),
        (FinishReason.LENGTH, "max_tokens"),
        (FinishReason.TOOL_CALLS, "tool_use"),
        (FinishReason.CONTENT_FILTER, "refusal"),
    ],
)
def test_an_end_has_the_word_of_anthropic_s_for_it(reason: FinishReason, word: str) -> None:
    delta, stop = told((2, ended(reason)))

    assert delta["delta"] == {"stop_reason": word, "stop_sequence": None}
    assert stop == {"type": "message_stop"}
    assert whole(STARTED, end=ended(reason))["stop_reason"] == word


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (Usage(9, 2), (9, 2)),
        (Usage(None, 2), (ESTIMATE, 2)),
        (Usage(9, None), (9, 2)),
        (None, (ESTIMATE, 2)),
    ],
)
def test_usage_is_what_was_counted_and_an_estimate_where_nothing_was(
    usage: Usage | None, counted: tuple[int, int]
) -> None:
    """Seven bytes of text are estimated as two tokens."""
    said = [told((2, ended(usage=usage)))[0]["usage"], whole(STARTED, end=ended(usage=usage))["usage"]]

    assert [(one["input_tokens"], one["output_tokens"]) for one in said] == [counted] * 2


@pytest.mark.parametrize(
    "end",
    [Failed(Code.UPSTREAM_TRUNCATED, "words"), *map(ended, STOPS)],
    ids=["failed", *STOPS],
)
def test_an_answer_that_is_not_whole_ends_with_an_error_and_nothing_behind_it(end: Terminal) -> None:
    """litellm#40260: no invented stop; and no `message_stop`, which would say that it is whole."""
    data = told(*EVENTS, (7, end))

    assert data[-1]["type"] == "error"
    assert data[-1]["request_id"] == "r-1"
    assert not {"message_delta", "message_stop"} & {one["type"] for one in data}


@pytest.mark.parametrize("reason", STOPS)
def test_a_whole_answer_that_was_stopped_is_a_refusal(reason: FinishReason) -> None:
    status, headers, body = AnthropicMessage(WANTED, TOLD).whole(EVENTS, ended(reason))

    assert (status, headers["Sluice-Error-Code"], headers["x-should-retry"]) == (409, reason, "false")
    assert orjson.loads(body)["error"] == {"type": "api_error", "message": "The answer was stopped."}


def test_a_failure_that_is_in_no_log_is_told_as_any_other() -> None:
    assert b'"type":"api_error","message":"words"' in AnthropicEvents(WANTED, TOLD).close(
        Failed(Code.INTERNAL, "words")
    )


def test_what_was_left_out_is_said_in_every_shape_of_an_end() -> None:
    failed = Failed(Code.UPSTREAM_ERROR, "words", skipped_lines=2)

    assert told((2, ended(skipped_lines=2)))[0]["skipped_lines"] == 2
    assert told((2, failed))[0]["skipped_lines"] == 2
    assert whole(STARTED, end=ended(skipped_lines=2))["skipped_lines"] == 2
    assert "skipped_lines" not in whole(STARTED)


def test_a_whole_answer_has_the_blocks_of_the_streamed_one() -> None:
    """As a gathering keeps it: neighbouring parts of text are one."""
    events: list[Numbered] = [STARTED, (3, Thinking("hm")), (4, Token("Hello")), *CALLS]

    assert whole(*events, (7, ToolResult("x", "x", ok=True, content="", duration_ms=1)))["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ThinkingSeal("hm").signature},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "call_1", "name": "clock", "input": {"tz": "UTC"}},
        {"type": "tool_use", "id": "call_2", "name": "clock", "input": {}},
    ]


@given(parts=st.lists(st.text(min_size=1), min_size=1), kind=st.sampled_from([Token, Thinking]))
def test_no_text_is_lost_or_changed(parts: list[str], kind: type[Token | Thinking]) -> None:
    """litellm#20737: as many bytes of thinking out as in."""
    data = told(*((number, kind(part)) for number, part in enumerate(parts, 2)), (99, ended()))
    name = "text" if kind is Token else "thinking"

    assert [one["delta"][name] for one in data if name in one.get("delta", {})] == parts


@given(arguments=st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none()))
def test_the_arguments_of_a_call_are_whole(arguments: dict[str, Any]) -> None:
    """litellm#25561: `input` is empty at the start, and the one delta has it all."""
    delta = told((2, ToolCall("c", "f", arguments)))[1]["delta"]

    assert json.loads(delta["partial_json"]) == arguments


def test_the_start_is_the_same_by_either_road() -> None:
    started = STARTED[1]
    assert isinstance(started, Started)

    assert AnthropicEvents(WANTED, TOLD).open(started) == AnthropicEvents(WANTED, TOLD).frames([STARTED])


@pytest.mark.parametrize("event", [Token("Hello 🌊"), Thinking('"\n')])
def test_text_without_an_event_is_the_event_s_frame(event: Token | Thinking) -> None:
    one, other = AnthropicEvents(WANTED, TOLD), AnthropicEvents(WANTED, TOLD)

    assert one.text(type(event), 7, event.content) == other.frames([(7, event)])


def test_no_frame_has_an_id_or_a_retry_and_none_says_done() -> None:
    """openai-python#2722, free-claude-code#43."""
    frames = AnthropicEvents(WANTED, TOLD).frames([*EVENTS, (7, ended())])

    assert b"id: " not in frames
    assert b"retry: " not in frames
    assert b"[DONE]" not in frames


def test_what_these_clients_do_not_know_is_not_said() -> None:
    dialect = AnthropicEvents(WANTED, TOLD)

    assert dialect.status(Status(Phase.LOADING)) == b""
    assert dialect.frames([(2, ToolResult("c", "f", ok=True, content="12", duration_ms=1))]) == b""


def test_a_heartbeat_is_an_event() -> None:
    """llmtrim#221: a comment does not feed Claude Code."""
    (ping,) = SseDecoder().feed(AnthropicEvents(WANTED, TOLD).heartbeat())

    assert (ping.type, ping.data) == ("ping", '{"type":"ping"}')


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (Code.INVALID_REQUEST, 400, "invalid_request_error"),
        (Code.UNAUTHORIZED, 401, "authentication_error"),
        (Code.MODEL_NOT_ALLOWED, 403, "permission_error"),
        (Code.MODEL_NOT_FOUND, 404, "not_found_error"),
        (Code.METHOD_NOT_ALLOWED, 405, "invalid_request_error"),
        (Code.PAYLOAD_TOO_LARGE, 413, "request_too_large"),
        (Code.RATE_LIMITED, 429, "rate_limit_error"),
        (Code.INTERNAL, 500, "api_error"),
        (Code.UPSTREAM_ERROR, 502, "api_error"),
        (Code.OVERLOADED, 529, "overloaded_error"),
        (Code.UPSTREAM_TIMEOUT, 504, "timeout_error"),
    ],
)
def test_a_refusal_has_anthropic_s_shape_status_and_word(code: Code, status: int, name: str) -> None:
    got, headers, body = refusal(ApiError(Failed(code, "words")), "r-1")

    assert (got, headers["Sluice-Error-Code"]) == (status, code)
    assert orjson.loads(body) == {
        "type": "error",
        "error": {"type": name, "message": "words"},
        "request_id": "r-1",
    }


@pytest.mark.parametrize("code", Code)
def test_a_client_raises_what_the_failure_is(code: Code) -> None:
    """By its own class for the status; the message and the type it takes from the body."""
    assert status_of(code) == (529 if RULES[code].status == 503 else RULES[code].status)


def test_the_list_of_models_has_anthropic_s_shape() -> None:
    listed = {"type": "model", "id": "a", "display_name": "a", "created_at": "2026-11-21T11:20:00Z"}

    assert anthropic_models([("a", 1795260000), ("b", 0)]) == {
        "data": [listed, {**listed, "id": "b", "display_name": "b", "created_at": "1970-01-01T00:00:00Z"}],
        "has_more": False,
        "first_id": "a",
        "last_id": "b",
    }
    assert anthropic_models([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
