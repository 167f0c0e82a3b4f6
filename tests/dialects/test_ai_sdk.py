"""The AI SDK's chunks: no delta without its start, no word that the client does not know, and every way to end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialects.ai_sdk import AiSdkChunks, ResumableAiSdkChunks, ai_sdk_chunks, refusal
from services.dialects.dialect import Dialect
from services.dialects.foreign import Told, Wanted
from services.wire.events import (
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
from services.wire.hop import Chat
from services.wire.native import Numbered
from services.wire.request import ChatRequest
from services.wire.sse import SseDecoder

ID = "k3fa.4MZ6ABCDEFGHIJKLMNOPQRSTUV"
TIMING = Timing(0, None, None, None, None, 1, None)
WANTED = Wanted(request=ChatRequest(model="m"), stream=True)
TOLD = Told("m", 1795260000, "r-1")
CHAT = Chat("a-name-hard-to-guess")
STARTED: Numbered = (1, Started(ID, "m", 0))
CALL: Numbered = (5, ToolCall("call_1", "clock", {"tz": "UTC"}))
STOPS = [FinishReason.CANCELLED, FinishReason.ABANDONED]


def ended(reason: FinishReason = FinishReason.STOP, usage: Usage | None = None, skipped_lines: int = 0) -> Finished:
    return Finished(reason, usage, 4, 7, TIMING, None, skipped_lines)


def told(*events: Numbered, dialect: Dialect | None = None) -> list[Any]:
    """Return the chunks, "[DONE]" as it is."""
    frames = list(SseDecoder().feed((dialect or AiSdkChunks()).frames(events)))
    return [frame.data if frame.data == "[DONE]" else json.loads(frame.data) for frame in frames]


def test_each_part_is_begun_told_and_ended_before_the_next() -> None:
    text: list[Numbered] = [(4, Token("Hel")), (5, Token("lo")), CALL, (7, Token("So"))]

    assert told(STARTED, (2, Thinking("hm")), *text, (8, ended(usage=Usage(9, 2))))[1:] == [
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "1"},
        {"type": "reasoning-delta", "id": "1", "delta": "hm"},
        {"type": "reasoning-end", "id": "1"},
        {"type": "text-start", "id": "2"},
        {"type": "text-delta", "id": "2", "delta": "Hel"},
        {"type": "text-delta", "id": "2", "delta": "lo"},
        {"type": "text-end", "id": "2"},
        {"type": "tool-input-start", "toolCallId": "call_1", "toolName": "clock", "dynamic": True},
        {
            "type": "tool-input-available",
            "toolCallId": "call_1",
            "toolName": "clock",
            "dynamic": True,
            "input": {"tz": "UTC"},
        },
        {"type": "text-start", "id": "3"},
        {"type": "text-delta", "id": "3", "delta": "So"},
        {"type": "text-end", "id": "3"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": {"inputTokens": 9, "outputTokens": 2}}},
        "[DONE]",
    ]


def test_a_replay_has_the_same_message_id_which_is_no_key_to_the_stream() -> None:
    (start, _), (again, _) = told(STARTED), told(STARTED)

    assert start == again
    assert start["messageId"].startswith("msg_")
    assert ID.partition(".")[2] not in start["messageId"]


def test_a_message_that_goes_on_keeps_its_id() -> None:
    wanted = Wanted(request=WANTED.request, stream=True, message_id="its own")

    assert told(STARTED, dialect=ai_sdk_chunks(wanted, TOLD))[0] == {"type": "start", "messageId": "its own"}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.TOOL_CALLS, "tool-calls"),
        (FinishReason.CONTENT_FILTER, "content-filter"),
    ],
)
def test_an_end_has_the_ai_sdk_s_word_for_it(reason: FinishReason, word: str) -> None:
    """Any other kills the message. What was not counted is not told."""
    assert told((2, ended(reason)))[1] == {"type": "finish", "finishReason": word, "messageMetadata": {}}


@pytest.mark.parametrize(
    "end",
    [Failed(Code.UPSTREAM_TRUNCATED, "words"), *map(ended, STOPS)],
    ids=["failed", *STOPS],
)
def test_an_answer_that_is_not_whole_ends_with_an_error(end: Terminal) -> None:
    """An end without `finish`, and an `abort`, look finished on the page."""
    *_, text_end, error, done = told(STARTED, (2, Token("Hello")), (3, end))

    assert (text_end["type"], error["type"], done) == ("text-end", "error", "[DONE]")
    assert error["errorText"] == (end.message if isinstance(end, Failed) else "The answer was stopped.")


def test_what_was_left_out_is_said_beside_the_usage() -> None:
    assert told((2, ended(skipped_lines=2)))[1]["messageMetadata"] == {"skipped_lines": 2}


@pytest.mark.parametrize(
    ("ok", "chunk"),
    [
        (True, {"type": "tool-output-available", "toolCallId": "c", "dynamic": True, "output": "12"}),
        (False, {"type": "tool-output-error", "toolCallId": "c", "dynamic": True, "errorText": "12"}),
    ],
)
def test_the_page_is_shown_what_a_tool_of_the_server_gave(ok: bool, chunk: dict[str, Any]) -> None:
    assert told((2, ToolResult("c", "f", ok=ok, content="12", duration_ms=1))) == [chunk]


def test_what_the_stream_waits_for_is_shown_and_not_kept() -> None:
    (frame,) = SseDecoder().feed(AiSdkChunks().status(Status(Phase.QUEUED, position=3)))

    assert json.loads(frame.data) == {
        "type": "data-status",
        "data": {"phase": "queued", "position": 3},
        "transient": True,
    }


@given(parts=st.lists(st.text(min_size=1), min_size=1), kind=st.sampled_from([Token, Thinking]))
def test_no_text_is_lost_or_changed(parts: list[str], kind: type[Token | Thinking]) -> None:
    chunks = told(*((number, kind(part)) for number, part in enumerate(parts, 2)), (99, ended()))

    assert [chunk["delta"] for chunk in chunks[:-1] if "delta" in chunk] == parts


def test_the_start_is_the_same_by_either_road() -> None:
    started = STARTED[1]
    assert isinstance(started, Started)

    assert AiSdkChunks().open(started) == AiSdkChunks().frames([STARTED])


@pytest.mark.parametrize("event", [Token("Hello 🌊"), Thinking('"\n')])
def test_text_without_an_event_is_the_event_s_chunk(event: Token | Thinking) -> None:
    one, other = AiSdkChunks(), AiSdkChunks()

    assert one.text(type(event), 7, event.content) == other.frames([(7, event)])


def test_a_heartbeat_is_a_comment() -> None:
    assert AiSdkChunks().heartbeat() == b": hb\n"


@pytest.mark.parametrize(
    ("mode", "chat", "resumes"),
    [("cancel", CHAT, False), ("continue", CHAT, True), ("continue", None, False)],
)
def test_a_connection_may_break_off_without_an_end_where_the_page_can_come_back(
    mode: Any, chat: Chat | None, resumes: bool
) -> None:
    chunks = ai_sdk_chunks(Wanted(request=WANTED.request, stream=True, on_disconnect=mode, chat=chat), TOLD)

    assert chunks.can_resume is resumes
    assert isinstance(chunks, ResumableAiSdkChunks) is resumes


def test_a_refusal_is_our_sentence_alone() -> None:
    """The page shows the body as its error's message."""
    status, headers, body = refusal(ApiError(Failed(Code.MODEL_NOT_FOUND, "No such model. ёж")), "r-1")

    assert (status, body.decode()) == (404, "No such model. ёж")
    assert (headers["Content-Type"], headers["Sluice-Error-Code"]) == ("text/plain; charset=utf-8", "model_not_found")
