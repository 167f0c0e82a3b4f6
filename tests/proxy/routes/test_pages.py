"""A stream as lists and snapshots show it (`proxy/streams/stream.py`)."""

import orjson

from proxy.routes.pages import row_of, snapshot_of
from proxy.streams.log import RUN_BYTES
from services.wire.events import (
    Approval,
    Code,
    Failed,
    FinishReason,
    Signature,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
)
from tests.proxy.stage import STREAM_ID, a_stream


async def test_a_row_says_what_runs_and_no_word_of_it() -> None:
    async with a_stream() as stage:
        stage.join()
        stage.say("Hel", "lo")
        row = row_of(stage.stream)

    assert row.pop("age_s") >= 0
    assert row == {
        "id": STREAM_ID,
        "model": "llama3.2",
        "status": "streaming",
        "events": 3,
        "chunks": 2,
        "bytes": 5,
        "followers": 1,
    }


async def test_a_snapshot_is_the_whole_answer_while_all_of_it_is_held() -> None:
    async with a_stream() as stage:
        stage.stream.log.text(Thinking, "hm")
        stage.say("Hel", "lo")
        stage.stream.log.append(ToolCall("call_1", "clock", {"tz": "UTC"}, extra=Signature("gemini", {"s": "opaque"})))
        stage.stream.finish(FinishReason.CANCELLED)
        page = snapshot_of(stage.stream)

    assert orjson.dumps(page)
    end = page.pop("end")
    assert (end["finish_reason"], end["usage"]) == (FinishReason.CANCELLED, None)
    assert end.keys() == {"finish_reason", "usage", "timing", "served_by"}
    assert page == {
        "stream_id": STREAM_ID,
        "status": "finished",
        "model": "llama3.2",
        "text": "Hello",
        "thinking": "hm",
        "tool_calls": [{"call_id": "call_1", "name": "clock", "arguments": {"tz": "UTC"}}],
        "chunks": 4,
        "bytes": 7,
        "last": 6,
    }


async def test_a_snapshot_of_what_failed_has_its_error() -> None:
    async with a_stream() as stage:
        stage.say("Hel")
        stage.stream.fail(Failed(Code.UPSTREAM_ERROR, "words"))
        page = snapshot_of(stage.stream)

    assert (page["status"], page["text"], page["end"]["error"]["code"]) == ("failed", "Hel", Code.UPSTREAM_ERROR)


async def test_a_snapshot_of_an_answer_with_tools_has_results_and_what_it_adds_to_a_conversation() -> None:
    async with a_stream() as stage:
        stage.stream.tools = ("clock",)
        stage.stream.log.append(ToolCall("call_1", "clock", {}, runs_here=True, needs_approval=True))
        result = ToolResult("call_1", "clock", ok=False, content="No.", duration_ms=0, approval=Approval.REFUSED)
        stage.stream.log.append(result)
        stage.say("Sorry.")
        page = snapshot_of(stage.stream)

    call = {"call_id": "call_1", "name": "clock", "arguments": {}}
    assert page["tool_calls"] == [{**call, "runs": "server", "approval": "needed"}]
    assert page["tool_results"] == [
        {"call_id": "call_1", "name": "clock", "ok": False, "content": "No.", "duration_ms": 0, "approval": "refused"}
    ]
    assert page["messages"] == [
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "call_1", "function": {"name": "clock", "arguments": {}}},
        ]},
        {"role": "tool", "content": "No.", "tool_name": "clock", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "Sorry."},
    ]  # fmt: skip
    assert orjson.dumps(page)


async def test_a_snapshot_says_what_was_left_out_so_far() -> None:
    async with a_stream() as stage:
        stage.say("Hel")
        stage.stream.log.skipped_lines = 1
        running = snapshot_of(stage.stream)

    assert (running["status"], running["skipped_lines"]) == ("streaming", 1)


async def test_a_snapshot_says_where_its_text_begins_once_the_head_has_left() -> None:
    async with a_stream(log_bytes=2 * RUN_BYTES) as stage:
        for _ in range(4):
            stage.stream.log.text(Token, "x" * RUN_BYTES)
            stage.stream.log.text(Thinking, "y" * 10)
        stage.stream.deliver()
        page = snapshot_of(stage.stream)

    assert page["text_from"] + len(page["text"]) == 4 * RUN_BYTES
    assert page["thinking_from"] + len(page["thinking"]) == 40
