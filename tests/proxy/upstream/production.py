"""A producer on its stream, over a scripted transport, and everything that it must give back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import orjson

from proxy.config.config import ServerConfig
from proxy.config.server_url import ServerUrl
from proxy.metrics import ProxyMetrics
from proxy.providers.adapter import AdapterFor
from proxy.providers.kinds import PROVIDERS
from proxy.providers.ollama import OllamaAdapter
from proxy.streams.caller import Leave
from proxy.streams.permits import Admission
from proxy.streams.stream import Stream
from proxy.tools.call_end import CallEnd
from proxy.tools.toolbox import Toolbox
from proxy.upstream.all_models import AllModels
from proxy.upstream.condition import Condition
from proxy.upstream.deadlines import Deadlines
from proxy.upstream.keys import ServerKey
from proxy.upstream.models import InstalledModels
from proxy.upstream.producer import Producer
from proxy.upstream.progress import Progress
from proxy.upstream.server import ModelServer, Pool, Route
from proxy.upstream.tool_turns import ToolTurns, offered, turns_of
from proxy.upstream.walk import Walk
from proxy.upstream.wedge import FLOOR_S
from proxy.upstream.wedge_watch import WedgeWatch
from services.http.connection import ResponseEnd
from services.wire.events import Finished, Token
from services.wire.request import ModelRequest
from tests.proxy.stage import REQUEST, ListSink, StreamStage
from tests.proxy.upstream.scripted_transport import Attempt, Connects, ScriptedTransport

LONG = Deadlines(first_token_s=30, idle_s=30, total_s=30)
LONG_WAIT_S = 30.0
AT = ServerUrl("http", "127.0.0.1", 9)
NO_KEY = ServerKey(ServerConfig("", "ollama", AT))
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
        self.steps: list[str] = []
        self.passed: list[float] = []
        self.closings: list[float] = []
        self.not_run: list[tuple[str | None, CallEnd]] = []

    def permit_waited(self, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.permits.append(result)

    def call_repeated(self, server: str, why: str) -> None:
        assert server.startswith("server-")
        self.repeats.append(why)

    def went_on(self, from_server: str, to_server: str, code: str) -> None:
        self.steps.append(f"{from_server} -> {to_server}: {code}")

    def show_circuit(self, server: str, model: str, state: Callable[[], int]) -> None:
        assert (model, state()) == (MODEL, 0), server

    def gaps_of(self, stream: Stream) -> Callable[[float], None]:
        assert stream.model == MODEL
        return self.gaps.append

    def chunk_passed(self, seconds: float) -> None:
        assert seconds >= 0
        self.passed.append(seconds)

    def upstream_closed(self, seconds: float) -> None:
        self.closings.append(seconds)

    def tool_not_run(self, tool: str | None, end: CallEnd) -> None:
        self.not_run.append((tool, end))


class ProducerStage:
    """A producer on its stream, with one follower, a permit (or a place in line), and scripted transports.

    Args:
        then: the attempts of further servers, asked in this order.
        toolbox: runs the tools that the request asks for.
        named: whether the servers have names of their operator's.
    """

    def __init__(
        self,
        *attempts: Attempt,
        then: Sequence[Sequence[Attempt]] = (),
        deadlines: Deadlines = LONG,
        queue_s: float = LONG_WAIT_S,
        in_line: bool = False,
        followed: bool = True,
        cures: bool = False,
        named: bool = False,
        wedge_floor_s: float = FLOOR_S,
        request: ModelRequest = REQUEST,
        adapter: AdapterFor = OllamaAdapter,
        toolbox: Toolbox | None = None,
        log_bytes: int = 1 << 20,
    ) -> None:
        self.scene = StreamStage(Leave.CANCEL, request=request, log_bytes=log_bytes)
        self.stream = self.scene.stream
        self.tasks = self.scene.tasks
        self.noted = Noted()
        self.wedged: list[list[str]] = []
        self.transports = [ScriptedTransport(*each) for each in (attempts, *then)]
        self.transport = self.transports[0]
        self.conditions = [Condition() for _ in self.transports]
        self.wedges = WedgeWatch(
            self.transport,
            self.tasks,
            changed=lambda names: self.wedged.append(list(names)),
            cures=cures,
            floor_s=wedge_floor_s,
            condition=self.conditions[0],
        )
        self.servers = [self._server(number, adapter, named=named) for number in range(len(self.transports))]
        self.admissions = [Admission(permits=1, queue_length=8, queue_timeout_s=120) for _ in self.servers]
        self.admission = self.admissions[0]
        self.before = self.admission.enter(MODEL, OWNER, chance=0.5) if in_line else None
        pools = [Pool((one,), line, queue_s) for one, line in zip(self.servers, self.admissions, strict=True)]
        self.walk = Walk(Route(tuple(pools)), MODEL, OWNER, self.noted, chance=lambda: 0.5)
        self.ended: list[Stream] = []
        self.sink = ListSink()
        self.followed = followed
        self.producer = Producer(
            self.stream,
            self.walk,
            deadlines=deadlines,
            metrics=self.noted,
            ended=self.ended.append,
            turns=None if toolbox is None else self._turns(toolbox, request),
        )

    def _turns(self, toolbox: Toolbox, request: ModelRequest) -> ToolTurns | None:
        tools = offered(request, toolbox, lambda _request: False)
        self.stream.tools = None if tools is None else tuple(one.name for one in tools)
        return turns_of(self.stream, tools, toolbox, spawn=self.tasks.spawn, not_run=self.noted.tool_not_run)

    def _server(self, number: int, adapter: AdapterFor, *, named: bool) -> ModelServer:
        transport, looked = self.transports[number], self.wedges.looked
        return ModelServer(
            ServerConfig(f"server-{number + 1}", "ollama", AT),
            transport,
            PROVIDERS["ollama"],
            adapter,
            NO_KEY,
            is_named=named,
            condition=self.conditions[number],
            models=InstalledModels(transport, AllModels(ProxyMetrics()).of("ollama"), looked),
            progress=Progress(transport, self.tasks, looked),
            wedges=self.wedges,
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
        assert sum(transport.open_connections for transport in self.transports) == 0
        assert self.ended == [self.stream]
        assert self.stream.upstream_closed.is_reached
        if self.before is not None:
            self.before.leave()
        assert [(line.held, line.waiting) for line in self.admissions] == [(0, 0)] * len(self.admissions)
        assert [server.running for server in self.servers] == [0] * len(self.servers)


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
