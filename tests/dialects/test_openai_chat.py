"""Chunks and whole answers as OpenAI's clients read them."""

import json
from typing import Any

import orjson
import pytest

from services.dialects.foreign import shown_id
from services.dialects.openai_chat import CHAT, OpenAiChunks, OpenAiCompletion
from services.dialects.openai_chat_request import chat
from services.wire.events import (
    Code,
    Failed,
    FinishReason,
    Phase,
    Signature,
    Status,
    Token,
    ToolResult,
    Usage,
)
from tests.dialects.speech import SAID, STARTED, STREAM_ID, TOLD, USAGE, data_of, ended, sent, wanted

SEALED = {"sluice": {"provider": "gemini", "data": {"s": "opaque"}}}


def chunks(*, shows_usage: bool = True) -> OpenAiChunks:
    return OpenAiChunks(wanted(shows_usage=shows_usage), TOLD)


def deltas(frames: bytes) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in data_of(frames) if chunk["choices"]]


def test_an_answer_is_a_role_then_its_parts_then_a_finish_then_done() -> None:
    dialect = chunks()
    frames = dialect.frames([*SAID, (7, ended(FinishReason.TOOL_CALLS))])

    assert deltas(frames) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "Hel"},
        {"content": "lo"},
        {"tool_calls": [{**called(0, "call_1", "clock", {"tz": "UTC"}), "extra_content": SEALED}]},
        {"tool_calls": [called(1, "call_2", "weather", {})]},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in data_of(frames)[:-1]] == [None] * 6 + ["tool_calls"]
    assert sent(frames)[-1].data == "[DONE]"


def called(index: int, call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    written = orjson.dumps(arguments).decode()
    return {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": written}}


def test_every_chunk_has_the_one_id_time_and_model_of_the_answer() -> None:
    frames = chunks().frames([*SAID, (7, ended())])
    heads = {(one["id"], one["object"], one["created"], one["model"]) for one in data_of(frames)}

    assert heads == {(shown_id("chatcmpl-", STREAM_ID), "chat.completion.chunk", TOLD.created, TOLD.model)}
    assert STREAM_ID.encode() not in frames


def test_no_frame_has_an_id_a_name_or_a_time_to_come_back() -> None:
    """A known bug of clients: a comment behind a frame with an id is an event without data to them."""
    dialect = chunks()
    frames = dialect.frames(SAID) + dialect.heartbeat() + dialect.close(ended())

    assert {line.partition(b":")[0] for line in frames.split(b"\n") if line} == {b"data", b""}


@pytest.mark.parametrize("shows_usage", [True, False])
def test_usage_comes_last_and_only_where_it_was_asked_for(shows_usage: bool) -> None:
    """Unasked, every chunk has a choice: clients take the first of each."""
    last = data_of(chunks(shows_usage=shows_usage).frames([(1, STARTED), (2, ended())]))[-1]

    assert bool(last["choices"]) is not shows_usage
    assert last.get("usage") == (
        {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11} if shows_usage else None
    )


@pytest.mark.parametrize("usage", [None, Usage(None, 2), Usage(9, None)])
def test_usage_that_was_not_counted_whole_is_left_out(usage: Usage | None) -> None:
    chunk = data_of(chunks().frames([(1, STARTED), (2, ended(usage=usage))]))[-1]
    _, _, body = OpenAiCompletion(wanted(), TOLD).whole(SAID, ended(usage=usage))

    assert chunk["choices"]
    assert "usage" not in json.loads(body)


@pytest.mark.parametrize(
    "end", [Failed(Code.UPSTREAM_TRUNCATED, "words"), ended(FinishReason.CANCELLED), ended(FinishReason.ABANDONED)]
)
def test_an_answer_that_is_not_whole_ends_with_an_error_and_nothing_behind_it(end: Any) -> None:
    """A known bug of others: a clean end, an invented finish reason, or a terminator behind the failure."""
    events = sent(chunks().frames([*SAID, (7, end)]))[6:]

    assert len(events) == 1
    error = json.loads(events[0].data)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "server_error"
    assert error["code"] == (end.code if isinstance(end, Failed) else end.reason)


def test_lines_that_were_left_out_are_said() -> None:
    finish = data_of(chunks(shows_usage=False).frames([(1, STARTED), (2, ended(skipped_lines=3))]))[-1]
    failed = data_of(chunks().frames([(1, STARTED), (2, Failed(Code.INTERNAL, "w", skipped_lines=3))]))[-1]
    _, _, body = OpenAiCompletion(wanted(), TOLD).whole(SAID, ended(skipped_lines=3))

    assert finish["skipped_lines"] == failed["error"]["skipped_lines"] == json.loads(body)["skipped_lines"] == 3


@pytest.mark.parametrize("text", ['"', "\\", "\n\r", "\u2028\x85", "ёж 🦔", '"}]}', "\x00"])
def test_text_of_any_characters_arrives_as_it_was(text: str) -> None:
    frames = chunks().frames([(1, STARTED), (2, Token(text))])

    assert deltas(frames)[1] == {"content": text}
    assert frames.count(b"\n") == 4


def test_a_heartbeat_is_a_comment_and_every_fourth_an_empty_chunk() -> None:
    dialect = chunks()
    dialect.open(STARTED)
    beats = [dialect.heartbeat() for _ in range(8)]

    assert [beat == b": hb\n" for beat in beats] == [True, True, True, False] * 2
    assert deltas(beats[3]) == [{}]


def test_text_begins_the_count_of_heartbeats_anew() -> None:
    dialect = chunks()
    dialect.open(STARTED)
    for _ in range(3):
        dialect.heartbeat()
    dialect.text(Token, 2, "x")

    assert dialect.heartbeat() == b": hb\n"


def test_what_these_clients_do_not_know_is_not_said() -> None:
    dialect = chunks()

    assert dialect.status(Status(Phase.LOADING)) == b""
    assert dialect.frames([(1, ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=1))]) == b""


def test_a_whole_answer_has_text_thinking_calls_and_usage() -> None:
    status, headers, body = OpenAiCompletion(wanted(), TOLD).whole(SAID, ended(FinishReason.TOOL_CALLS))
    answer = json.loads(body)

    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert answer["id"] == shown_id("chatcmpl-", STREAM_ID)
    assert (answer["object"], answer["model"]) == ("chat.completion", TOLD.model)
    assert answer["usage"]["total_tokens"] == (USAGE.input_tokens or 0) + (USAGE.output_tokens or 0)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Hello"
    assert choice["message"]["reasoning_content"] == "hm"
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["clock", "weather"]


@pytest.mark.parametrize(("events", "content"), [(SAID[:1], ""), ([SAID[0], SAID[4]], None)])
def test_a_whole_answer_without_text_has_empty_content_or_with_calls_none(events: Any, content: str | None) -> None:
    _, _, body = OpenAiCompletion(wanted(), TOLD).whole(events, ended())
    message = json.loads(body)["choices"][0]["message"]

    assert message["content"] == content
    assert "reasoning_content" not in message


def test_a_call_that_is_sent_back_as_it_came_has_its_provider_s_seal() -> None:
    """A known bug of others: the second turn of a tool loop is refused by its provider."""
    _, _, body = OpenAiCompletion(wanted(), TOLD).whole(SAID, ended(FinishReason.TOOL_CALLS))
    turn = json.loads(body)["choices"][0]["message"]
    (message,) = chat(orjson.dumps({"model": "m", "messages": [turn]})).request.messages

    assert [call.extra for call in message.tool_calls or ()] == [Signature("gemini", {"s": "opaque"}), None]


def test_a_whole_answer_that_was_stopped_is_an_error() -> None:
    status, headers, body = OpenAiCompletion(wanted(), TOLD).whole(SAID, ended(FinishReason.CANCELLED))

    assert (status, headers["x-should-retry"]) == (409, "false")
    assert json.loads(body)["error"]["code"] == "cancelled"


def test_the_language_makes_both_forms() -> None:
    assert isinstance(CHAT.frames(wanted(), TOLD), OpenAiChunks)
    assert CHAT.whole is OpenAiCompletion
