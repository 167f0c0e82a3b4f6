import asyncio
from typing import get_args

import orjson
import pytest

from services.http.connection import ResponseEnd
from services.wire import sse
from services.wire.events import ConnectionEnd, Content, Thinking, Token, ToolCall, ToolResult
from services.wire.native import Numbered
from tests.gateway.relay.relaying import Scene, relaying
from tests.gateway.stage import (
    START,
    STREAM_ID,
    ListHop,
    called,
    done,
    failed,
    framed,
    status_frame,
    thought,
    tokens,
    turns,
)

# --- frames in, frames out


async def test_frames_pass_unchanged_but_for_start_and_done() -> None:
    hop = ListHop()
    middle = [*tokens("Hel", "lo"), called(4)]
    async with relaying(hop) as (scene, task):
        hop.brings(START, middle, done(5))
        hop.ends()
        await task
        start, *_, last = scene.events

        assert framed(middle) in scene.sink.body
        assert orjson.loads(start.data) == {
            "type": "start",
            "stream_id": STREAM_ID,
            "request_id": "mine-0001",
            "model": "llama3.2",
            "resume_window_s": 5,
            "heartbeat_s": 5,
            "conversation_id": "c_8f",
        }
        assert orjson.loads(last.data)["gateway"]["ttft_ms"] >= 0
        assert scene.relay.end_reason == "stop"


async def test_one_read_of_the_hop_is_one_write_to_the_client() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, tokens("a", "b"))
        hop.brings(tokens("c", after=3))

        assert len(scene.sink.writes) == 2
        assert scene.sink.writes[1] == framed(tokens("c", after=3))


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_the_client_gets_whole_frames_wherever_the_hop_was_cut(size: int) -> None:
    """A frame is written by one write, or several whole frames by one; never part of one."""
    hop = ListHop()
    body = framed(START, tokens("Hel", "lo ёж"), done(4))
    async with relaying(hop) as (scene, _):
        for at in range(0, len(body), size):
            hop.on_bytes(body[at : at + size])

        assert all(write.endswith(b"\n\n") for write in scene.sink.writes)
        assert scene.text == "Hello ёж"
        assert scene.relay.end_reason == "stop"


async def test_what_came_before_somebody_carried_it_comes_first() -> None:
    hop = ListHop()
    hop.brings(START, tokens("early"))
    async with relaying(hop) as (scene, _):
        hop.brings(tokens("late", after=2))

        assert scene.text == "earlylate"


async def test_what_is_here_already_leaves_with_the_headers_and_what_comes_meanwhile_right_after_them() -> None:
    """The headers are sent by an await: nothing of the hop may be lost or overtaken in it."""
    hop = ListHop()
    hop.brings(START)
    scene = Scene()
    with_the_headers = scene.relay.attach(hop)
    hop.brings(tokens("meanwhile"))
    hop.brings(done(3))
    hop.ends()
    await asyncio.wait_for(scene.relay.run(scene.sink), 5)

    assert with_the_headers.startswith(f"id: {STREAM_ID}-1\n".encode())
    assert [event.type for event in scene.events] == ["token", "done"]
    assert scene.relay.end_reason == "stop"


async def test_a_cut_before_the_headers_are_out_closes_the_client_without_a_last_chunk() -> None:
    """L2: a clean end would be taken for success."""
    hop = ListHop()
    hop.brings(START)
    scene = Scene()
    scene.relay.attach(hop)
    scene.relay.cut(ConnectionEnd.HANDED_OVER)
    hop.brings(tokens("late"))
    await asyncio.wait_for(scene.relay.run(scene.sink), 5)

    assert scene.relay.end_reason == ConnectionEnd.HANDED_OVER
    assert (scene.sink.writes, scene.sink.ended_as) == ([], "closed")
    assert hop.connection.closed


async def test_a_hop_that_was_over_before_somebody_carried_it_is_carried_whole() -> None:
    hop = ListHop()
    hop.brings(START, tokens("all"), done(3))
    hop.ends()
    async with relaying(hop) as (scene, task):
        await task

        assert (scene.text, scene.relay.end_reason, scene.asked_again) == ("all", "stop", [])


async def test_the_hop_s_heartbeats_are_not_the_client_s() -> None:
    """Each hop makes its own."""
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.on_bytes(sse.HEARTBEAT)
        hop.on_bytes(sse.HEARTBEAT)

        assert scene.sink.writes == []


async def test_a_status_passes() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.on_bytes(status_frame())

        assert scene.sink.writes == [status_frame()]


async def test_an_error_passes_under_the_client_s_own_connection_and_ends_it() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, task):
        hop.brings(START, tokens("a"), failed(3))
        hop.ends()
        await task

        assert scene.relay.end_reason == "upstream_error"
        assert scene.events[-1].type == "error"
        assert "gateway" not in orjson.loads(scene.events[-1].data)


async def test_a_connection_that_joined_later_says_nothing_of_a_first_token() -> None:
    """Its clock saw a replay, not the model."""
    hop = ListHop()
    async with relaying(hop, position=1, began=False) as (scene, _):
        hop.brings(tokens("a"), done(3))

        assert "gateway" not in orjson.loads(scene.events[-1].data)


async def test_a_connection_that_did_not_begin_its_stream_says_nothing_of_a_first_token_from_the_start_either() -> None:
    """A resume from 0, and a repeated key, saw a replay, too: it said 2 ms."""
    hop = ListHop()
    async with relaying(hop, began=False) as (scene, _):
        hop.brings(START, tokens("a"), done(3))

        assert "gateway" not in orjson.loads(scene.events[-1].data)


async def test_the_model_server_s_own_numbers_end_at_the_gateway() -> None:
    """Its metrics and other dialects need them; a client's `done` is as PROTOCOL says."""
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, tokens("a"), done(3))

        assert "model_server" not in orjson.loads(scene.events[-1].data)
        assert scene.relay.model_server == {"eval_count": 34, "eval_duration": 1_690_000_000}
        assert scene.relay.decode_s == 1.69


async def test_what_follows_the_end_is_dropped() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, done(2))
        hop.brings(tokens("late", after=2), done(4))

        assert [event.type for event in scene.events] == ["start", "done"]


async def test_the_hop_may_end_its_body_so_that_its_connection_can_be_kept() -> None:
    hop = ListHop()
    async with relaying(hop) as (_, task):
        hop.brings(START, done(2))
        await turns()
        waits = not task.done()
        hop.ends()
        await task

        assert waits
        assert not hop.connection.closed


async def test_chunks_are_counted_by_their_numbers_merged_or_not() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, tokens("a"), (9, tokens("merged")[0][1]), called(10), done(11))

        assert scene.relay.chunks == 9
        assert scene.relay.bytes_out == len(scene.sink.body)


async def test_a_tool_s_result_passes_unchanged_and_is_no_chunk() -> None:
    hop = ListHop()
    middle = [
        called(2),
        (3, ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4.0)),
        *tokens("noon", after=3),
    ]
    async with relaying(hop) as (scene, task):
        hop.brings(START, middle, done(5))
        hop.ends()
        await task

        assert framed(middle) in scene.sink.body
        assert scene.relay.chunks == 2


async def test_the_moments_of_content_are_noted_once_a_read() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.on_bytes(status_frame())
        before = scene.timeline.first_content
        hop.brings(START, thought("hm", 2))
        thinking = (scene.timeline.first_content, scene.timeline.first_answer)
        hop.brings(tokens("a", "b", after=2))
        hop.brings(tokens("c", after=4), done(6))

        assert before is None
        assert thinking[0] is not None
        assert thinking[1] is None
        assert scene.timeline.first_answer is not None
        assert scene.timeline.answered is not None
        assert len(scene.gaps) == 2


CONTENT: dict[type[Content], list[Numbered]] = {
    Thinking: [thought("hm", 2)],
    Token: tokens("a"),
    ToolCall: [called(2)],
}


@pytest.mark.parametrize("kind", get_args(Content))
async def test_each_kind_of_content_is_noted_and_what_is_no_thinking_as_an_answer(kind: type[Content]) -> None:
    """The token path knows frames by their names as bytes, which no type checker sees."""
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START)
        before = scene.timeline.first_content
        hop.brings(*CONTENT[kind])

        assert (before, scene.timeline.content_reads) == (None, 1)
        assert (scene.timeline.first_answer is None) is (kind is Thinking)


# --- the client's pace


async def test_a_client_that_takes_no_more_pauses_the_hop_and_resumes_it() -> None:
    hop = ListHop()
    async with relaying(hop, room=1) as (scene, _):
        hop.brings(START)
        await turns()
        paused, owes = hop.connection.paused, scene.relay.owes()
        scene.sink.take()
        await turns()

        assert (paused, owes) == (True, True)
        assert (hop.connection.paused, scene.relay.owes()) == (False, False)
        assert scene.timeline.blocked_s > 0


async def test_a_client_that_takes_more_does_not_pause_the_hop() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, tokens("a"))
        await turns()

        assert not hop.connection.paused
        assert not scene.relay.owes()


@pytest.mark.parametrize("end", [ResponseEnd.DISCONNECTED, ResponseEnd.COMPLETE])
async def test_a_hop_that_ends_while_its_client_held_it_up_is_the_client_s_slowness(end: ResponseEnd) -> None:
    """The log's bound was reached: cut without a terminal event, and without asking again."""
    hop = ListHop()
    async with relaying(hop, room=1) as (scene, task):
        hop.brings(START)
        hop.ends(end)
        scene.sink.take()
        await task

        assert scene.relay.end_reason == ConnectionEnd.SLOW_CLIENT
        assert scene.sink.ended_as == "aborted"
        assert scene.asked_again == []


@pytest.mark.parametrize(
    ("why", "how"), [(ConnectionEnd.SLOW_CLIENT, "aborted"), (ConnectionEnd.HANDED_OVER, "closed")]
)
async def test_a_cut_ends_the_connection_without_a_terminal_event_and_closes_the_hop(
    why: ConnectionEnd, how: str
) -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, task):
        hop.brings(START, tokens("a"))
        scene.relay.cut(why)
        scene.relay.cut(ConnectionEnd.CLIENT_GONE)
        hop.brings(tokens("late", after=2))
        await task

        assert (scene.relay.end_reason, scene.sink.ended_as) == (why, how)
        assert hop.connection.closed
        assert [event.type for event in scene.events] == ["start", "token"]


async def test_a_cut_while_its_client_blocks_ends_at_once() -> None:
    """C4."""
    hop = ListHop()
    async with relaying(hop, room=1) as (scene, task):
        hop.brings(START)
        await turns()
        scene.relay.cut(ConnectionEnd.SLOW_CLIENT)
        await asyncio.wait_for(task, 5)

        assert hop.connection.closed


async def test_a_handler_that_is_cancelled_closes_its_hop() -> None:
    """C1."""
    hop = ListHop()
    async with relaying(hop) as (_, task):
        hop.brings(START, tokens("a"))
        task.cancel()
        await asyncio.wait([task])

        assert hop.connection.closed
