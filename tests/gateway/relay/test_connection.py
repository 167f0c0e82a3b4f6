import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.guard.keyring import ANYBODY
from gateway.relay.connection import ClientConnection, ClientConnections
from services.dialects.gathering import Gathering
from services.runtime.tasks import Tasks
from services.wire.events import ApiError, Code, ConnectionEnd, FinishReason
from tests.gateway.relay.relaying import Scene, relaying
from tests.gateway.stage import START, ListHop, done, framed, tokens, turns


def new_connection(address: str = "") -> ClientConnection:
    asks = replace(ANYBODY, address=address)
    return ClientConnection.begin("request-1", "/api/chat/stream", "chat", principal=asks)


def refused(connections: ClientConnections, *, new_stream: bool = True) -> ApiError:
    with pytest.raises(ApiError) as refusal:
        connections.admit(new_connection(), new_stream=new_stream)
    return refusal.value


# --- what leaving it means

GOES_ON = [
    (ConnectionEnd.CLIENT_GONE, "cancel", True, False),
    (ConnectionEnd.CLIENT_GONE, "continue", True, True),
    (ConnectionEnd.CLIENT_GONE, "continue", False, True),
    (ConnectionEnd.SLOW_CLIENT, "cancel", True, True),
    (ConnectionEnd.SLOW_CLIENT, "cancel", False, False),
    (ConnectionEnd.HANDED_OVER, "cancel", True, True),
    (Code.UPSTREAM_DISCONNECTED, "cancel", False, True),
    (Code.UNAUTHORIZED, "cancel", True, True),
    (Code.UPSTREAM_TIMEOUT, "cancel", False, False),
]
"""A word for a connection's end, what leaving means, whether its client can come back: does the stream go on?"""


@pytest.mark.parametrize(("reason", "leave", "can_resume", "goes_on"), GOES_ON)
async def test_a_stream_may_go_on_unless_its_reader_s_leaving_has_stopped_it(
    reason: str, leave: str, can_resume: bool, goes_on: bool
) -> None:
    connection = new_connection()
    connection.reason, connection.leave = reason, leave
    unread = connection.may_go_on
    connection.relay = Scene(dialect=None if can_resume else Gathering()).relay

    assert (unread, connection.may_go_on) == (False, goes_on)


async def test_a_stream_whose_end_was_read_does_not_go_on() -> None:
    connection, hop = new_connection(), ListHop()
    async with relaying(hop) as (scene, _):
        connection.relay = scene.relay
        goes_on = connection.may_go_on
        hop.brings(START, done(2))
        await turns()

        assert (goes_on, connection.may_go_on) == (True, False)


# --- who is here


async def test_as_many_are_let_in_as_there_may_be_and_one_more_when_one_has_gone() -> None:
    connections = ClientConnections(2)
    first, second = new_connection(), new_connection()
    for connection in (first, second):
        connections.admit(connection, new_stream=True)
    refusal = refused(connections)
    followed = refused(connections, new_stream=False)
    connections.gone(first)
    connections.admit(new_connection(), new_stream=False)

    assert {refusal.failed.code, followed.failed.code} == {Code.OVERLOADED}
    assert refusal.retry_after_s is not None
    assert not refusal.close
    assert len(connections.here) == 2


async def test_an_address_has_as_many_as_it_may_and_the_others_are_not_concerned() -> None:
    connections = ClientConnections(100, most_per_address=2)
    first, second = new_connection("192.0.2.1"), new_connection("192.0.2.1")
    for connection in (first, second, new_connection("192.0.2.2")):
        connections.admit(connection, new_stream=True)
    with pytest.raises(ApiError) as refusal:
        connections.admit(new_connection("192.0.2.1"), new_stream=True)
    connections.gone(first)
    connections.gone(first)  # twice is once
    connections.admit(new_connection("192.0.2.1"), new_stream=True)
    with pytest.raises(ApiError):
        connections.admit(new_connection("192.0.2.1"), new_stream=True)

    assert refusal.value.failed.code is Code.CONCURRENCY_LIMITED
    assert refusal.value.retry_after_s is not None


async def test_who_follows_counts_for_its_address_and_is_never_refused_for_it() -> None:
    """Who was handed over by another gateway must be able to come back."""
    connections = ClientConnections(100, most_per_address=1)
    for _ in range(3):
        connections.admit(new_connection("192.0.2.1"), new_stream=False)
    with pytest.raises(ApiError):
        connections.admit(new_connection("192.0.2.1"), new_stream=True)

    assert len(connections.here) == 3


@pytest.mark.parametrize(("address", "most"), [("127.0.0.1", 1), ("127.9.9.9", 1), ("::1", 1), ("192.0.2.1", 0)])
async def test_this_machine_may_have_any_number_and_so_may_everybody_where_there_is_no_limit(
    address: str, most: int
) -> None:
    connections = ClientConnections(100, most_per_address=most)
    for _ in range(20):
        connections.admit(new_connection(address), new_stream=True)

    assert len(connections.here) == 20


async def test_a_connection_that_was_never_let_in_may_be_gone() -> None:
    connections = ClientConnections(1)
    connections.gone(new_connection())

    assert connections.here == set()


async def test_while_draining_new_streams_are_refused_and_follows_are_not() -> None:
    """L3: a stream that runs must be able to end."""
    connections = ClientConnections(5)
    connections.admit(new_connection(), new_stream=True)
    connections.begin_drain()
    refusals = [refused(connections) for _ in range(40)]
    connections.admit(new_connection(), new_stream=False)

    assert {(one.failed.code, one.close) for one in refusals} == {(Code.SHUTTING_DOWN, True)}
    assert len({one.retry_after_s for one in refusals}) > 1
    assert len(connections.here) == 2


@pytest.mark.parametrize("here", [0, 2])
async def test_a_drain_is_over_when_the_last_one_has_gone(here: int) -> None:
    connections, tasks = ClientConnections(5), Tasks()
    present = [new_connection() for _ in range(here)]
    for connection in present:
        connections.admit(connection, new_stream=True)
    waiting = tasks.spawn(connections.all_gone(), "waits")
    await turns()
    before = waiting.done()
    connections.begin_drain()
    for connection in present:
        await turns()
        assert not waiting.done()
        connections.gone(connection)
    await asyncio.wait_for(waiting, 5)

    assert not before


async def test_what_is_left_is_handed_over_after_its_last_whole_frame() -> None:
    """L2."""
    connections, hop = ClientConnections(5), ListHop()
    async with relaying(hop) as (scene, task):
        connection, waiting = new_connection(), new_connection()
        connection.relay = scene.relay
        for one in (connection, waiting):
            connections.admit(one, new_stream=True)
        hop.brings(START, tokens("a"))
        connections.hand_over()
        await task

        assert scene.relay.end_reason == ConnectionEnd.HANDED_OVER
        assert scene.sink.ended_as == "closed"
        assert scene.sink.body.endswith(framed(tokens("a")))


# --- what is counted of one


async def ended(*, began: bool) -> tuple[ClientConnection, Scene]:
    """A connection whose stream ran to its end."""
    hop = ListHop()
    async with relaying(hop) as (scene, task):
        connection = new_connection()
        connection.began, connection.relay, connection.timeline = began, scene.relay, scene.timeline
        timeline = connection.timeline
        timeline.parsed = timeline.admitted = timeline.asked = timeline.accepted
        hop.brings(START, tokens("a"))
        await asyncio.sleep(0.002)  # a rate needs a time between the first content and the last
        hop.brings(tokens("b", after=2), done(4))
        hop.ends()
        await task
        connection.reason = scene.relay.end_reason
        timeline.ended = timeline.answered
        return connection, scene


async def test_the_connection_that_began_the_stream_counts_its_tokens_and_speed() -> None:
    connection, scene = await ended(began=True)
    record = connection.record()

    assert (record.reason, record.failed, record.chunks) == ("stop", False, 2)
    assert (record.input_tokens, record.output_tokens) == (12, 34)
    assert record.tokens_per_s == 20.12  # 34 tokens in two pieces: the model server's own 1.69 s
    assert record.time_per_token_s == pytest.approx(1 / 20.12)
    assert record.ttft_s is not None
    assert 0 <= record.ttft_s <= record.duration_s
    assert sum(record.stages.values()) == pytest.approx(record.duration_s, abs=1e-6)
    assert len(scene.gaps) == 1


async def test_a_connection_that_joined_counts_no_tokens_and_no_speed() -> None:
    """A replay is fast, and eight tabs read the same tokens."""
    connection, _ = await ended(began=False)
    record = connection.record()

    assert (record.input_tokens, record.output_tokens) == (None, None)
    assert (record.ttft_s, record.first_answer_s, record.tokens_per_s, record.time_per_token_s) == (None,) * 4
    assert record.chunks == 2


@pytest.mark.parametrize("usage", [None, {}, {"output_tokens": None}])
async def test_a_done_without_usage_has_no_numbers(usage: dict[str, Any] | None) -> None:
    connection, scene = await ended(began=True)
    assert scene.relay.end is not None
    scene.relay.end.data["usage"] = usage
    scene.relay.end.data.pop("timing")

    record = connection.record()

    assert (record.output_tokens, record.tokens_per_s) == (None, None)


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        *((reason, False) for reason in (*FinishReason, *ConnectionEnd)),
        (None, False),
        *((code, True) for code in (Code.OVERLOADED, Code.UPSTREAM_ERROR, Code.INTERNAL)),
    ],
)
def test_only_an_answer_that_did_not_come_whole_has_failed(reason: str | None, *, failed: bool) -> None:
    """A reader that leaves, or is slow, or is handed over, is no failure of ours."""
    connection = new_connection()
    connection.reason = reason

    assert connection.failed is failed
    assert connection.record().failed is failed


def test_a_connection_that_never_had_a_relay_has_no_chunks() -> None:
    assert new_connection().record().chunks == 0
