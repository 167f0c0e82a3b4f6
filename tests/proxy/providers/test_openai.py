"""What OpenAI's school says, as it varies it: `proxy/providers/openai.py`, `proxy/providers/calls_in_parts.py`."""

from typing import Any

import orjson
import pytest

from services.wire.events import (
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
from tests.proxy.providers.cloud_speech import fed, frames, told


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", "choices": [choice]}


def fragment(index: int | None, arguments: object = None, name: str = "", call_id: str = "") -> dict[str, Any]:
    said = {"index": index, "id": call_id or None, "type": "function"}
    function = {"name": name or None, "arguments": arguments}
    return {**_without_nulls(said), "function": _without_nulls(function)}


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def calling(*fragments: object) -> dict[str, Any]:
    return chunk(tool_calls=list(fragments))


USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
STOP = chunk("stop")
SAYS: dict[str, tuple[list[Any], list[Logged]]] = {
    "text": ([chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo")], [Token("Hello")]),
    "no text at all": ([chunk(role="assistant", content=None), chunk(role="", content=None)], []),
    "reasoning_content": ([chunk(reasoning_content="hm"), chunk(content="a")], [Thinking("hm"), Token("a")]),
    "reasoning": ([chunk(reasoning="hm", content="a")], [Thinking("hm"), Token("a")]),
    "both names of it": ([chunk(reasoning_content="hm", reasoning="hm")], [Thinking("hm")]),
    "a list of parts": ([chunk(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], [Token("ab")]),
    "thinking as a part": (
        [chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]), chunk(content="a")],
        [Thinking("hm"), Token("a")],
    ),
    "an empty first chunk": ([{"choices": [], "id": "", "object": ""}, chunk(content="a")], [Token("a")]),
    "beside the answer": ([{"object": "queue.position", "position": 2}, chunk(content="a")], [Token("a")]),
    "a second choice": ([{"choices": [{"index": 1, "delta": {"content": "no"}}]}, chunk(content="a")], [Token("a")]),
}


@pytest.mark.parametrize("name", SAYS)
def test_what_a_chunk_says_is_told_however_it_is_written(name: str) -> None:
    chunks, events = SAYS[name]

    answer = told("openai", frames(*chunks, STOP, USAGE))

    assert answer.events == events
    assert answer.end == Completion(FinishReason.STOP, Usage(9, 2), load_s=None, prefill_s=None)


FIND = ToolCall("call_a", "find", {"x": 1})
LOOK = ToolCall("call_b", "look", {"y": [2]})
CALLS: dict[str, tuple[list[Any], list[ToolCall]]] = {
    "in parts": (
        [calling(fragment(0, "", "find", "call_a")), calling(fragment(0, '{"x"')), calling(fragment(0, ":1}"))],
        [FIND],
    ),
    "whole": ([calling(fragment(0, '{"x":1}', "find", "call_a"))], [FIND]),
    "one after the other": (
        [calling(fragment(0, '{"x":1}', "find", "call_a")), calling(fragment(1, '{"y":[2]}', "look", "call_b"))],
        [FIND, LOOK],
    ),
    "interleaved": (
        [
            calling(fragment(0, '{"x"', "find", "call_a"), fragment(1, '{"y"', "look", "call_b")),
            calling(fragment(1, ":[2]}"), fragment(0, ":1}")),
        ],
        [FIND, LOOK],
    ),
    "always number 0, as Ollama": (
        [calling(fragment(0, '{"x":1}', "find", "call_a")), calling(fragment(0, '{"y":[2]}', "look", "call_b"))],
        [FIND, LOOK],
    ),
    "without a number, as Google": (
        [calling(fragment(None, '{"x":1}', "find", "call_a")), calling(fragment(None, '{"y":[2]}', "look", "call_b"))],
        [FIND, LOOK],
    ),
    "without a number or a name": (
        [calling(fragment(None, '{"x":1}', "find"), fragment(None, '{"y":[2]}', "look"))],
        [ToolCall("call_1", "find", {"x": 1}), ToolCall("call_2", "look", {"y": [2]})],
    ),
    "the name comes again": (
        [calling(fragment(0, '{"x":', "find", "call_a")), calling(fragment(0, "1}", "find", "call_a"))],
        [FIND],
    ),
    "a late id": (
        [calling(fragment(0, '{"x":', "find")), calling(fragment(0, "1}", "", "call_a"))],
        [FIND],
    ),
    "no arguments": ([calling(fragment(0, None, "find", "call_a"))], [ToolCall("call_a", "find", {})]),
    "arguments as an object": ([calling(fragment(0, {"x": 1}, "find", "call_a"))], [FIND]),
    "the older form": (
        [chunk(function_call={"name": "find", "arguments": '{"x"'}), chunk(function_call={"arguments": ":1}"})],
        [ToolCall("call_1", "find", {"x": 1})],
    ),
    "sealed, as Google": (
        [calling({**fragment(0, '{"x":1}', "find", "call_a"), "extra_content": {"google": {"s": "x"}}})],
        [ToolCall("call_a", "find", {"x": 1}, Signature("openai", {"google": {"s": "x"}}))],
    ),
}


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call"])
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_put_together_from_their_parts(name: str, finish: str) -> None:
    """litellm#34692: a stop behind a call is a call of tools, whatever the server says."""
    chunks, calls = CALLS[name]

    answer = told("openai", frames(*chunks, chunk(finish)))

    assert answer.events == calls
    assert answer.end == Completion(FinishReason.TOOL_CALLS, None, load_s=None, prefill_s=None)


def test_a_call_that_cannot_be_read_is_left_out_alone_and_counted() -> None:
    bad = [
        fragment(1, "{oops", "look", "call_b"),
        fragment(2, "[1]", "look", "call_c"),
        fragment(4, 7, "look", "call_e"),
        fragment(3, "{}", "", "call_d"),
    ]

    answer = told("openai", frames(calling(fragment(0, '{"x":1}', "find", "call_a"), *bad, 7), chunk("tool_calls")))

    assert (answer.calls, answer.skipped) == ([FIND], 2)  # once a frame, however much of it
    assert answer.completion.reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("lost", [b"data: {oops\n\n", frames({"choices": 7}, done=False)])
def test_a_call_that_may_have_lost_a_part_is_not_told(lost: bytes) -> None:
    """Its arguments may be JSON all the same, and others."""
    parts = [calling(fragment(0, "", "find", "call_a")), calling(fragment(0, "{}"))]
    body = frames(parts[0], done=False) + lost + frames(parts[1], chunk("tool_calls"))

    assert (told("openai", body).calls, told("openai", body).skipped) == ([], 2)


def test_a_call_that_is_too_long_is_no_answer() -> None:
    end = told(
        "openai", frames(calling(fragment(0, '{"x":"' + "x" * (1 << 20) + '"}', "find")), chunk("stop")), cuts=()
    ).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_MALFORMED


def test_where_no_call_could_be_read_the_answer_stopped() -> None:
    answer = told("openai", frames(calling(fragment(0, "{oops", "find")), chunk("tool_calls")))

    assert (answer.completion.reason, answer.skipped) == (FinishReason.STOP, 1)


@pytest.mark.parametrize("arguments", ["", '{"path":"/tmp', None])
def test_a_call_that_the_length_cut_is_not_told(arguments: str | None) -> None:
    """A call that was cut and run all the same writes half a file (litellm PR#37710)."""
    chunks = calling(fragment(0, '{"x":1}', "find", "call_a")), calling(fragment(1, arguments, "write", "call_b"))

    answer = told("openai", frames(*chunks, chunk("length")))

    assert (answer.calls, answer.skipped) == ([FIND], 0)
    assert answer.completion.reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("eos", FinishReason.STOP),
        ("tool_calls", FinishReason.STOP),
    ],
)
def test_the_words_for_the_finish(finish: str, reason: FinishReason) -> None:
    assert told("openai", frames(chunk(content="a"), chunk(finish))).completion.reason is reason


def test_what_the_model_refuses_in_words_is_text_and_a_filter() -> None:
    answer = told("openai", frames(chunk(refusal="I can"), chunk(refusal="not."), STOP))

    assert (answer.text(), answer.completion.reason) == ("I cannot.", FinishReason.CONTENT_FILTER)


COUNTS: dict[str, tuple[list[Any], Usage | None]] = {
    "behind the finish": ([STOP, USAGE], Usage(9, 2)),
    "on the finish": ([{**STOP, "usage": USAGE["usage"]}], Usage(9, 2)),
    "on every chunk": (
        [{**chunk(content="a"), "usage": {"completion_tokens": 1}}, STOP, USAGE],
        Usage(9, 2),
    ),
    "null behind it": ([STOP, USAGE, {"choices": [], "usage": None}], Usage(9, 2)),
    "none": ([STOP], None),
    "of wrong types": ([STOP, {"choices": [], "usage": {"prompt_tokens": "9", "completion_tokens": -2}}], None),
    "half": ([STOP, {"choices": [], "usage": {"completion_tokens": 2}}], Usage(None, 2)),
    "with what was thought": (
        [STOP, {"choices": [], "usage": {**USAGE["usage"], "completion_tokens_details": {"reasoning_tokens": 1}}}],  # type: ignore[dict-item] # an object of JSON
        Usage(9, 2, 1),
    ),
    "with what was thought in the total alone": (
        [STOP, {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 31}}],
        Usage(9, 22),
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_last_usage_that_is_told_counts_wherever_it_stands(name: str) -> None:
    chunks, usage = COUNTS[name]

    assert told("openai", frames(*chunks)).completion.usage == usage


# --- ends


@pytest.mark.parametrize("done", [True, False])
def test_an_answer_without_a_finish_is_cut_off_however_politely_it_ends(done: bool) -> None:
    """litellm#42085: [DONE] alone is no finish."""
    end = told("openai", frames(chunk(content="a"), done=done)).end

    failed = end if isinstance(end, Failed) else getattr(end, "failed", None)
    assert failed is not None
    assert failed.code is Code.UPSTREAM_TRUNCATED


@pytest.mark.parametrize("broke_off", [True, False])
def test_an_answer_with_its_finish_is_whole_without_done(broke_off: bool) -> None:
    answer = told("openai", frames(chunk(content="a"), STOP, USAGE, done=False), broke_off=broke_off)

    assert answer.completion.usage == Usage(9, 2)


def test_a_last_frame_without_its_blank_line_counts() -> None:
    assert told("openai", frames(chunk(content="a"), STOP, done=False).rstrip()).completion.reason is FinishReason.STOP


def test_half_a_last_frame_is_no_malformed_one() -> None:
    answer = told("openai", frames(chunk(content="a"), STOP, done=False) + b'data: {"choices":[{"del', broke_off=True)

    assert (answer.text(), answer.skipped, answer.completion.reason) == ("a", 0, FinishReason.STOP)


ERRORS: dict[str, tuple[bytes, Code, str]] = {
    "in a frame": (b'data: {"error":{"message":"it broke","type":"server_error"}}\n\n', Code.UPSTREAM_ERROR, "error"),
    "named": (b'event: error\ndata: {"error":{"message":"it broke"}}\n\n', Code.UPSTREAM_ERROR, "error"),
    "words alone": (b'data: {"error":"it broke"}\n\n', Code.UPSTREAM_ERROR, "error"),
    "by a number in words": (b'data: {"error":{"code":"503"}}\n\n', Code.UPSTREAM_ERROR, "error"),
    "by a number": (b'data: {"error":{"message":"it broke","code":502}}\n\n', Code.UPSTREAM_ERROR, "error"),
    "a limit": (b'data: {"error":{"code":"rate_limit_exceeded"}}\n\n', Code.UPSTREAM_UNAVAILABLE, "429"),
    "the quota": (b'data: {"error":{"code":"insufficient_quota"}}\n\n', Code.UPSTREAM_UNAVAILABLE, "quota"),
    "the request": (b'data: {"error":{"type":"invalid_request_error"}}\n\n', Code.INVALID_REQUEST, "400"),
    "of Groq": (b'data: {"choices":[],"x_groq":{"error":"it broke"}}\n\n', Code.UPSTREAM_ERROR, "error"),
}


@pytest.mark.parametrize("before", [b"", frames(chunk(content="a"), done=False)], ids=["first", "behind text"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_the_stream_ends_the_attempt_by_its_own_kind(name: str, before: bytes) -> None:
    body, code, why = ERRORS[name]

    failed = told("openai", before + body + b"data: [DONE]\n\n").failed

    assert (failed.failed.code, failed.why) == (code, why)
    assert failed.failed.message != ""


def test_eight_frames_that_cannot_be_read_are_another_language() -> None:
    lines = (b"oops", b'"text"', b'{"choices":7}', b'{"choices":[{"delta":{"content":7}}]}')
    bad = [b"data: %b\n\n" % line for line in lines]

    seven = told("openai", b"".join((bad * 2)[:7]) + frames(chunk(content="a"), STOP))
    eight = told("openai", b"".join(bad * 2) + frames(chunk(content="a"), STOP))

    assert (seven.text(), seven.skipped, seven.completion.reason) == ("a", 7, FinishReason.STOP)
    assert isinstance(eight.end, Failed)
    assert eight.end.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("body", [b"<html><body>Sign in</body></html>", b"OK", b"{half", b'{"models":[]}', b"[]"])
def test_what_is_no_answer_under_200_is_malformed(body: bytes) -> None:
    end = told("openai", body).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("body", [b"", b"\n\n", b": waiting\n\n"])
def test_an_end_before_any_frame_is_a_truncation_and_may_be_asked_again(body: bytes) -> None:
    end = fed("openai", [body]).end

    assert isinstance(end, Failed)
    assert end.code in {Code.UPSTREAM_TRUNCATED, Code.UPSTREAM_MALFORMED}


# --- whole answers


def test_an_answer_that_comes_whole_gives_the_same_events() -> None:
    message = {
        "role": "assistant",
        "content": "Hello",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "find", "arguments": '{"x":1}'}}],
    }
    body = orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], **USAGE_ONLY})

    answer = told("openai", body)

    assert answer.events == [Thinking("hm"), Token("Hello"), FIND]
    assert answer.end == Completion(FinishReason.TOOL_CALLS, Usage(9, 2), load_s=None, prefill_s=None)


USAGE_ONLY = {"usage": USAGE["usage"]}


def test_an_error_that_comes_whole_under_200_is_an_error() -> None:
    assert told("openai", b'{"error":{"message":"it broke","code":500}}').failed.failed.message == "it broke"


def test_a_whole_answer_without_a_finish_is_cut_off() -> None:
    end = told("openai", b'{"choices":[{"message":{"content":"Hel"}}]}').end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED
