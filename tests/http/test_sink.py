import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import uvloop
from aiohttp import web

from services.http.sink import WRITE_BUFFER_BYTES, ChunkedSink, SinkWatch, open_sink
from services.wire import sse
from tests.eventually import soon
from tests.http.served import Client, connected, served

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
FRAME = b"data: x\n\n"
PATIENCE_S = 0.3


def longest_gap(times: list[float]) -> float:
    """Return how long the machine held the test up between two of its acts: what is seen behind that proves nothing."""
    return max(later - earlier for earlier, later in pairwise(times))


class Stage:
    """A handler that holds a sink for the test, and its client."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[ChunkedSink] = asyncio.get_running_loop().create_future()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.client: Client
        self.stuck: list[float] = []
        self.owed = False
        self.forgets_the_end = False

    @property
    def sink(self) -> ChunkedSink:
        return self.opened.result()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.opened.set_result(await open_sink(request, sse.HEADERS))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.sink.response if self.forgets_the_end else await self.sink.end()

    def watch(self, *, heartbeat_s: float = 60.0, write_timeout_s: float = 60.0) -> SinkWatch:
        return SinkWatch(
            self.sink,
            heartbeat=lambda: sse.HEARTBEAT,
            heartbeat_s=heartbeat_s,
            write_timeout_s=write_timeout_s,
            owes=lambda: self.owed,
            on_stuck=self._stuck,
        )

    def _stuck(self) -> None:
        self.stuck.append(asyncio.get_running_loop().time())
        self.sink.abort()

    def block(self) -> None:
        """Write until the transport asks for a pause."""
        for _ in range(1000):
            if not self.sink.write(FRAME * 1000):
                return
        raise AssertionError("the transport never asked for a pause")


@asynccontextmanager
async def a_sink(request: bytes = GET, *, receive_buffer_bytes: int | None = None) -> AsyncIterator[Stage]:
    stage = Stage()
    async with (
        served(lambda router: router.add_get("/", stage.handle)) as address,
        connected(address, receive_buffer_bytes=receive_buffer_bytes) as stage.client,
    ):
        stage.client.send(request)
        await asyncio.wait_for(asyncio.shield(stage.opened), 5)
        yield stage
        stage.go_on.set()


# --- writing


async def test_the_headers_leave_before_the_first_frame() -> None:
    async with a_sink() as stage:
        head = await stage.client.until(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: text/event-stream; charset=utf-8\r\n" in head
        assert b"Transfer-Encoding: chunked\r\n" in head
        assert b"X-Accel-Buffering: no\r\n" in head
        assert stage.sink.written == 0


async def test_frames_leave_whole_one_chunk_a_write() -> None:
    async with a_sink() as stage:
        await stage.client.until(b"\r\n\r\n")
        takes_more = [stage.sink.write(FRAME), stage.sink.write(FRAME * 3)]

        assert await stage.client.until(b"\n\n\r\n") == b"9\r\ndata: x\n\n\r\n"
        assert await stage.client.until(FRAME * 3 + b"\r\n") == b"1b\r\n" + FRAME * 3 + b"\r\n"
        assert takes_more == [True, True]


async def test_frames_that_came_as_one_chunk_leave_as_it() -> None:
    async with a_sink() as stage:
        await stage.client.until(b"\r\n\r\n")
        stage.sink.write(FRAME, b"009\r\n" + FRAME + b"\r\n")

        assert await stage.client.until(b"\n\n\r\n") == b"009\r\ndata: x\n\n\r\n"


async def test_a_body_whose_handler_returns_without_its_end_has_no_last_chunk() -> None:
    """The server would end it, and most clients take a clean end for the whole answer."""
    async with a_sink() as stage:
        await stage.client.until(b"\r\n\r\n")
        stage.sink.write(FRAME)
        stage.forgets_the_end = True
        stage.go_on.set()
        body = await stage.client.rest()

    assert not body.endswith(b"0\r\n\r\n")


async def test_a_body_that_ends_has_its_last_chunk_and_its_connection_carries_another() -> None:
    async with a_sink() as stage:
        await stage.client.until(b"\r\n\r\n")
        stage.sink.write(FRAME)
        stage.go_on.set()
        body = await stage.client.until(b"0\r\n\r\n")
        stage.client.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")

        assert body == b"9\r\ndata: x\n\n\r\n0\r\n\r\n"
        assert (await stage.client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")


async def test_http_1_0_gets_no_chunks_and_a_close() -> None:
    async with a_sink(b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n") as stage:
        head = await stage.client.until(b"\r\n\r\n")
        stage.sink.write(FRAME)
        stage.sink.write(FRAME, b"9\r\n" + FRAME + b"\r\n")
        stage.go_on.set()

        assert b"chunked" not in head
        assert b"keep-alive" not in head.lower()
        assert await stage.client.rest() == FRAME * 2


async def test_a_close_sends_what_is_buffered_and_no_last_chunk() -> None:
    """The answer is not over: most clients take a clean end for success."""
    async with a_sink() as stage:
        await stage.client.until(b"\r\n\r\n")
        stage.sink.write(FRAME)
        stage.sink.close()

        assert await stage.client.rest() == b"9\r\ndata: x\n\n\r\n"


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_below_http_1_1_where_a_close_is_a_proper_end_it_is_a_reset(how: str) -> None:
    async with a_sink(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n") as stage:
        await stage.client.until(b"\r\n\r\n")
        getattr(stage.sink, how)()

        with pytest.raises(ConnectionResetError):
            await stage.client.until(b"what never comes")


async def test_an_abort_closes_a_client_that_does_not_read() -> None:
    async with a_sink(receive_buffer_bytes=4096) as stage:
        stage.block()
        stage.sink.abort()
        rest = await stage.client.rest()

        assert not rest.endswith(b"0\r\n\r\n")
        await asyncio.wait_for(stage.cancelled.wait(), 5)


async def test_a_closing_transport_takes_nothing_and_asks_for_nothing() -> None:
    async with a_sink() as stage:
        stage.sink.abort()
        before = stage.sink.written

        assert stage.sink.write(FRAME) is True
        assert stage.sink.written == before


async def test_a_closed_transport_holds_nothing() -> None:
    """Its watch may look once more before its handler is cancelled."""
    async with a_sink() as stage:
        stage.sink.abort()
        await asyncio.wait_for(stage.cancelled.wait(), 5)

        assert stage.sink.unsent == 0


async def test_what_was_written_is_counted_with_its_framing() -> None:
    async with a_sink() as stage:
        stage.sink.write(FRAME)

        assert stage.sink.written == len(b"9\r\ndata: x\n\n\r\n")


# --- pausing


async def test_a_client_that_does_not_read_pauses_its_sink_within_a_bounded_amount() -> None:
    async with a_sink(receive_buffer_bytes=4096) as stage:
        stage.block()

        assert stage.sink.paused
        assert stage.sink.written < (1 << 20)
        assert stage.sink.unsent > WRITE_BUFFER_BYTES


async def test_a_client_that_reads_does_not_pause_its_sink() -> None:
    async with a_sink() as stage:
        reading = asyncio.gather(stage.client.rest())
        for _ in range(50):
            assert stage.sink.write(FRAME * 100)
            await soon(lambda: stage.sink.unsent == 0, "it was taken")
        stage.sink.close()
        (body,) = await reading

        assert body.count(FRAME) == 5000


async def test_a_drain_lasts_until_the_client_takes_bytes_again() -> None:
    async with a_sink(receive_buffer_bytes=4096) as stage:
        stage.block()
        draining = asyncio.gather(stage.sink.drain())
        await asyncio.sleep(0.02)  # the time in which it must not return
        early = draining.done()
        reading = asyncio.gather(stage.client.rest())
        await asyncio.wait_for(draining, 5)
        stage.go_on.set()
        stage.sink.close()
        await reading

        assert not early


async def test_what_the_kernel_holds_counts_as_unsent() -> None:
    """Asyncio's buffer is empty long before the client has taken the bytes."""
    async with a_sink(receive_buffer_bytes=4096) as stage:
        stage.sink.write(b"data: " + b"x" * 40_000 + b"\n\n")

        assert not stage.sink.paused
        assert stage.sink.unsent > 0


# --- the watch


@pytest.mark.parametrize("what", ["unsent bytes", "a follower behind"])
async def test_a_client_that_takes_no_byte_is_given_up_after_its_patience_and_not_before(what: str) -> None:
    """C4."""
    async with a_sink(receive_buffer_bytes=4096) as stage:
        loop = asyncio.get_running_loop()
        if what == "unsent bytes":
            stage.block()
        else:
            stage.owed = True
        began = loop.time()
        stage.watch(write_timeout_s=PATIENCE_S)
        await soon(lambda: stage.stuck, "it is given up")

        assert stage.stuck[0] - began >= PATIENCE_S - 0.005
        assert len(stage.stuck) == 1


async def test_a_client_that_takes_a_little_now_and_then_is_not_given_up() -> None:
    async with a_sink(receive_buffer_bytes=4096) as stage:
        stage.block()
        watch = stage.watch(write_timeout_s=PATIENCE_S)
        taken = [asyncio.get_running_loop().time()]
        while taken[-1] - taken[0] < 3 * PATIENCE_S and not stage.stuck:
            before = stage.sink.unsent
            while stage.sink.unsent == before and stage.sink.unsent:
                await stage.client.until(FRAME)
                await asyncio.sleep(0)
            await asyncio.sleep(PATIENCE_S / 10)
            taken.append(asyncio.get_running_loop().time())
        watch.stop()

        assert stage.stuck == [] or longest_gap(taken) >= PATIENCE_S / 2


async def test_a_client_that_is_owed_nothing_is_not_given_up() -> None:
    async with a_sink() as stage:
        watch = stage.watch(write_timeout_s=0.05)
        await asyncio.sleep(0.2)  # the time in which it must not be given up
        watch.stop()

        assert stage.stuck == []


async def test_a_watch_that_was_stopped_gives_nobody_up() -> None:
    async with a_sink() as stage:
        stage.owed = True
        stage.watch(write_timeout_s=0.05).stop()
        await asyncio.sleep(0.2)  # the time in which it must not be given up

        assert stage.stuck == []


async def test_a_heartbeat_comes_when_nothing_was_written_for_its_period_and_again_after_each() -> None:
    async with a_sink() as stage:
        loop = asyncio.get_running_loop()
        await stage.client.until(b"\r\n\r\n")
        stage.sink.write(FRAME)
        began = loop.time()
        watch = stage.watch(heartbeat_s=0.1)
        await stage.client.until(b"\n\n\r\n")
        beats = [(await stage.client.until(b"hb\n\r\n"), loop.time() - began) for _ in range(3)]
        watch.stop()

        assert [beat for beat, _ in beats] == [b"5\r\n: hb\n\r\n"] * 3
        assert all(at >= 0.1 * number - 0.005 for number, (_, at) in enumerate(beats, 1))


async def test_no_heartbeat_comes_between_frames_that_are_closer_than_its_period() -> None:
    async with a_sink() as stage:
        watch = stage.watch(heartbeat_s=0.5)
        written = []
        for _ in range(35):
            stage.sink.write(FRAME)
            written.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.02)  # a token's pace
        watch.stop()
        stage.sink.close()

        assert b"hb" not in await stage.client.rest() or longest_gap(written) >= 0.25


async def test_no_heartbeat_is_written_to_a_client_that_is_owed_something() -> None:
    async with a_sink() as stage:
        stage.owed = True
        watch = stage.watch(heartbeat_s=0.05)
        await asyncio.sleep(0.2)  # the time in which no heartbeat must come
        watch.stop()
        stage.sink.close()

        assert b"hb" not in await stage.client.rest()


# --- a client that leaves


@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_a_client_that_leaves_cancels_its_handler(how: str) -> None:
    """C16."""
    async with a_sink() as stage:
        await stage.client.until(b"\r\n\r\n")
        if how == "FIN":
            stage.client.writer.close()
        else:
            stage.client.writer.transport.abort()

        await asyncio.wait_for(stage.cancelled.wait(), 5)
