import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialects.dialect import Dialect
from services.dialects.ollama import (
    STOPPED,
    OllamaLines,
    OllamaObject,
    empty_object,
    refusal,
    stopped_answer,
    was_stopped,
)
from services.wire.events import (
    ApiError,
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
from services.wire.request import Kind

MOMENT = datetime(2026, 11, 21, 7, 12, 38, 169384, UTC)
NOW = "2026-11-21T07:12:38.169384000Z"
UNICODE_LINE_ENDS = set("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
LAST_WORD = {"done_reason": "stop", "total_duration": 286912975, "eval_count": 21}
EVENTS: list[Numbered] = [
    (1, Started("k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "llama3.2", 0)),
    (2, Thinking("hm")),
    (3, Token("Hello")),
    (4, ToolCall("call_1", "clock", {"tz": "UTC"}, extra=Signature("gemini", {"s": "opaque"}))),
    (5, ToolCall("call_2", "clock", {})),
]
CALLS = [
    {"id": "call_1", "function": {"index": 0, "name": "clock", "arguments": {"tz": "UTC"}}},
    {"id": "call_2", "function": {"index": 1, "name": "clock", "arguments": {}}},
]


def ended(reason: FinishReason = FinishReason.STOP, *, skipped_lines: int = 0) -> Finished:
    last_word = {} if reason in {FinishReason.CANCELLED, FinishReason.ABANDONED} else LAST_WORD
    timing = Timing(0, None, None, None, None, 1, None)
    return Finished(reason, Usage(5, 21), 4, 7, timing, None, skipped_lines, last_word)


def lines_of(kind: Kind, *events: Numbered) -> list[dict[str, Any]]:
    dialect: Dialect = OllamaLines(kind, "llama3.2", lambda: MOMENT)
    return [json.loads(line) for line in dialect.frames(events).split(b"\n") if line]


def test_calls_that_ran_at_the_server_are_not_told_and_count_for_nothing() -> None:
    ran = ToolCall("call_1", "clock", {}, runs_here=True)
    result = ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=1)
    events: list[Numbered] = [EVENTS[0], (2, ran), (3, result), (4, ToolCall("call_2", "theirs", {}))]

    (line,) = lines_of("chat", *events)
    _, _, whole = OllamaObject("chat", "llama3.2", lambda: MOMENT).whole(events, ended())

    for message in (line["message"], json.loads(whole)["message"]):
        assert [call["function"] for call in message["tool_calls"]] == [{"index": 0, "name": "theirs", "arguments": {}}]


def test_chat_is_told_line_by_line_in_ollama_s_shape() -> None:
    head = {"model": "llama3.2", "created_at": NOW}

    assert lines_of("chat", *EVENTS, (6, ended())) == [
        {**head, "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {**head, "message": {"role": "assistant", "content": "Hello"}, "done": False},
        {**head, "message": {"role": "assistant", "content": "", "tool_calls": CALLS[:1]}, "done": False},
        {**head, "message": {"role": "assistant", "content": "", "tool_calls": CALLS[1:]}, "done": False},
        {**head, "message": {"role": "assistant", "content": ""}, "done": True, **LAST_WORD},
    ]


def test_generate_is_told_line_by_line_in_ollama_s_shape() -> None:
    head = {"model": "llama3.2", "created_at": NOW}

    assert lines_of("generate", *EVENTS[:3], (4, ended())) == [
        {**head, "response": "", "thinking": "hm", "done": False},
        {**head, "response": "Hello", "done": False},
        {**head, "response": "", "done": True, **LAST_WORD},
    ]


@pytest.mark.parametrize("reason", [FinishReason.CANCELLED, FinishReason.ABANDONED])
def test_an_answer_that_was_stopped_ends_with_an_error_line(reason: FinishReason) -> None:
    """``done:true`` would say that it is whole."""
    assert was_stopped(ended(reason))
    assert lines_of("chat", (2, ended(reason))) == [{"error": STOPPED}]


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS])
def test_an_answer_that_ended_by_itself_was_not_stopped(reason: FinishReason) -> None:
    assert not was_stopped(ended(reason))


def test_an_answer_that_broke_ends_with_its_words() -> None:
    assert lines_of("chat", (2, Failed(Code.UPSTREAM_ERROR, "words"))) == [{"error": "words"}]


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_what_was_left_out_is_said_in_every_shape_of_an_end(kind: Kind) -> None:
    """Without it a shortened answer looks like a whole one."""
    done, stopped = ended(skipped_lines=2), ended(FinishReason.CANCELLED, skipped_lines=2)
    failed = Failed(Code.UPSTREAM_ERROR, "words", skipped_lines=2)

    assert [lines_of(kind, (1, end))[0]["skipped_lines"] for end in (done, stopped, failed)] == [2, 2, 2]
    assert [whole_of(kind, end=end)[1]["skipped_lines"] for end in (done, stopped)] == [2, 2]


def test_an_answer_without_a_hole_does_not_speak_of_one() -> None:
    assert "skipped_lines" not in lines_of("chat", (1, ended()))[0]
    assert "skipped_lines" not in whole_of("chat")[1]


@pytest.mark.parametrize("event", [Token("Hello 🌊"), Thinking('"\n')])
def test_text_without_an_event_is_the_event_s_line(event: Token | Thinking) -> None:
    dialect: Dialect = OllamaLines("chat", "llama3.2", lambda: MOMENT)

    assert dialect.text(type(event), 7, event.content) == dialect.frames([(7, event)])


def test_ollama_s_clients_are_told_of_no_status() -> None:
    assert OllamaLines("chat", "m", lambda: MOMENT).status(Status(Phase.LOADING)) == b""


@given(text=st.text(min_size=1) | st.sampled_from(["a\u0085b", "\u2028", "\u2029\u0085", "\x0b\x0c\x1c\x1d\x1e\r\n"]))
def test_no_reader_of_python_splits_a_line_in_two(text: str) -> None:
    """M6: ollama-python splits at whatever Unicode calls a line end."""
    body = OllamaLines("generate", "m", lambda: MOMENT).frames([(2, Token(text))]).decode()

    assert set(body[:-1]) & UNICODE_LINE_ENDS == set()
    assert json.loads(body)["response"] == text


def whole_of(kind: Kind, *events: Numbered, end: Finished | None = None) -> tuple[int, dict[str, Any]]:
    status, headers, body = OllamaObject(kind, "llama3.2", lambda: MOMENT).whole(events, end or ended())
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    return status, orjson.loads(body)


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_a_whole_answer_is_one_object_with_everything_in_it(kind: Kind) -> None:
    status, whole = whole_of(kind, *EVENTS)
    said = whole if kind == "generate" else whole["message"]

    assert status == 200
    assert said["response" if kind == "generate" else "content"] == "Hello"
    assert (said["thinking"], said["tool_calls"]) == ("hm", CALLS)
    assert whole["done"] is True
    assert {name: whole[name] for name in LAST_WORD} == LAST_WORD


@pytest.mark.parametrize(
    ("reason", "usage", "said"),
    [
        (FinishReason.LENGTH, Usage(5, 21), {"done_reason": "length", "prompt_eval_count": 5, "eval_count": 21}),
        (FinishReason.TOOL_CALLS, Usage(None, 21), {"done_reason": "stop", "eval_count": 21}),
        (FinishReason.CONTENT_FILTER, None, {"done_reason": "stop"}),
    ],
)
def test_another_s_answer_ends_with_what_is_known_of_it_and_whose_it_is(
    reason: FinishReason, usage: Usage | None, said: dict[str, Any]
) -> None:
    served_by = ServedBy("gemini", "llama3.2", 2, "cloud")
    end = replace(ended(reason), usage=usage, last_word={}, served_by=served_by)

    last = lines_of("generate", (6, end))[-1]
    _, whole = whole_of("generate", (3, Token("Hello")), end=end)

    for answer in (last, whole):
        told = {name: answer[name] for name in answer.keys() - {"model", "created_at", "response", "done"}}
        assert told == {
            **said,
            "total_duration": 1_000_000,
            "served_by": {"provider": "gemini", "server": "cloud", "model": "llama3.2", "attempts": 2},
        }


def test_a_whole_answer_without_thinking_or_tools_has_no_such_fields() -> None:
    _, whole = whole_of("chat", (3, Token("Hello")))

    assert whole["message"] == {"role": "assistant", "content": "Hello"}


@pytest.mark.parametrize("reason", [FinishReason.CANCELLED, FinishReason.ABANDONED])
def test_a_whole_answer_that_was_stopped_is_a_refusal(reason: FinishReason) -> None:
    end = ended(reason)

    assert whole_of("chat", *EVENTS, end=end) == (409, {"error": STOPPED})
    assert stopped_answer(end) is not None
    assert (stopped_answer(ended()), stopped_answer(None)) == (None, None)


def test_an_end_that_is_in_no_log_is_told_as_any_other() -> None:
    """A drain of a gateway, whose client cannot come back for the rest."""
    dialect = OllamaLines("chat", "m", lambda: MOMENT)

    assert dialect.close(Failed(Code.SHUTTING_DOWN, "words")) == b'{"error":"words"}\n'
    assert dialect.open(Started("k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "m", 0)) == b""


def test_a_refusal_has_ollama_s_shape_and_our_code_in_a_header() -> None:
    status, headers, body = refusal(ApiError(Failed(Code.OVERLOADED, "Full."), retry_after_s=2), "r-1")

    assert (status, orjson.loads(body)) == (503, {"error": "Full."})
    assert (headers["Retry-After"], headers["Sluice-Error-Code"]) == ("2", "overloaded")


def test_what_ollama_s_clients_do_not_know_is_not_told_them() -> None:
    result = (4, ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4))

    assert lines_of("chat", EVENTS[2], result) == lines_of("chat", EVENTS[2])


@pytest.mark.parametrize(("kind", "said"), [("chat", "message"), ("generate", "response")])
def test_who_said_nothing_hears_that_the_model_is_loaded(kind: str, said: str) -> None:
    answer = empty_object(kind, "m", MOMENT, done_reason="load")

    assert set(answer) == {"model", "created_at", said, "done", "done_reason"}
    assert (answer["done"], answer["done_reason"]) == (True, "load")
