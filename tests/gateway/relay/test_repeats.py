import asyncio
import contextlib
from typing import Any, cast

import pytest

from gateway.relay.connection import ClientConnection
from gateway.relay.repeats import MOST_REMEMBERED, REMEMBERED_S, Repeats
from gateway.relay.upstream import HopFollower, Upstream
from services.runtime.settings import Origin
from services.wire.events import ApiError, Code, Failed
from tests.gateway.stage import STREAM_ID
from tests.http.raw_server import raw_server

QUESTION, OTHER = b"question", b"other"
REFUSED = ApiError(Failed(Code.CONCURRENCY_LIMITED, "As many as may run at once."))
STOPPED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def connection() -> ClientConnection:
    return ClientConnection.begin("request-1", "/v1/chat/completions", "chat")


async def asked_of_the_proxy(unfinished: ClientConnection, question: bytes = QUESTION) -> list[Any]:
    """Return the first words of what the proxy was asked when a question is repeated."""
    with raw_server() as server:
        upstream = Upstream(Origin("http", "127.0.0.1", server.port))
        repeats, unfinished.proxy = Repeats(), upstream
        with repeats.noted(QUESTION, unfinished):
            ending = asyncio.get_running_loop().create_task(repeats.end_earlier(question))
            if question == QUESTION and (unfinished.stream_id or unfinished.follower):
                peer = await server.asked()
                peer.send(STOPPED)
                await ending
                await upstream.close()
                return [peer.request.split(b" HTTP")[0].decode()]
            await ending
        await upstream.close()
        return []


async def test_a_stream_that_is_known_is_stopped_by_its_id() -> None:
    unfinished = connection()
    unfinished.stream_id = STREAM_ID

    assert await asked_of_the_proxy(unfinished) == [f"DELETE /api/streams/{STREAM_ID}"]


async def test_one_whose_headers_are_still_to_come_is_stopped_by_its_reader() -> None:
    unfinished = connection()
    unfinished.follower = HopFollower("f" * 32, "request-1")

    assert await asked_of_the_proxy(unfinished) == [f"DELETE /api/followers/{'f' * 32}"]


async def test_one_that_has_not_asked_yet_and_another_question_are_left_alone() -> None:
    known = connection()
    known.stream_id = STREAM_ID

    assert await asked_of_the_proxy(connection()) == []
    assert await asked_of_the_proxy(known, OTHER) == []


async def test_a_proxy_that_is_away_stops_nobody_from_asking() -> None:
    repeats = Repeats()
    unfinished = connection()
    unfinished.stream_id, unfinished.proxy = STREAM_ID, Upstream(Origin("http", "127.0.0.1", 9))
    with repeats.noted(QUESTION, unfinished):
        await repeats.end_earlier(QUESTION)


async def test_what_is_over_is_forgotten() -> None:
    repeats = Repeats()
    with repeats.noted(QUESTION, connection()), repeats.noted(QUESTION, connection()):
        pass

    assert vars(repeats)["_unfinished"] == {}


# --- whether anything is left of the attempt that is repeated


class StoppedConnections:
    """A proxy that is told whom to stop."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    async def stop(self, stream_id: str, _request_id: str, _owner: str) -> None:
        self.stopped.append(stream_id)

    def read(self, stream_id: str = STREAM_ID) -> ClientConnection:
        """Return a connection whose answer is read from here."""
        one, proxy = connection(), cast("Upstream", self)
        one.proxy, one.stream_id = proxy, stream_id
        return one


def attempt(repeats: Repeats, ended: BaseException, question: bytes = QUESTION) -> None:
    """Have an attempt that ends so."""
    with contextlib.suppress(type(ended)), repeats.noted(question, connection()):
        raise ended


@pytest.mark.parametrize("ended", [REFUSED, asyncio.CancelledError()], ids=["was refused", "was given up"])
async def test_the_repeat_of_an_attempt_that_is_over_stops_nobody_and_the_next_one_does(ended: BaseException) -> None:
    repeats, proxy = Repeats(), StoppedConnections()
    with repeats.noted(QUESTION, proxy.read()):
        attempt(repeats, ended)
        await repeats.end_earlier(QUESTION)
        before = list(proxy.stopped)
        await repeats.end_earlier(QUESTION)

    assert (before, proxy.stopped) == ([], [STREAM_ID])


async def test_of_two_that_were_refused_each_may_be_repeated() -> None:
    repeats, proxy = Repeats(), StoppedConnections()
    with repeats.noted(QUESTION, proxy.read()):
        for _ in range(2):
            attempt(repeats, REFUSED)
        for _ in range(2):
            await repeats.end_earlier(QUESTION)

    assert proxy.stopped == []


@pytest.mark.parametrize("code", [Code.INVALID_REQUEST, Code.UPSTREAM_TIMEOUT])
async def test_an_end_that_is_not_asked_again_is_not_remembered(code: Code) -> None:
    """The SDKs are told so: x-should-retry."""
    repeats, proxy = Repeats(), StoppedConnections()
    with repeats.noted(QUESTION, proxy.read()):
        attempt(repeats, ApiError(Failed(code, "")))
        await repeats.end_earlier(QUESTION)

    assert proxy.stopped == [STREAM_ID]


async def test_the_refusal_of_another_question_and_an_old_one_are_no_reason_to_stop_nobody() -> None:
    now = 1000.0
    repeats, proxy = Repeats(lambda: now), StoppedConnections()
    with repeats.noted(QUESTION, proxy.read()):
        attempt(repeats, REFUSED)
        attempt(repeats, REFUSED, OTHER)
        now += REMEMBERED_S + 1
        attempt(repeats, REFUSED, OTHER)
        await repeats.end_earlier(QUESTION)

    assert proxy.stopped == [STREAM_ID]


def test_refusals_that_nobody_repeats_are_remembered_up_to_a_bound() -> None:
    repeats = Repeats()
    for number in range(MOST_REMEMBERED + 1):
        attempt(repeats, REFUSED, b"%d" % number)

    assert len(vars(repeats)["_over"]) == MOST_REMEMBERED
