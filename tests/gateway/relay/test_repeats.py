import asyncio
from typing import Any

from gateway.relay.connection import ClientConnection
from gateway.relay.repeats import Repeats
from gateway.relay.upstream import HopFollower, Upstream
from services.runtime.settings import Origin
from tests.gateway.stage import STREAM_ID
from tests.http.raw_server import raw_server

QUESTION, OTHER = b"question", b"other"
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
