"""What Gemini says (`proxy/providers/gemini.py`)."""

from typing import Any

import orjson
import pytest

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
from tests.proxy.providers.cloud_speech import Told, crlf_frames, told

COUNTS = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}


def chunk(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [candidate if finish is None else {**candidate, "finishReason": finish}], **more}


def called(name: str = "find", args: Any = None, seal: str = "", **more: Any) -> dict[str, Any]:
    call = {"functionCall": {"name": name, "args": {} if args is None else args, **more}}
    return {**call, "thoughtSignature": seal} if seal else call


STOP = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": COUNTS}


def said(*chunks: Any) -> Told:
    return told("gemini", crlf_frames(*chunks))


SEAL = Signature("gemini", {"thoughtSignature": "Eo0H"})
SAYS: dict[str, tuple[list[Any], list[Logged]]] = {
    "text": ([chunk({"text": "Hel"}), chunk({"text": "lo"})], [Token("Hello")]),
    "thoughts": ([chunk({"text": "hm", "thought": True}, {"text": "a"})], [Thinking("hm"), Token("a")]),
    "a seal on an empty part": (
        [chunk({"text": "a"}), chunk({"text": "", "thoughtSignature": "Eo0H"})],
        [Token("a"), SEAL],
    ),
    "a seal on the last text": ([chunk({"text": "a", "thoughtSignature": "Eo0H"})], [Token("a"), SEAL]),
    "a sealed call": ([chunk(called(args={"x": 1}, seal="Eo0H"))], [ToolCall("call_1", "find", {"x": 1}, SEAL)]),
    "a call with an id": ([chunk(called(id="fc_7"))], [ToolCall("fc_7", "find", {})]),
    "calls in one chunk and in two": (
        [chunk(called(seal="Eo0H"), called("look")), chunk(called("ask"))],
        [ToolCall("call_1", "find", {}, SEAL), ToolCall("call_2", "look", {}), ToolCall("call_3", "ask", {})],
    ),
    "parts of other kinds": (
        [chunk({"executableCode": {"code": "1"}}, {"inlineData": {"data": ""}}, {"text": "a"})],
        [Token("a")],
    ),
    "a candidate without content": ([{"candidates": [{"index": 0}]}, chunk({"text": "a"})], [Token("a")]),
    "counts alone": ([{"usageMetadata": COUNTS}, chunk({"text": "a"})], [Token("a")]),
}


@pytest.mark.parametrize("name", SAYS)
def test_parts_are_told_as_what_they_are(name: str) -> None:
    chunks, events = SAYS[name]

    answer = said(*chunks, STOP)

    calls = [event for event in events if isinstance(event, ToolCall)]
    reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    assert answer.events == events
    assert answer.end == Completion(reason, Usage(9, 5), load_s=None, prefill_s=None)
    assert answer.skipped == 0


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("OTHER", FinishReason.STOP),
        ("A_NEWER_ONE", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("CONTINUATION", FinishReason.LENGTH),
        *(
            (word, FinishReason.CONTENT_FILTER)
            for word in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY")
        ),
    ],
)
def test_the_words_for_the_finish(word: str, reason: FinishReason) -> None:
    assert said(chunk({"text": "a"}, finish=word)).completion.reason is reason


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"])
def test_a_call_that_the_model_made_badly_is_a_failure_that_may_be_asked_again(word: str) -> None:
    failed = said(chunk(finish=word)).failed

    assert (failed.failed.code, failed.failed.may_retry, failed.again, failed.next) == (
        Code.UPSTREAM_ERROR,
        True,
        True,
        True,
    )


def test_a_prompt_that_was_blocked_is_an_answer() -> None:
    answer = said({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}})

    assert answer.end == Completion(FinishReason.CONTENT_FILTER, Usage(9, None), load_s=None, prefill_s=None)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        (COUNTS, Usage(9, 5)),
        ({**COUNTS, "thoughtsTokenCount": 20}, Usage(9, 25, 20)),
        ({**COUNTS, "toolUsePromptTokenCount": 3}, Usage(12, 5)),
        ({"promptTokenCount": 9, "thoughtsTokenCount": 20}, Usage(9, 20, 20)),
        ({"promptTokenCount": "9"}, None),
        ({}, None),
    ],
)
def test_the_last_counts_are_of_the_whole_and_what_was_thought_is_output(counts: Any, usage: Usage | None) -> None:
    first = {"promptTokenCount": 1, "candidatesTokenCount": 1} if counts else {}

    answer = said(chunk({"text": "a"}, usageMetadata=first), {**STOP, "usageMetadata": counts})

    assert answer.completion.usage == usage


# --- ends


@pytest.mark.parametrize("broke_off", [True, False])
def test_an_answer_without_a_finish_reason_is_cut_off_however_politely_it_ends(broke_off: bool) -> None:
    end = told("gemini", crlf_frames(chunk({"text": "a"}, usageMetadata=COUNTS)), broke_off=broke_off).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED


def test_the_finish_counts_without_content_and_without_its_blank_line() -> None:
    """req_llm#638: a chunk without parts was dropped, and the finish with it."""
    assert told("gemini", crlf_frames(chunk({"text": "a"}), STOP).rstrip()).completion.usage == Usage(9, 5)


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
PRETTY = orjson.dumps(ERROR, option=orjson.OPT_INDENT_2)
ERRORS = {
    "in a frame": crlf_frames(ERROR),
    "in a list in a frame": crlf_frames([ERROR]),
    "on many lines, without a frame": PRETTY,
    "likewise, by CRLF and in a list": b"[" + PRETTY.replace(b"\n", b"\r\n") + b"]\r\n",
}


@pytest.mark.parametrize("before", [b"", crlf_frames(chunk({"text": "a"}))], ids=["first", "behind text"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_the_stream_is_found_wherever_it_stands(name: str, before: bytes) -> None:
    failed = told("gemini", before + ERRORS[name]).failed

    assert failed.failed == Failed(Code.UPSTREAM_ERROR, "The model is overloaded.", retryable=True)
    assert (failed.why, failed.again, failed.next) == ("error", True, True)


@pytest.mark.parametrize("hint", [{"partialArgs": [{"jsonPath": "$.x", "numberValue": 1}]}, {"willContinue": True}])
def test_a_call_whose_arguments_come_in_parts_is_no_answer_rather_than_a_call_without_them(hint: Any) -> None:
    end = said(chunk(called(**hint)), STOP).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    "call", [{"args": {}}, {"name": "f", "args": "{oops"}, {"name": "f", "args": [1]}, {"name": 7}]
)
def test_a_call_that_cannot_be_read_is_left_out_alone_and_counted(call: Any) -> None:
    answer = said(chunk({"functionCall": call}, {"text": "a"}), STOP)

    assert (answer.text(), answer.calls, answer.skipped) == ("a", [], 1)
    assert answer.completion.reason is FinishReason.STOP


@pytest.mark.parametrize("bad", [{"candidates": 7}, {"candidates": [7]}, chunk(7), chunk({"text": 7}), [7], 7])
def test_a_chunk_of_wrong_types_is_left_out_and_counted(bad: Any) -> None:
    answer = said(chunk({"text": "a"}), bad, STOP)

    assert (answer.text(), answer.skipped, answer.completion.reason) == ("a", 1, FinishReason.STOP)


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("on_a_call", [True, False])
def test_a_signature_has_a_bound(over: int, *, on_a_call: bool) -> None:
    seal = "x" * (MAX_SIGNATURE_BYTES - len(b'{"thoughtSignature":""}') + over)
    part = called(seal=seal) if on_a_call else {"text": "", "thoughtSignature": seal}

    end = told("gemini", crlf_frames(chunk(part), STOP), cuts=(4096,)).end

    assert isinstance(end, Failed if over else Completion)


def test_an_answer_that_comes_whole_gives_the_same_events() -> None:
    body = chunk(
        {"text": "hm", "thought": True}, {"text": "a"}, called(args={"x": 1}), finish="STOP", usageMetadata=COUNTS
    )

    answer = told("gemini", orjson.dumps(body))

    assert answer.events == [Thinking("hm"), Token("a"), ToolCall("call_1", "find", {"x": 1})]
    assert answer.end == Completion(FinishReason.TOOL_CALLS, Usage(9, 5), load_s=None, prefill_s=None)
