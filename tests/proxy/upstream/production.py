"""A producer on its stream, over a scripted transport, and everything that it must give back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson

from proxy.metrics import ProxyMetrics
from proxy.providers.adapter import AdapterFor
from proxy.providers.ollama import OllamaAdapter
from proxy.streams.caller import Leave
from proxy.streams.permits import Admission
from proxy.streams.stream import Stream
from proxy.upstream.models import InstalledModels
from proxy.upstream.producer import Deadlines, NextTurn, Producer, one_turn
from proxy.upstream.progress import Progress
from proxy.upstream.server import ModelServer
from proxy.upstream.wedge import FLOOR_S
from proxy.upstream.wedge_watch import WedgeWatch
from services.http.connection import ResponseEnd
from services.wire.events import Finished, Token
from services.wire.request import ModelRequest
from tests.proxy.stage import REQUEST, ListSink, StreamStage
from tests.proxy.upstream.scripted_transport import Attempt, Connects, ScriptedTransport

LONG = Deadlines(queue_s=30, first_token_s=30, idle_s=30, total_s=30)
MODEL = "llama3.2"
OWNER = "anonymous"


def line(content: str = "", *, done: bool = False) -> bytes:
    more = {"done_reason": "stop", "eval_count": 3} if done else {}
    return orjson.dumps({"message": {"role": "assistant", "content": content}, "done": done, **more}) + b"\n"


WHOLE = Connects([line("Hel"), line("lo"), line(done=True)], ResponseEnd.COMPLETE)
BUSY_NOW = Connects([], ResponseEnd.COMPLETE, status=503, headers={"retry-after": "0"})


class Noted:
    """The producer's metrics."""

    def __init__(self) -> None:
        self.permits: list[str] = []
        self.repeats: list[str] = []
        self.gaps: list[float] = []
        self.passed: list[float] = []
        self.closings: list[float] = []

    def permit_waited(self, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.permits.append(result)

    def call_repeated(self, why: str) -> None:
        self.repeats.append(why)

    def gaps_of(self, stream: Stream) -> Callable[[float], None]:
        assert stream.model == MODEL
        return self.gaps.append

    def chunk_passed(self, seconds: float) -> None:
        assert seconds >= 0
        self.passed.append(seconds)

    def upstream_closed(self, seconds: float) -> None:
        self.closings.append(seconds)


class ProducerStage:
    """A producer on its stream, with one follower, a permit (or a place in line), and a scripted transport."""

    def __init__(
        self,
        *attempts: Attempt,
        deadlines: Deadlines = LONG,
        in_line: bool = False,
        followed: bool = True,
        cures: bool = False,
        wedge_floor_s: float = FLOOR_S,
        request: ModelRequest = REQUEST,
        adapter: AdapterFor = OllamaAdapter,
        next_turn: NextTurn = one_turn,
    ) -> None:
        self.scene = StreamStage(Leave.CANCEL, request=request)
        self.stream = self.scene.stream
        self.tasks = self.scene.tasks
        self.transport = ScriptedTransport(*attempts)
        self.admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
        self.before = self.admission.enter(MODEL, OWNER, chance=0.5) if in_line else None
        self.place = self.admission.enter(MODEL, OWNER, chance=0.5)
        self.noted = Noted()
        self.wedged: list[list[str]] = []
        self.wedges = WedgeWatch(
            self.transport,
            self.tasks,
            changed=lambda names: self.wedged.append(list(names)),
            cures=cures,
            floor_s=wedge_floor_s,
        )
        self.server = ModelServer(
            "a server",
            "a provider",
            self.transport,
            self.admission,
            adapter,
            InstalledModels(self.transport, ProxyMetrics(), self.wedges.looked),
            Progress(self.transport, self.tasks, self.wedges.looked),
            self.wedges,
        )
        self.ended: list[Stream] = []
        self.sink = ListSink()
        self.followed = followed
        self.producer = Producer(
            self.stream,
            self.place,
            route=(self.server,),
            deadlines=deadlines,
            metrics=self.noted,
            ended=self.ended.append,
            next_turn=next_turn,
        )

    async def begin(self) -> "asyncio.Task[None]":
        if self.followed:
            await self.scene.reading(self.scene.join("the-follower", began=True), self.sink)
        return self.tasks.spawn(self.producer.run(), "producer")

    async def over(self) -> None:
        async with asyncio.timeout(5):
            await self.stream.upstream_closed.reached()

    @property
    def end(self) -> str:
        end = self.stream.log.end
        return str(end.reason) if isinstance(end, Finished) else str(end and end.code)

    @property
    def text(self) -> str:
        return "".join(event.content for _, event in self.stream.log.after(0) if isinstance(event, Token))

    def assert_everything_is_given_back(self) -> None:
        assert self.transport.open_connections == 0
        assert self.ended == [self.stream]
        assert self.stream.upstream_closed.is_reached
        if self.before is not None:
            self.before.leave()
        assert (self.admission.held, self.admission.waiting) == (0, 0)


@asynccontextmanager
async def produced(*attempts: Attempt, **more: object) -> AsyncIterator[ProducerStage]:
    """Run a producer; at the end nothing of it is left."""
    stage = ProducerStage(*attempts, **more)  # type: ignore[arg-type] # its own keywords, passed on
    try:
        yield stage
    finally:
        await stage.tasks.close()


async def outcome_of(*attempts: Attempt, **more: object) -> ProducerStage:
    async with produced(*attempts, **more) as stage:
        await stage.begin()
        await stage.over()
        return stage
