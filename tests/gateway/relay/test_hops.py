import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from prometheus_client.exposition import generate_latest
from structlog.testing import capture_logs

from gateway.metrics import GatewayMetrics
from gateway.relay import hops
from gateway.relay.connection import ClientConnection
from gateway.relay.hop import Hop
from gateway.relay.hops import Hops
from gateway.relay.upstream import HopFollower, RepeatKey
from services.runtime.tasks import Tasks
from services.wire.events import ApiError, Code
from services.wire.request import ChatRequest, Message
from tests.eventually import soon
from tests.gateway.stage import STREAM_ID, proxies_at
from tests.http.raw_server import Peer, RawServer, raw_server

ASKED = ChatRequest(model="llama3.2", messages=(Message("user", "hi"),))
BODY: dict[str, Any] = {"model": "llama3.2", "messages": [{"role": "user", "content": "hi"}]}
STREAMS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSluice-Heartbeat: 10\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def refusal(status: int, code: str, *headers: bytes) -> bytes:
    body = orjson.dumps({"error": {"code": code, "message": "words", "retryable": True, "stage": "connect"}})
    lines = [b"HTTP/1.1 %d No" % status, b"Content-Length: %d" % len(body), *headers, b"", b""]
    return b"\r\n".join(lines) + body


class Gateway:
    """The gateway's side of a proxy that the test plays."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.metrics = GatewayMetrics()
        self.tasks = Tasks()
        self.proxies = proxies_at(_=server.port)
        self.hops = Hops(self.proxies, self.metrics, self.tasks)
        self.connection = ClientConnection.begin("request-1", "/api/chat/stream", "chat")
        self.connection.stream_id = STREAM_ID
        self.connection.proxy = self.proxies.of(STREAM_ID)

    def starts(self, key: str | None = None) -> "asyncio.Task[Hop]":
        return self.tasks.spawn(
            self.hops.start(self.connection, ASKED, "continue", key=RepeatKey(key) if key else None), "start"
        )

    def follows(self, position: int = 3) -> "asyncio.Task[Hop | None]":
        return self.tasks.spawn(self.hops.follow(self.connection, position), "follow")

    async def departed(self) -> Peer:
        """The word that a client left, answered."""
        peer = await self.server.asked()
        peer.send(ACCEPTED)
        return peer

    async def refused(self, task: "asyncio.Task[Any]") -> ApiError:
        with pytest.raises(ApiError) as refused:
            await task
        return refused.value

    def counted(self, reason: str) -> float:
        return self.sample(f'llm_upstream_retries_total{{reason="{reason}",server="proxy"}}')

    def sample(self, name: str) -> float:
        lines = generate_latest(self.metrics.registry).decode().split("\n")
        return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])

    @property
    def name(self) -> bytes:
        assert self.connection.follower is not None
        return self.connection.follower.name.encode()


@asynccontextmanager
async def a_gateway() -> AsyncIterator[Gateway]:
    with raw_server() as server:
        gateway = Gateway(server)
        try:
            yield gateway
        finally:
            await gateway.tasks.close()
            await gateway.proxies.close()


# --- starting and following


async def test_a_start_says_who_asks_in_which_dialect_and_what_leaving_means() -> None:
    async with a_gateway() as gateway:
        starting = gateway.starts(key="k" * 22)
        peer = await gateway.server.asked()
        peer.send(STREAMS)
        hop = await starting
        head, _, body = peer.request.partition(b"\r\n\r\n")

        assert head.startswith(b"POST /api/chat/stream HTTP/1.1\r\n")
        assert {
            b"Accept: text/event-stream;dialect=native",
            b"X-Request-Id: request-1",
            b"Sluice-Leave: continue",
            b"Idempotency-Key: " + b"k" * 22,
            b"Sluice-Follower: " + gateway.name,
        } <= set(head.split(b"\r\n"))
        assert orjson.loads(body) == BODY
        assert hop.headers["sluice-heartbeat"] == "10"


async def test_a_follow_asks_for_what_comes_after_its_number() -> None:
    async with a_gateway() as gateway:
        following = gateway.follows(7)
        peer = await gateway.server.asked()
        peer.send(STREAMS)

        assert await following is not None
        assert peer.request.startswith(b"GET /api/streams/%b?after=7 HTTP/1.1\r\n" % STREAM_ID.encode())
        assert b"\r\nSluice-Follower: %b" % gateway.name in peer.request


async def test_nothing_after_a_finished_stream_s_last_number_is_no_hop() -> None:
    async with a_gateway() as gateway:
        following = gateway.follows()
        (await gateway.server.asked()).send(b"HTTP/1.1 204 No Content\r\n\r\n")

        assert await following is None


async def test_each_hop_s_follower_has_a_name_nobody_can_guess() -> None:
    names = {HopFollower.new("request-1").name for _ in range(100)}

    assert len(names) == 100
    assert all(22 <= len(name) <= 64 for name in names)


# --- before the headers


@pytest.mark.parametrize(
    ("status", "code", "retry_after_s"),
    [(503, "overloaded", 7), (404, "model_not_found", None), (410, "stream_gone", None)],
)
async def test_a_proxy_s_refusal_is_the_same_refusal_here(status: int, code: str, retry_after_s: int | None) -> None:
    headers = [b"Retry-After: 7"] if retry_after_s else []
    async with a_gateway() as gateway:
        starting = gateway.starts()
        (await gateway.server.asked()).send(refusal(status, code, *headers))
        refused = await gateway.refused(starting)

        assert (refused.failed.code, refused.failed.message, refused.failed.stage) == (code, "words", "connect")
        assert (refused.failed.may_retry, refused.retry_after_s) == (True, retry_after_s)


async def test_a_proxy_that_nobody_reaches_is_unavailable() -> None:
    with raw_server() as server:
        pass
    gateway = Gateway(server)

    refused = await gateway.refused(gateway.starts())

    assert refused.failed.code is Code.UPSTREAM_UNAVAILABLE
    assert len(gateway.tasks) <= 1


@pytest.mark.parametrize("how", ["FIN", "RST", "garbage"])
async def test_a_proxy_that_breaks_off_before_its_headers_is_disconnected_and_the_follower_is_taken_back(
    how: str,
) -> None:
    """It may have begun to generate for somebody who will never see it."""
    async with a_gateway() as gateway:
        starting = gateway.starts()
        peer = await gateway.server.asked()
        if how == "garbage":
            peer.send(b"garbage\r\n\r\n")
        else:
            peer.fin() if how == "FIN" else peer.rst()
        refused = await gateway.refused(starting)
        departure = await gateway.departed()

        assert refused.failed.code is Code.UPSTREAM_DISCONNECTED
        assert departure.request.startswith(b"DELETE /api/followers/%b HTTP/1.1\r\n" % gateway.name)
        assert b"\r\nSluice-Unseen: 1\r\n" in departure.request


async def test_a_proxy_without_headers_in_time_is_disconnected_and_its_hop_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hops, "HEADERS_S", 0.5)
    async with a_gateway() as gateway:
        loop = asyncio.get_running_loop()
        began = loop.time()
        starting = gateway.starts()
        peer = await gateway.server.asked()
        refused = await gateway.refused(starting)
        waited_s = loop.time() - began
        departure = await gateway.departed()

        assert refused.failed.code is Code.UPSTREAM_DISCONNECTED
        assert waited_s >= 0.495
        assert await peer.sees_the_close()
        assert b"\r\nSluice-Unseen: 1\r\n" in departure.request


async def test_a_client_that_leaves_before_the_headers_closes_the_hop_and_takes_its_follower_back() -> None:
    """C2."""
    async with a_gateway() as gateway:
        starting = gateway.starts()
        peer = await gateway.server.asked()
        starting.cancel()
        departure = await gateway.departed()

        assert await peer.sees_the_close()
        assert departure.request.startswith(b"DELETE /api/followers/%b " % gateway.name)
        assert b"\r\nSluice-Unseen: 1\r\n" in departure.request


async def test_who_follows_and_is_sent_elsewhere_before_the_headers_has_not_left() -> None:
    """A drain's end cancels handlers, too: a word to the proxy would stop the stream that its client comes back for."""
    async with a_gateway() as gateway:
        following = gateway.follows()
        peer = await gateway.server.asked()
        gateway.connection.was_handed_over = True
        following.cancel()

        assert await peer.sees_the_close()
        assert len(gateway.tasks) == 0


# --- a pooled connection that had died


async def pooled(gateway: Gateway) -> Peer:
    """Leave one idle connection in the pool."""
    following = gateway.follows()
    peer = await gateway.server.asked()
    peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    await following
    return peer


async def test_a_start_on_a_pooled_connection_that_had_died_is_made_again_once_and_the_first_taken_back() -> None:
    """At most one generation runs: the proxy may have taken the first request all the same."""
    async with a_gateway() as gateway:
        peer = await pooled(gateway)
        starting = gateway.starts()
        await soon(lambda: peer.was_asked, "it is sent on the pooled connection")
        peer.asked()
        peer.rst()
        both = [await gateway.server.asked(), await gateway.server.asked()]
        departure, again = sorted(both, key=lambda one: one.request.startswith(b"POST"))
        departure.send(ACCEPTED)
        again.send(STREAMS)
        await starting

        assert departure.request.startswith(b"DELETE /api/followers/")
        assert b"Sluice-Unseen: 1" in departure.request
        assert b"Sluice-Follower: %b" % gateway.name in again.request
        assert departure.request.split(b" ")[1].rpartition(b"/")[2] in peer.request
        assert gateway.counted("stale") == 1


# --- following again


async def test_a_broken_hop_is_followed_again_on_a_fresh_connection_and_the_lost_follower_taken_back() -> None:
    async with a_gateway() as gateway:
        idle = await pooled(gateway)
        lost = gateway.name
        again = gateway.tasks.spawn(gateway.hops.follow_again(gateway.connection, 9), "again")
        peer = await gateway.server.asked()
        peer.send(STREAMS)
        hop = await again
        await soon(lambda: idle.was_asked, "the lost follower is taken back")
        idle.asked()
        idle.send(ACCEPTED)

        assert hop is not None
        assert b"?after=9 " in peer.request
        assert gateway.name != lost
        assert idle.request.startswith(b"DELETE /api/followers/%b " % lost)
        assert b"Sluice-Unseen" not in idle.request
        assert gateway.counted("hop") == 1


@pytest.mark.parametrize("answer", [refusal(410, "stream_gone"), b""], ids=["gone", "broken"])
async def test_a_stream_that_cannot_be_had_again_is_no_hop(answer: bytes) -> None:
    async with a_gateway() as gateway:
        again = gateway.tasks.spawn(gateway.hops.follow_again(gateway.connection, 9), "again")
        peer = await gateway.server.asked()
        peer.send(answer)
        peer.fin()

        assert await again is None


# --- leaving


@pytest.mark.parametrize("unseen", [True, False])
async def test_a_client_that_left_closes_its_hop_first_and_then_says_so(*, unseen: bool) -> None:
    """C1: from a task of the app, since the handler is cancelled."""
    async with a_gateway() as gateway:
        starting = gateway.starts()
        peer = await gateway.server.asked()
        peer.send(STREAMS)
        gateway.hops.client_left(gateway.connection, await starting, unseen=unseen)
        departure = await gateway.departed()

        assert await peer.sees_the_close()
        assert departure.request.startswith(b"DELETE /api/followers/%b " % gateway.name)
        assert (b"Sluice-Unseen: 1" in departure.request) is unseen
        assert gateway.sample("llm_upstream_cancel_seconds_count") == 1


async def test_a_proxy_that_does_not_hear_of_it_is_no_failure_here() -> None:
    async with a_gateway() as gateway:
        gateway.connection.follower = HopFollower.new("request-1")
        gateway.hops.client_left(gateway.connection, None, unseen=False)
        (await gateway.server.asked()).rst()
        await soon(lambda: len(gateway.tasks) == 0, "the task is over")


@pytest.mark.parametrize("answers", [True, False])
async def test_the_stream_of_a_reader_that_was_sent_away_is_stopped_or_a_line_says_that_it_was_not(
    *, answers: bool
) -> None:
    async with a_gateway() as gateway:
        with capture_logs() as lines:
            gateway.hops.stop(gateway.connection)
            peer = await gateway.server.asked()
            peer.send(ACCEPTED) if answers else peer.rst()
            await soon(lambda: len(gateway.tasks) == 0, "the task is over")

        assert peer.request.startswith(b"DELETE /api/streams/%b " % STREAM_ID.encode())
        assert [line["event"] for line in lines] == ([] if answers else ["stream.not_stopped"])
