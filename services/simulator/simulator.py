"""The simulator itself: each request to its route, each answer through scheduler, faults and player."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import orjson

from services.runtime.settings import Address
from services.runtime.tasks import Tasks
from services.simulator import byte_faults, embeddings, models, refusals, replies, routes
from services.simulator.alarms import Alarms
from services.simulator.answers import Answer, AnswerTiming, Clock
from services.simulator.faults import ERROR_WORDS
from services.simulator.faulty import respond, sent
from services.simulator.gojson import GoError, decode
from services.simulator.guard import may_ask
from services.simulator.lines import Endpoint, rfc3339_nano
from services.simulator.models import Model
from services.simulator.player import Player
from services.simulator.recordings import PATHS, load_all, replay
from services.simulator.replies import Reply, error, json_reply, stream_error
from services.simulator.scheduler import Scheduler
from services.simulator.script import Script, ScriptError, is_model_name, parse
from services.simulator.server import Connection, Exchange, OpenConnections
from services.simulator.settings import CHECKOUT_CAPTURES, Settings
from services.simulator.steps import Ending, Steps
from services.simulator.validation import Ask, InvalidRequest, read_ask, read_model, refuse_format
from services.simulator.witness import Call, CallEnd, State, Witness

BACKLOG: Final = 4096  # a benchmark's clients connect at once
_CLOCK: Final = Clock(time.time_ns, time.monotonic_ns)
_FAR_NS: Final = 292 * 365 * 86_400 * 10**9  # how far ahead Ollama dates the end of a model that stays for ever


class Simulator:
    """A running model server without a model.

    Args:
        settings: its address, its limits, and the script that every name starts from.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.witness = Witness(time.monotonic)
        self.recordings = load_all(Path(settings.captures) if settings.captures else CHECKOUT_CAPTURES)
        keep_alive_s = inf if settings.keep_alive_s < 0 else settings.keep_alive_s
        self._scheduler = Scheduler(settings.num_parallel, settings.max_queue, keep_alive_s)
        self._start_script = parse(settings.script, Script())
        self._tasks = Tasks()
        self._connections = OpenConnections()
        self._alarms = Alarms()
        self._frozen = 0
        self._thawed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.address = settings.listen

    @property
    def url(self) -> str:
        """Where it listens: "http://host:port"."""
        return f"http://{self.address}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        wanted = self.settings.listen
        self._server = await loop.create_server(self._connection, wanted.host, wanted.port, backlog=BACKLOG)
        self.address = Address(wanted.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """End as Ollama does on SIGTERM: listen no more, cut every connection without a last chunk."""
        if self._server is not None:
            self._server.close()
        self.cut_connections()
        await self._tasks.close()
        self._scheduler.close()
        await self._connections.gone()

    def cut_connections(self) -> None:
        """Cut what is open as a killed server does, and go on listening."""
        self._connections.cut()

    def _connection(self) -> Connection:
        return Connection(self._serve, self.witness, self._connections)

    def _serve(self, exchange: Exchange) -> None:
        """Answer a request, or start what will answer it."""
        request, target = exchange.request, routes.target_of(exchange.request.target)
        if target.path == routes.WITNESS and request.method in routes.ROUTES[routes.WITNESS]:
            exchange.reply(self._testify(request.method, target.number("after")))
            return
        exchange.call = self.witness.opened(request.method, target.path, request.fields, len(request.body))
        if not may_ask(request.fields, self.address):
            exchange.reply(replies.forbidden())
        elif (reply := routes.misrouted(request.method, target.path)) is not None:
            exchange.reply(reply)
        elif target.path in PATHS:
            self._generate(exchange, exchange.call, PATHS[target.path])
        elif target.path == "/api/ps" and self._frozen:
            task = self._tasks.spawn(self._list_when_thawed(exchange), f"ps-{exchange.call.id}")
            exchange.on_left = partial(_abandon, exchange, task)
        else:
            exchange.reply(self._known(target.path, exchange))

    def _testify(self, method: str, after: int) -> Reply:
        if method == "DELETE":
            self.witness.clear()
            return json_reply({})
        return json_reply({})._replace(body=orjson.dumps(self.witness.report(after)))

    def _known(self, path: str, exchange: Exchange) -> Reply:
        if path in embeddings.PATHS:
            return self._embedded(path, exchange)
        if path != "/api/show":
            return routes.simple_reply(path, self._loaded)
        try:
            name = read_model(bytes(exchange.request.body))
            full_name = name if ":" in name else f"{name}:latest"
            refusals.refuse_name("chat", name, is_model_name(name))
            return json_reply(models.show(refusals.found(self._find(name), full_name)))
        except InvalidRequest as exc:
            return error(exc.status, exc.text)

    def _embedded(self, path: str, exchange: Exchange) -> Reply:
        body = bytes(exchange.request.body)
        try:
            fields = embeddings.read_fields(path, body)
            name = fields.get("model", "")
            if exchange.call is not None:
                self.witness.asks(exchange.call, name, _parsed(body))
            refusals.refuse_name("generate", name, is_model_name(name))
            return json_reply(embeddings.answer(path, refusals.found(self._find(name), name), fields))
        except InvalidRequest as exc:
            return error(exc.status, exc.text)

    def _loaded(self) -> Sequence[Mapping[str, Any]]:
        offset_ns, now_s = time.time_ns(), asyncio.get_running_loop().time()
        return [
            models.ps_entry(name, rfc3339_nano(offset_ns + _ahead_ns(expires_at_s - now_s)), num_ctx)
            for name, num_ctx, expires_at_s in self._scheduler.loaded()
        ]

    def _find(self, name: str) -> Model | None:
        try:
            return models.find(name, self._start_script, self.recordings)
        except ScriptError as exc:
            raise InvalidRequest(400, f"simulator: {exc}") from None

    def _generate(self, exchange: Exchange, call: Call, endpoint: Endpoint) -> None:
        """Judge the body, then answer, replay, or do worse."""
        timing = AnswerTiming(_CLOCK.ticks_ns())
        body = bytes(exchange.request.body)
        try:
            ask = read_ask(endpoint, body)
            self.witness.asks(call, ask.model, _parsed(body))
            loop = asyncio.get_running_loop()
            # two turns later: a reset that the same poll brought, for the call before this one, has been told by then
            loop.call_soon(loop.call_soon, self.witness.counted, ask.model)
            refusals.refuse_name(endpoint, ask.model, is_model_name(ask.model))
            model = self._for_this_call(refusals.found(self._find(ask.model), ask.model))
            work = self._work(exchange, call, model, ask, timing)
        except InvalidRequest as exc:
            exchange.reply(error(exc.status, exc.text))
            return
        call.fault = model.script.fault or (str(model.script.status) if model.script.status else "")
        task = self._tasks.spawn(work, f"call-{call.id}")
        if model.script.fault != "deaf":
            exchange.on_left = partial(_abandon, exchange, task)

    def _for_this_call(self, model: Model) -> Model:
        """Return ``model`` without its fault where that is meant for the first calls only."""
        times = model.script.times
        if not times or self.witness.times_asked(model.name) <= times:
            return model
        return replace(model, script=replace(model.script, fault="", status=0))

    def _work(self, exchange: Exchange, call: Call, model: Model, ask: Ask, timing: AnswerTiming) -> Any:
        """Return the coroutine that answers.

        Raises:
            InvalidRequest: the model cannot do what is asked.
        """
        now_s = time.time()
        if (steps := byte_faults.instead(model.script, now_s)) is not None:
            call.status = byte_faults.instead_status(model.script)
            return self._play(exchange, call, steps)
        if (recording := model.recording) is not None:
            if recording.endpoint != ask.endpoint:
                raise InvalidRequest(400, f"simulator: {recording.case} is a recording of /api/{recording.endpoint}")
            call.status = recording.status
            return self._play(exchange, call, sent(replay(recording, model.script, now_s), model.script))
        refusals.refuse_capabilities(model, ask)
        if ask.is_empty and ask.keep_alive_s == 0:
            return self._unload(exchange, model, ask)
        return self._answer(exchange, call, model, ask, timing)

    async def _unload(self, exchange: Exchange, model: Model, ask: Ask) -> None:
        self._scheduler.unload(model.full_name)
        exchange.reply(json_reply(refusals.empty_answer(ask, "unload", rfc3339_nano(time.time_ns()))))

    async def _answer(self, exchange: Exchange, call: Call, model: Model, ask: Ask, timing: AnswerTiming) -> None:
        """Wait for the model and for a permit, then let the answer play."""
        call.state = State.QUEUED

        def loading() -> None:
            call.state = State.LOADING

        try:
            load_s, keep_alive_s = model.script.load, ask.keep_alive_s
            async with self._scheduler.runner(model.full_name, ask.num_ctx, load_s, keep_alive_s, loading) as runner:
                timing.ready_ns = _CLOCK.ticks_ns()
                call.state = State.QUEUED
                if ask.is_empty:
                    exchange.reply(json_reply(refusals.empty_answer(ask, "load", rfc3339_nano(time.time_ns()))))
                    return
                self._refuse_late(model, ask)
                fault = model.script.fault
                async with runner.permit(can_be_lost=fault == "wedge"), self._freezing(fault == "freeze"):
                    timing.permitted_ns = _CLOCK.ticks_ns()
                    self.witness.permitted(call)
                    call.status = 200
                    await self._play(
                        exchange, call, self._steps(exchange, Answer(model, ask, timing, _CLOCK), model, ask)
                    )
        except InvalidRequest as exc:
            late = timing.ready_ns and ask.stream  # a stream's own error has its own form
            exchange.reply(stream_error(exc.status, exc.text) if late else error(exc.status, exc.text))

    @asynccontextmanager
    async def _freezing(self, frozen: bool) -> AsyncIterator[None]:
        """Keep /api/ps silent while the block lasts, if it is ``frozen``."""
        if not frozen:
            yield
            return
        self._frozen += 1
        self._thawed.clear()
        try:
            yield
        finally:
            self._frozen -= 1
            if not self._frozen:
                self._thawed.set()

    async def _list_when_thawed(self, exchange: Exchange) -> None:
        await self._thawed.wait()
        exchange.reply(routes.simple_reply("/api/ps", self._loaded))

    @staticmethod
    def _refuse_late(model: Model, ask: Ask) -> None:
        refusals.refuse_images(model, ask)
        refuse_format(ask.format)

    @staticmethod
    def _steps(exchange: Exchange, answer: Answer, model: Model, ask: Ask) -> Steps:
        if not ask.stream and model.script.fault == "error":
            raise InvalidRequest(500, ERROR_WORDS[model.script.words])  # recording fault_runner_kill9_nostream
        if not ask.stream:
            return answer.gathered(time.time)
        return respond(answer.streamed(), model.script, exchange.request.keep_alive, time.time)

    async def _play(self, exchange: Exchange, call: Call, steps: Steps) -> None:
        player = Player(steps, exchange, partial(self.witness.made, call), self._alarms)
        try:
            player.start()
            await player.done
        finally:
            player.stop()
            exchange.end(Ending.FIN)  # steps that failed are a fault of ours: the reader is not left waiting


@asynccontextmanager
async def running_simulator(settings: Settings) -> AsyncIterator[Simulator]:
    """Run a simulator in this event loop while the block lasts."""
    simulator = Simulator(settings)
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


def _abandon(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    exchange.close_call(CallEnd.LEFT)
    task.cancel()


def _ahead_ns(seconds: float) -> int:
    return _FAR_NS if seconds == inf else int(seconds * 1e9)


def _parsed(body: bytes) -> Any:
    try:
        return decode(body)
    except GoError:
        return None
