"""A relay that answers in another dialect than native: Ollama's lines, whose client cannot come back for the rest."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.relay.passage import Translated
from services.dialects.ollama import OllamaLines
from services.http.connection import ResponseEnd
from services.wire import sse
from services.wire.events import ConnectionEnd, Failed
from tests.eventually import soon
from tests.gateway.relay.relaying import Scene, relaying
from tests.gateway.stage import (
    LAST_WORD,
    START,
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

LOST = "The answer broke off and could not be taken up again. Ask again."


def lines() -> OllamaLines:
    return OllamaLines("chat", "llama3.2", lambda: datetime(2026, 11, 21, tzinfo=UTC))


def told(scene: Scene) -> list[dict[str, Any]]:
    return [json.loads(line) for line in scene.sink.body.split(b"\n")[:-1]]


def text(scene: Scene) -> str:
    return "".join(line["message"]["content"] for line in told(scene) if "message" in line)


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_each_event_is_a_line_wherever_the_hop_was_cut(size: int) -> None:
    hop = ListHop()
    body = status_frame() + framed(START, thought("hm", 2), tokens("Hel", "lo", after=2), called(5), done(6))
    async with relaying(hop, dialect=lines()) as (scene, task):
        for at in range(0, len(body), size):
            hop.on_bytes(body[at : at + size])
        hop.ends()
        await task

        assert text(scene) == "Hello"
        assert [line["done"] for line in told(scene)] == [False] * 4 + [True]
        assert {name: told(scene)[-1][name] for name in LAST_WORD} == LAST_WORD
        assert (scene.relay.end_reason, scene.relay.chunks) == ("stop", 4)
        assert scene.relay.model_server == LAST_WORD


async def test_one_read_is_one_write_and_is_measured_as_native_is() -> None:
    hop = ListHop()
    async with relaying(hop, dialect=lines()) as (scene, _):
        hop.brings(START, thought("hm", 2))
        before = scene.timeline.first_answer
        hop.brings(tokens("a", "b", after=2))
        hop.brings(tokens("c", after=4))

        assert [write.count(b"\n") for write in scene.sink.writes] == [1, 2, 1]
        assert (before, len(scene.gaps), scene.timeline.content_reads) == (None, 2, 3)
        assert scene.timeline.first_answer is not None


async def test_nothing_is_written_for_what_the_dialect_does_not_say() -> None:
    hop = ListHop()
    async with relaying(hop, dialect=lines()) as (scene, _):
        hop.on_bytes(sse.HEARTBEAT)
        hop.on_bytes(status_frame())
        hop.brings(START)

        assert scene.sink.body == b""


async def test_a_hop_that_breaks_is_followed_again_without_a_gap() -> None:
    first, second = ListHop(), ListHop()
    async with relaying(first, second, dialect=lines()) as (scene, task):
        first.on_bytes(framed(START, tokens("Hel")) + framed(tokens("lo", after=2))[:20])
        first.ends(ResponseEnd.DISCONNECTED)
        await soon(lambda: scene.asked_again, "it is followed again")
        second.brings(tokens("lo", after=2), done(4))
        second.ends()
        await task

        assert (text(scene), scene.relay.end_reason, scene.asked_again) == ("Hello", "stop", [2])


async def test_a_stream_that_cannot_be_had_again_ends_with_an_error_line() -> None:
    """L6."""
    hop = ListHop()
    async with relaying(hop, None, dialect=lines()) as (scene, task):
        hop.brings(START, tokens("a"))
        hop.ends(ResponseEnd.DISCONNECTED)
        await task

        assert told(scene)[-1] == {"error": LOST}
        assert scene.relay.end_reason == "upstream_disconnected"


@pytest.mark.parametrize("junk", [b"id: a-2\nevent: token\ndata: {}\n\n", b"event: done\ndata: no JSON\n\n"])
async def test_what_no_proxy_writes_breaks_the_hop_and_is_counted(junk: bytes) -> None:
    first, second = ListHop(), ListHop()
    async with relaying(first, second, dialect=lines()) as (scene, _):
        first.brings(START, tokens("Hel"))
        first.on_bytes(junk)
        await soon(lambda: scene.asked_again, "it is followed again")
        second.brings(tokens("lo", after=2), done(4))

        assert (text(scene), scene.relay.violations, first.connection.closed) == ("Hello", 1, True)


async def test_a_client_that_cannot_come_back_is_told_of_a_drain() -> None:
    """L2."""
    hop = ListHop()
    async with relaying(hop, dialect=lines()) as (scene, task):
        hop.brings(START, tokens("a"))
        scene.relay.cut(ConnectionEnd.HANDED_OVER)
        hop.brings(tokens("late", after=2))
        await task

        assert told(scene)[-1] == {"error": "This server is shutting down. Ask again in a moment."}
        assert (text(scene), scene.sink.ended_as) == ("a", "")
        assert hop.connection.closed


# --- the first frames, for which the headers wait


async def first_frames(scene: Scene, hop: ListHop) -> None:
    """Wait for them, and let them leave as with the headers."""
    if first := await scene.relay.first_frames(hop):
        scene.sink.write(first)


async def test_the_first_frames_are_waited_for() -> None:
    hop = ListHop()
    scene = Scene(dialect=lines())
    waiting = scene.tasks.spawn(first_frames(scene, hop), "first frames")
    hop.on_bytes(status_frame())
    hop.brings(START)
    await asyncio.sleep(0)
    too_early = waiting.done()
    hop.brings(tokens("a"))
    await asyncio.wait_for(waiting, 5)
    hop.brings(done(3))
    hop.ends()
    await asyncio.wait_for(scene.relay.run(scene.sink), 5)

    assert not too_early
    assert [line["message"]["content"] for line in told(scene)] == ["a", ""]


async def test_a_hop_that_breaks_before_the_first_frames_is_followed_again() -> None:
    first, second = ListHop(), ListHop()
    scene = Scene(second, dialect=lines())
    waiting = scene.tasks.spawn(first_frames(scene, first), "first frames")
    first.brings(START)
    first.ends(ResponseEnd.DISCONNECTED)
    await soon(lambda: scene.asked_again, "it is followed again")
    second.brings(tokens("a"), done(3))

    await asyncio.wait_for(waiting, 5)
    assert text(scene) == "a"
    scene.relay.close()


async def test_an_end_before_the_first_frames_is_known_by_what_has_passed() -> None:
    hop = ListHop()
    scene = Scene(dialect=lines())
    hop.brings(START, failed(2))
    await asyncio.wait_for(scene.relay.first_frames(hop), 5)

    assert isinstance(scene.passage, Translated)
    assert isinstance(scene.passage.end, Failed)
    assert (scene.passage.passed.chunks, scene.relay.end_reason) == (0, "upstream_error")
    scene.relay.close()


async def test_a_drain_before_the_first_frames_leaves_nothing_to_say() -> None:
    hop = ListHop()
    scene = Scene(dialect=lines())
    waiting = scene.tasks.spawn(first_frames(scene, hop), "first frames")
    await asyncio.sleep(0)
    scene.relay.cut(ConnectionEnd.HANDED_OVER)

    await asyncio.wait_for(waiting, 5)
    assert scene.sink.body == b""
    scene.relay.close()
    assert hop.connection.closed


async def test_a_client_that_is_paused_from_the_first_frames_on_is_carried_on() -> None:
    """What came with the headers filled its buffer: the hop was paused before there was a sink."""
    hop = ListHop()
    scene = Scene(dialect=lines())
    waiting = scene.tasks.spawn(first_frames(scene, hop), "first frames")
    await asyncio.sleep(0)
    hop.brings(tokens("x" * 70_000))
    paused = hop.connection.paused
    await asyncio.wait_for(waiting, 5)
    carrying = scene.tasks.spawn(scene.relay.run(scene.sink), "relay")
    await turns()
    scene.sink.take()
    await soon(lambda: not hop.connection.paused, "it is read again")
    hop.brings(done(3))
    hop.ends()
    await asyncio.wait_for(carrying, 5)

    assert paused
    assert told(scene)[-1]["done"] is True


async def test_a_failure_of_ours_before_the_first_frames_is_raised() -> None:
    class Broken(OllamaLines):
        def frames(self, _events: object) -> bytes:
            raise RuntimeError("ours")

    hop = ListHop()
    scene = Scene(dialect=Broken("chat", "m", lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    hop.brings(START)

    with pytest.raises(RuntimeError, match="ours"):
        await asyncio.wait_for(scene.relay.first_frames(hop), 5)
    scene.relay.close()
