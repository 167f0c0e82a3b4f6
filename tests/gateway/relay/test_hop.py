import pytest

from gateway.relay.hop import KEPT_BYTES, Hop
from services.http.connection import ResponseEnd
from tests.gateway.stage import ListHop


async def test_a_good_head_is_known_before_the_body() -> None:
    hop = Hop()
    hop.on_head(200, {"sluice-heartbeat": "10"})

    head = hop.head.result()
    assert (head.status, hop.headers, head.end) == (200, {"sluice-heartbeat": "10"}, None)


async def test_a_refusal_is_known_with_its_whole_body() -> None:
    hop = Hop()
    hop.on_head(503, {"retry-after": "2"})
    hop.on_bytes(b'{"error"')
    early = hop.head.done()
    hop.on_bytes(b":{}}")
    hop.on_end(ResponseEnd.COMPLETE)

    head = hop.head.result()
    assert not early
    assert (head.status, hop.headers, head.body, head.end) == (
        503,
        {"retry-after": "2"},
        b'{"error":{}}',
        ResponseEnd.COMPLETE,
    )


@pytest.mark.parametrize("end", [ResponseEnd.STALE, ResponseEnd.DISCONNECTED, ResponseEnd.MALFORMED])
async def test_an_end_without_a_head_is_a_head_that_says_so(end: ResponseEnd) -> None:
    hop = Hop()
    hop.on_end(end)

    assert (hop.head.result().status, hop.head.result().end) == (0, end)


async def test_what_comes_before_somebody_carries_it_is_kept_in_order() -> None:
    hop, carried = ListHop(), list[bytes]()
    ends: list[ResponseEnd] = []
    hop.on_bytes(b"a")
    hop.on_bytes(b"b")
    hop.carry(lambda data, _framed=b"": carried.append(data), ends.append)
    hop.on_bytes(b"c")
    hop.ends(ResponseEnd.COMPLETE)

    assert (carried, ends) == ([b"ab", b"c"], [ResponseEnd.COMPLETE])


async def test_once_it_is_carried_its_head_and_what_was_kept_are_let_go() -> None:
    hop, carried = ListHop(), list[bytes]()
    hop.on_bytes(b"a")
    hop.carry(lambda data, _framed=b"": carried.append(data), lambda _end: None)
    hop.carry(lambda data, _framed=b"": carried.append(data), lambda _end: None)

    assert (carried, dict(hop.headers)) == ([b"a"], {})


async def test_an_end_before_somebody_carried_it_is_told_then_once() -> None:
    hop, ends = ListHop(), list[ResponseEnd]()
    hop.ends(ResponseEnd.DISCONNECTED)
    hop.carry(lambda _data, _framed=b"": None, ends.append)

    assert ends == [ResponseEnd.DISCONNECTED]


async def test_past_a_small_amount_what_nobody_carries_waits_in_the_socket() -> None:
    hop = ListHop()
    hop.on_bytes(b"x" * (KEPT_BYTES - 1))
    before = hop.connection.paused
    hop.on_bytes(b"x")

    assert (before, hop.connection.paused) == (False, True)


async def test_a_hop_that_never_connected_can_be_aborted() -> None:
    Hop().abort()
    hop = ListHop()
    hop.abort()

    assert hop.connection.closed
