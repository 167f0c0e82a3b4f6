"""A hop that ends, falls silent or speaks nonsense before the stream has its end."""

import asyncio
from itertools import pairwise

import orjson
import pytest

from gateway.relay.followed_hop import HEARTBEATS_MISSED
from services.http.connection import ResponseEnd
from services.wire import sse
from services.wire.native import NativeReader
from tests.eventually import soon
from tests.gateway.relay.relaying import relaying
from tests.gateway.stage import START, ListHop, done, framed, tokens, turns


@pytest.mark.parametrize("end", [ResponseEnd.DISCONNECTED, ResponseEnd.COMPLETE, ResponseEnd.MALFORMED])
async def test_a_hop_that_ends_without_the_stream_s_end_is_followed_again_from_the_last_number(
    end: ResponseEnd,
) -> None:
    first, second = ListHop(), ListHop()
    async with relaying(first, second) as (scene, task):
        first.brings(START, tokens("Hel"))
        first.ends(end)
        await soon(lambda: scene.asked_again, "it is followed again")
        second.brings(tokens("lo", after=2), done(4))
        second.ends()
        await task

        assert scene.asked_again == [2]
        assert (scene.text, scene.relay.end_reason) == ("Hello", "stop")


@pytest.mark.parametrize("cut", range(1, len(framed(tokens("lo", after=2)))))
async def test_half_a_frame_of_a_broken_hop_never_reaches_the_client(cut: int) -> None:
    """Wherever it was cut: within the text the next hop's first frame would be read as the rest of it."""
    first, second = ListHop(), ListHop()
    async with relaying(first, second) as (scene, _):
        first.on_bytes(framed(START, tokens("Hel")) + framed(tokens("lo", after=2))[:cut])
        first.ends(ResponseEnd.DISCONNECTED)
        await soon(lambda: scene.asked_again, "it is followed again")
        second.brings(tokens("lo", after=2), done(4))

        assert (scene.text, scene.relay.end_reason) == ("Hello", "stop")
        assert [event.type for event in scene.events] == ["start", "token", "token", "done"]


@pytest.mark.parametrize("second_breaks", [True, False])
async def test_a_stream_that_cannot_be_had_again_is_upstream_disconnected_without_an_id(*, second_breaks: bool) -> None:
    """L6: the one terminal event that is in no log."""
    first, second = ListHop(), ListHop()
    async with relaying(first, second if second_breaks else None) as (scene, task):
        first.brings(START, tokens("a"))
        first.ends(ResponseEnd.DISCONNECTED)
        await soon(lambda: scene.asked_again, "it is followed again")
        if second_breaks:
            second.ends(ResponseEnd.DISCONNECTED)
        await task
        last = scene.sink.writes[-1]

        assert scene.relay.end_reason == "upstream_disconnected"
        assert last.startswith(b"event: error\n")
        assert orjson.loads(scene.events[-1].data)["error"]["request_id"] == "mine-0001"
        assert scene.asked_again == [2]


@pytest.mark.parametrize("junk", [b"event: done\ndata: no JSON\n\n", b"event: start\ndata: 7\n\n"])
async def test_what_no_proxy_writes_breaks_the_hop_and_is_counted(junk: bytes) -> None:
    first, second = ListHop(), ListHop()
    async with relaying(first, second) as (scene, _):
        first.brings(START, tokens("Hel"))
        first.on_bytes(junk)
        await soon(lambda: scene.asked_again, "it is followed again")
        second.brings(tokens("lo", after=2), done(4))

        assert first.connection.closed
        assert scene.relay.violations == 1
        assert (scene.text, scene.relay.end_reason) == ("Hello", "stop")


async def test_a_hop_that_is_silent_for_three_heartbeats_is_broken_and_not_before() -> None:
    first, second = ListHop(heartbeat="0.05"), ListHop()
    async with relaying(first, second) as (scene, _):
        loop = asyncio.get_running_loop()
        first.brings(START)
        began = loop.time()
        await soon(lambda: scene.asked_again, "it is followed again")

        assert loop.time() - began >= HEARTBEATS_MISSED * 0.05 - 0.005
        assert first.connection.closed


async def test_a_hop_that_beats_is_not_broken() -> None:
    hop = ListHop(heartbeat="0.2")
    async with relaying(hop) as (scene, _):
        beats = []
        for _ in range(40):
            hop.on_bytes(sse.HEARTBEAT)
            beats.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.02)  # more often than it has to

        if max(later - earlier for earlier, later in pairwise(beats)) < 0.3:  # else the machine was too busy to beat
            assert scene.asked_again == []
            assert not hop.connection.closed


async def test_a_hop_that_its_client_holds_up_is_not_silent() -> None:
    """We do not read it: nobody can hear it."""
    hop = ListHop(heartbeat="0.05")
    async with relaying(hop, room=1) as (scene, _):
        hop.brings(START)
        await asyncio.sleep(0.4)  # the time in which it must not be given up
        scene.sink.take()
        await turns()
        hop.brings(tokens("a"), done(3))

        assert scene.asked_again == []
        assert scene.relay.end_reason == "stop"


@pytest.mark.parametrize("said", ["", "soon", "nan", "-1", "1e9"])
async def test_a_heartbeat_header_that_makes_no_sense_breaks_nothing(said: str) -> None:
    hop = ListHop(heartbeat=said)
    async with relaying(hop) as (scene, _):
        hop.brings(START, done(2))

        assert scene.relay.end_reason == "stop"


async def test_what_the_client_got_reads_as_a_proxy_s_own_stream() -> None:
    """Any gateway can stand before another."""
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, tokens("a"), done(3))
        reader = NativeReader()
        list(reader.feed(scene.sink.body))

        assert reader.last_number == 3
