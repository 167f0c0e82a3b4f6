"""What Anthropic says (`proxy/providers/anthropic.py`)."""

from typing import Any

import orjson
import pytest

from proxy.providers.anthropic import BLOCKS_MAX
from services.wire.events import (
    MAX_SIGNATURE_BYTES,
    Code,
    Completion,
    Failed,
    FinishReason,
    Logged,
    Signature,
    Thinking,
    Token,
    ToolCall,
    Usage,
)
from tests.proxy.providers.cloud_speech import Told, named_frames, told

Frame = dict[str, Any]
USAGE = {"input_tokens": 11, "output_tokens": 1}
START: Frame = {"type": "message_start", "message": {"type": "message", "content": [], "usage": USAGE}}
WHOLE_START: Frame = {
    "type": "message_start",
    "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": USAGE},
}
"""As the service writes it: who reads by types wants all of it."""
PING: Frame = {"type": "ping"}
STOP: Frame = {"type": "message_stop"}


def block(index: int, begin: dict[str, Any], *deltas: dict[str, Any]) -> list[Frame]:
    return [
        {"type": "content_block_start", "index": index, "content_block": begin},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *parts: str) -> list[Frame]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": part} for part in parts))


def thought(index: int, *parts: str, seal: tuple[str, ...] = ()) -> list[Frame]:
    deltas = [{"type": "thinking_delta", "thinking": part} for part in parts]
    seals = [{"type": "signature_delta", "signature": part} for part in seal]
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, *seals)


def use(index: int, *parts: str, name: str = "find", whole: dict[str, Any] | None = None) -> list[Frame]:
    begin = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": whole or {}}
    return block(index, begin, *({"type": "input_json_delta", "partial_json": part} for part in parts))


def stopped(reason: str | None = "end_turn", **usage: int) -> list[Frame]:
    counts = usage or {"output_tokens": 5}
    return [{"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counts}]


def said(*frames: Frame, end: bool = True) -> Told:
    return told("anthropic", named_frames(START, PING, *frames, *([STOP] if end else [])))


SAYS: dict[str, tuple[list[Frame], list[Logged]]] = {
    "text": (text(0, "Hel", "lo"), [Token("Hello")]),
    "text at the start of its block": (block(0, {"type": "text", "text": "Hello"}), [Token("Hello")]),
    "a thought and its seal": (
        [*thought(0, "hm", "m", seal=("Ev", "QB")), *text(1, "a")],
        [Thinking("hmm"), Signature("anthropic", {"signature": "EvQB", "characters": 3}), Token("a")],
    ),
    "a thought that is not shown": (
        [*block(0, {"type": "redacted_thinking", "data": "EmwK"}), *text(1, "a")],
        [Signature("anthropic", {"redacted_thinking": "EmwK", "characters": 0}), Token("a")],
    ),
    "a thought without a seal": ([*thought(0, "hm"), *text(1, "a")], [Thinking("hm"), Token("a")]),
    "a block of a kind that is not known": (
        [
            *block(0, {"type": "server_tool_use", "id": "x"}, {"type": "input_json_delta", "partial_json": "{"}),
            *text(1, "a"),
        ],
        [Token("a")],
    ),
    "an event that is not known": ([{"type": "message_limit", "limit": 3}, *text(0, "a")], [Token("a")]),
    "a delta without its block": (
        [{"type": "content_block_delta", "index": 7, "delta": {"text": "no"}}, *text(0, "a")],
        [Token("a")],
    ),
    "two calls": (
        [*text(0, "a"), *use(1, '{"x"', ": 1}"), *use(2, '{"y": []}', name="look")],
        [Token("a"), ToolCall("toolu_1", "find", {"x": 1}), ToolCall("toolu_2", "look", {"y": []})],
    ),
    "a call without arguments": (use(0, ""), [ToolCall("toolu_0", "find", {})]),
    "a call whose input is whole at once": (use(0, whole={"x": 1}), [ToolCall("toolu_0", "find", {"x": 1})]),
}


@pytest.mark.parametrize("name", SAYS)
def test_blocks_are_told_as_what_they_are(name: str) -> None:
    frames, events = SAYS[name]

    answer = said(*frames, *stopped("tool_use" if events[-1:] and isinstance(events[-1], ToolCall) else "end_turn"))

    calls = [event for event in events if isinstance(event, ToolCall)]
    assert answer.events == events
    assert answer.completion.reason is (FinishReason.TOOL_CALLS if calls else FinishReason.STOP)
    assert answer.skipped == 0


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("tool_use", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("a_newer_one", FinishReason.STOP),
    ],
)
def test_the_words_for_the_stop(word: str, reason: FinishReason) -> None:
    assert said(*text(0, "a"), *stopped(word)).completion.reason is reason


@pytest.mark.parametrize("parts", [("",), ('{"path": "/tm',), ()])
def test_a_call_that_the_length_cut_is_not_told(parts: tuple[str, ...]) -> None:
    answer = said(*use(0, '{"x": 1}'), *use(1, *parts, name="write"), *stopped("max_tokens"))

    assert answer.calls == [ToolCall("toolu_0", "find", {"x": 1})]
    assert (answer.completion.reason, answer.skipped) == (FinishReason.LENGTH, 0)


def test_a_call_that_cannot_be_read_is_left_out_alone_and_counted() -> None:
    answer = said(*use(0, "{oops"), *use(1, '{"x": 1}'), *stopped("tool_use"))

    assert (answer.calls, answer.skipped) == ([ToolCall("toolu_1", "find", {"x": 1})], 1)


@pytest.mark.parametrize(
    ("start", "end", "usage"),
    [
        (USAGE, {"output_tokens": 5}, Usage(11, 5)),
        ({}, {"input_tokens": 61, "output_tokens": 2}, Usage(61, 2)),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300, "output_tokens": 1},
            {"output_tokens": 5},
            Usage(321, 5),
        ),
        ({"input_tokens": 1, "cache_read_input_tokens": 7}, {"input_tokens": 2, "output_tokens": 5}, Usage(9, 5)),
        ({"input_tokens": "1"}, {"output_tokens": None}, None),
    ],
)
def test_counts_are_cumulative_and_what_was_cached_is_input(start: Any, end: Any, usage: Usage | None) -> None:
    frames = [{**START, "message": {"usage": start}}, *text(0, "a"), {**stopped()[0], "usage": end}, STOP]

    assert told("anthropic", named_frames(*frames)).completion.usage == usage


def test_a_message_that_starts_again_leaves_what_was_open_unsaid() -> None:
    half = use(0, '{"x": 1}')[:-1]

    answer = said(*half, START, *text(0, "a"), *stopped())

    assert (answer.text(), answer.calls, answer.completion.reason) == ("a", [], FinishReason.STOP)


# --- ends


@pytest.mark.parametrize("broke_off", [True, False])
@pytest.mark.parametrize("frames", [[], text(0, "a"), [*text(0, "a"), *stopped()]], ids=["nothing", "text", "a reason"])
def test_only_message_stop_proves_the_end(frames: list[Frame], broke_off: bool) -> None:
    end = told("anthropic", named_frames(START, *frames), broke_off=broke_off).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED


def test_message_stop_without_a_reason_proves_nothing() -> None:
    end = told("anthropic", named_frames(START, *text(0, "a"), *stopped(None), STOP)).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED


def test_the_last_frame_counts_without_its_blank_line() -> None:
    body = named_frames(START, *text(0, "a"), *stopped(), STOP).rstrip()

    assert told("anthropic", body).completion.reason is FinishReason.STOP


@pytest.mark.parametrize("before", [[], text(0, "a")], ids=["first", "behind text"])
@pytest.mark.parametrize(
    ("kind", "code", "why", "again"),
    [
        ("overloaded_error", Code.UPSTREAM_ERROR, "error", True),
        ("api_error", Code.UPSTREAM_ERROR, "error", True),
        ("a_newer_error", Code.UPSTREAM_ERROR, "error", True),
        ("timeout_error", Code.UPSTREAM_TIMEOUT, "error", True),
        ("rate_limit_error", Code.UPSTREAM_UNAVAILABLE, "429", True),
        ("billing_error", Code.UPSTREAM_UNAVAILABLE, "quota", False),
        ("authentication_error", Code.UPSTREAM_UNAUTHORIZED, "401", False),
        ("invalid_request_error", Code.INVALID_REQUEST, "400", False),
    ],
)
def test_an_error_in_the_stream_ends_the_attempt_by_its_own_kind(
    kind: str, code: Code, why: str, *, again: bool, before: list[Frame]
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "it broke"}, "request_id": "req_1"}

    failed = told("anthropic", named_frames(START, *before, error)).failed

    assert (failed.failed.code, failed.why, failed.again) == (code, why, again)


@pytest.mark.parametrize("error", [None, "words", [], {"type": 7, "message": 7}])
def test_an_error_of_a_strange_form_is_an_error_all_the_same(error: Any) -> None:
    assert told("anthropic", named_frames({"type": "error", "error": error})).failed.failed.code is Code.UPSTREAM_ERROR


@pytest.mark.parametrize("over", [0, 1])
def test_a_signature_has_a_bound(over: int) -> None:
    frame = len(orjson.dumps({"signature": "", "characters": 2}))
    seal = "x" * (MAX_SIGNATURE_BYTES - frame + over)

    end = told("anthropic", named_frames(START, *thought(0, "hm", seal=(seal,)), *stopped(), STOP), cuts=(4096,)).end

    assert isinstance(end, Failed if over else Completion)


def test_blocks_that_are_never_closed_are_no_answer() -> None:
    opened = [text(index)[0] for index in range(BLOCKS_MAX + 1)]

    many = named_frames(START, *opened[:-1], *text(0, "a"), *stopped(), STOP)

    assert isinstance(told("anthropic", many).end, Completion)
    assert isinstance(told("anthropic", named_frames(START, *opened)).end, Failed)


def test_frames_of_wrong_types_are_left_out_and_counted() -> None:
    bad: list[Frame] = [
        {"type": "message_start", "message": 7},
        {"type": "content_block_start", "index": "0", "content_block": {"type": "text"}},
        {"type": "content_block_delta", "index": 0, "delta": 7},
    ]

    answer = said(*text(0, "a"), *bad, *text(1, "b"), *stopped())

    assert (answer.text(), answer.skipped) == ("ab", 3)


def test_an_answer_that_comes_whole_gives_the_same_events() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "EvQB"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_2", "name": "find", "input": {"x": 1}},
    ]
    body = {"type": "message", "content": content, "stop_reason": "tool_use", "usage": {**USAGE, "output_tokens": 5}}

    answer = told("anthropic", orjson.dumps(body))

    assert answer.events == [
        Thinking("hm"),
        Signature("anthropic", {"signature": "EvQB", "characters": 2}),
        Token("Hello"),
        ToolCall("toolu_2", "find", {"x": 1}),
    ]
    assert answer.end == Completion(FinishReason.TOOL_CALLS, Usage(11, 5), load_s=None, prefill_s=None)
    assert told("anthropic", b'{"type":"error","error":{"type":"api_error","message":"no"}}').failed.why == "error"


@pytest.mark.parametrize(
    ("content", "is_whole"),
    [
        ([7, {"type": "text", "text": "a"}], True),
        ([{"type": "redacted_thinking", "data": "x" * MAX_SIGNATURE_BYTES}], False),
    ],
    ids=["with what is no block", "with a seal that is too long"],
)
def test_a_whole_answer_is_read_as_far_as_it_can_be(content: list[Any], *, is_whole: bool) -> None:
    end = told("anthropic", orjson.dumps({"type": "message", "content": content, "stop_reason": "end_turn"})).end

    assert isinstance(end, Completion) is is_whole
