"""Where a relay takes the moments of a connection."""

import asyncio

from gateway.relay.connection import ClientConnection, ClientConnections
from services.http.sink import SinkWatch
from services.telemetry.stream_metrics import CHUNKS_PER_SAMPLE
from tests.eventually import soon
from tests.gateway.relay.relaying import relaying
from tests.gateway.stage import START, ListHop, done, status_frame, tokens


async def test_the_first_content_is_written_when_its_write_has_returned() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START)
        hop.on_bytes(status_frame())
        before = scene.timeline.first_written
        hop.brings(tokens("a"))
        timeline = scene.timeline

        assert before is None
        assert timeline.first_content is not None
        assert timeline.first_written is not None
        assert timeline.first_written >= timeline.first_content
        assert timeline.first_heard is None


async def test_content_that_came_with_the_headers_is_written_when_the_sink_is_there() -> None:
    hop = ListHop()
    hop.brings(START, tokens("a"))
    async with relaying(hop) as (scene, _):
        timeline = scene.timeline

        assert timeline.first_heard is not None
        assert timeline.first_content is not None
        assert timeline.first_written is not None
        assert timeline.first_heard <= timeline.first_content <= timeline.first_written


async def test_an_answer_that_came_whole_with_the_headers_has_all_its_moments() -> None:
    hop = ListHop()
    hop.brings(START, tokens("a"), done(3))
    hop.ends()
    async with relaying(hop) as (scene, task):
        await task
        timeline = scene.timeline

        assert timeline.answered is not None
        assert timeline.last_written is not None
        assert timeline.last_written >= timeline.answered
        assert timeline.max_gap_s == 0


async def test_one_read_in_sixteen_is_timed_and_the_first() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START)
        for number in range(2 * CHUNKS_PER_SAMPLE):
            hop.brings(tokens("x", after=number + 1))

        assert len(scene.passed) == 2
        assert min(scene.passed) >= 0


async def test_the_longest_gap_is_the_longest_that_was_told() -> None:
    hop = ListHop()
    async with relaying(hop) as (scene, _):
        hop.brings(START, tokens("a"))
        for number, pause_s in enumerate((0.001, 0.02, 0.001), 2):
            await asyncio.sleep(pause_s)
            hop.brings(tokens("b", after=number))

        assert len(scene.gaps) == 3
        assert scene.timeline.max_gap_s == max(scene.gaps) >= 0.02


# --- what clients have still to take


class Unsent:
    """A sink that has so many bytes still to send."""

    written = 100
    last_write_at = 0.0
    is_ended = False

    def __init__(self, unsent: int) -> None:
        self._unsent = unsent
        self.looks = 0

    @property
    def unsent(self) -> int:
        self.looks += 1
        return self._unsent


async def watched(unsent: int) -> ClientConnection:
    connection = ClientConnection.begin("request-1", "/api/chat/stream", "chat")
    sink = Unsent(unsent)
    connection.watch = SinkWatch(
        sink,  # type: ignore[arg-type] # all of a sink that a watch looks at while something is owed
        heartbeat=lambda: b"",
        heartbeat_s=0.001,
        write_timeout_s=30.0,
        owes=lambda: True,
        on_stuck=lambda: None,
    )
    await soon(lambda: sink.looks > 1, "the watch has looked")
    connection.watch.stop()
    return connection


async def test_the_client_that_has_most_to_take_is_shown() -> None:
    connections = ClientConnections(5)
    none_here = connections.most_unsent()
    for unsent in (10, 70_000, 0):
        connections.admit(await watched(unsent), new_stream=True)
    connections.admit(ClientConnection.begin("waits", "/api/chat/stream", "chat"), new_stream=True)

    assert (none_here, connections.most_unsent()) == (0, 70_000)
