"""What a page's word of its first paint is worth: gateway/routes/beacon.py, in memory and behind a real gateway."""

from typing import Any

import orjson
import pytest

from gateway.routes.beacon import A_SECOND, STREAMS_REMEMBERED, Beacons, parse
from services.wire.events import ApiError, Code
from tests.chain import Chain, running_chain
from tests.reader import Client

PAGE = {"Origin": "http://localhost:3000"}
FAMILY = "llm_browser_time_to_first_token_seconds"


def stream_id(number: int = 0) -> str:
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return f"p1.{'A' * 22}" + "".join(digits[number >> shift & 31] for shift in (15, 10, 5, 0))


def test_a_stream_is_counted_once() -> None:
    beacons = Beacons()

    assert [beacons.is_first(stream_id(), 1.0), beacons.is_first(stream_id(), 2.0)] == [True, False]


def test_more_than_ten_in_a_second_are_refused_and_the_next_second_is_free() -> None:
    beacons = Beacons()
    for number in range(A_SECOND):
        beacons.is_first(stream_id(number), 1.0)

    with pytest.raises(ApiError) as refused:
        beacons.is_first(stream_id(99), 1.0)

    assert refused.value.failed.code is Code.RATE_LIMITED
    assert beacons.is_first(stream_id(99), 2.0)


def test_the_oldest_of_ten_thousand_streams_is_forgotten_first() -> None:
    beacons = Beacons()
    for number in range(STREAMS_REMEMBERED + 1):
        beacons.is_first(stream_id(number), float(number))

    later = float(STREAMS_REMEMBERED + 1)
    assert not beacons.is_first(stream_id(1), later)
    assert beacons.is_first(stream_id(0), later)


@pytest.mark.parametrize("ttft_ms", [0, 210, 300_000])
def test_a_beacon_is_a_stream_and_whole_milliseconds(ttft_ms: int) -> None:
    assert parse(orjson.dumps({"stream_id": stream_id(), "ttft_ms": ttft_ms})) == (stream_id(), ttft_ms)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"stream_id": stream_id()},
        {"stream_id": stream_id(), "ttft_ms": -1},
        {"stream_id": stream_id(), "ttft_ms": 300_001},
        {"stream_id": stream_id(), "ttft_ms": 1.5},
        {"stream_id": stream_id(), "ttft_ms": True},
        {"stream_id": stream_id(), "ttft_ms": "210"},
        {"stream_id": "x", "ttft_ms": 1},
        {"stream_id": 7, "ttft_ms": 1},
        {"stream_id": stream_id(), "ttft_ms": 1, "prompt": "secret"},
    ],
)
def test_anything_else_is_refused(told: Any) -> None:
    with pytest.raises(ApiError) as refused:
        parse(orjson.dumps(told))

    assert refused.value.failed.code is Code.INVALID_REQUEST


@pytest.fixture(scope="module")
def chain() -> Any:
    with running_chain() as chain:
        yield chain


async def beacon(chain: Chain, body: bytes, headers: dict[str, str]) -> int:
    """Send one; return its status."""
    kind = {"Content-Type": "application/json"}
    async with (
        Client(chain.gateway.url) as client,
        client.session.post(client.url + "/api/beacon", data=body, headers={**kind, **headers}) as answer,
    ):
        return answer.status


async def test_a_page_s_beacon_is_in_the_histogram(chain: Chain) -> None:
    told = orjson.dumps({"stream_id": stream_id(7), "ttft_ms": 1500})

    statuses = [await beacon(chain, told, PAGE) for _ in range(2)]

    assert statuses == [204, 204]
    assert chain.gateway.metrics()[f"{FAMILY}_count"] == 1
    assert chain.gateway.metrics()[f"{FAMILY}_sum"] == 1.5


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (403, b"{}", {}),
        (403, b"{}", {"Origin": "http://evil.example"}),
        (415, b"{}", {**PAGE, "Content-Type": "text/plain"}),
        (413, b" " * 1025, PAGE),
        (400, b"{}", PAGE),
    ],
)
async def test_what_is_no_page_s_beacon_is_refused(
    chain: Chain, status: int, body: bytes, headers: dict[str, str]
) -> None:
    before = chain.gateway.metrics()[f"{FAMILY}_count"]

    assert await beacon(chain, body, headers) == status
    assert chain.gateway.metrics()[f"{FAMILY}_count"] == before
