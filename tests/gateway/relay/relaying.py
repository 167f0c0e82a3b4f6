"""A relay between a client and hops that are lists."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from gateway.relay.content_meter import ContentMeter
from gateway.relay.hop import Hop
from gateway.relay.passage import Passage, PassThrough, Translated
from gateway.relay.relay import Relay
from gateway.relay.timeline import ConnectionTimeline
from services.dialects.dialect import Dialect
from services.runtime.tasks import Tasks
from services.wire.sse import ServerSentEvent, SseDecoder
from tests.gateway.stage import ListHop, ListSink, turns

OWN = {"request_id": "mine-0001", "heartbeat_s": 5, "conversation_id": "c_8f"}


class Scene:
    """A relay between a client and the hops that it is given."""

    def __init__(
        self,
        *hops: Hop | None,
        room: int = 1_000_000,
        position: int = 0,
        began: bool = True,
        dialect: Dialect | None = None,
    ) -> None:
        self.sink = ListSink(room)
        self.hops = list(hops)
        self.asked_again: list[int] = []
        self.gaps: list[float] = []
        self.passed: list[float] = []
        self.timeline = ConnectionTimeline(time.monotonic())
        self.tasks = Tasks()
        meter = ContentMeter(self.timeline, gap_seen=self.gaps.append, chunk_passed=self.passed.append)
        self.passage: Passage = (
            PassThrough(position, meter, request_id="mine-0001", began=began, start_fields=OWN)
            if dialect is None
            else Translated(position, meter, dialect)
        )
        self.relay = Relay(self.passage, meter, again=self._again)

    async def _again(self, number: int) -> Hop | None:
        self.asked_again.append(number)
        return self.hops.pop(0)

    def begin(self, hop: Hop) -> "asyncio.Task[None]":
        """Take ``hop`` up, what is here already with the headers, and carry it."""
        if first := self.relay.attach(hop):
            self.sink.write(first)
        return self.tasks.spawn(self.relay.run(self.sink), "relay")

    @property
    def events(self) -> list[ServerSentEvent]:
        return list(SseDecoder().feed(self.sink.body))

    @property
    def text(self) -> str:
        return "".join(orjson.loads(event.data)["content"] for event in self.events if event.type == "token")


@asynccontextmanager
async def relaying(
    hop: ListHop,
    *again: Hop | None,
    room: int = 1_000_000,
    position: int = 0,
    began: bool = True,
    dialect: Dialect | None = None,
) -> AsyncIterator[tuple[Scene, "asyncio.Task[None]"]]:
    scene = Scene(*again, room=room, position=position, began=began, dialect=dialect)
    task = scene.begin(hop)
    await turns()
    try:
        yield scene, task
    finally:
        await scene.tasks.close()
