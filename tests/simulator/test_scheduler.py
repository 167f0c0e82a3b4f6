"""Loading, permits and keep-alive as a client meets them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.simulator.scheduler import Scheduler
from services.simulator.settings import Settings
from services.simulator.simulator import Simulator, running_simulator
from services.simulator.witness import Call, State
from tests.eventually import soon
from tests.simulator.reader import ANY_PORT, Reader, ask, chat, generate, get, post


@asynccontextmanager
async def simulator_with(**settings: Any) -> AsyncIterator[Simulator]:
    async with running_simulator(Settings(listen=ANY_PORT, **{"script": "rate=0"} | settings)) as simulator:
        yield simulator


async def asking(simulator: Simulator, request: bytes) -> tuple[Reader, Call]:
    """Send a request and return once it has arrived."""
    known = simulator.witness.calls_total
    reader = await Reader.connect(simulator.address.port)
    reader.send(request)
    await soon(lambda: simulator.witness.calls_total > known)
    return reader, simulator.witness.calls[-1]


async def loaded(simulator: Simulator) -> list[str]:
    answer = await ask(simulator, get("/api/ps"))
    return [model["name"] for model in answer.lines[0]["models"]]


async def test_a_model_is_in_ps_only_once_it_is_loaded(simulator: Simulator) -> None:
    reader, call = await asking(simulator, generate("story:load=30"))
    await soon(lambda: call.state is State.LOADING)
    while_loading = await loaded(simulator)
    reader.leave()
    await ask(simulator, generate("story"))

    assert while_loading == []
    assert await loaded(simulator) == ["story:latest"]


async def test_the_first_request_pays_for_the_load_and_the_second_does_not(simulator: Simulator) -> None:
    first, second = [(await ask(simulator, chat("sim:tokens=1,load=0.05"))).lines[-1] for _ in range(2)]

    assert first["load_duration"] >= 50_000_000 > second["load_duration"]


async def test_one_permit_serves_strictly_in_turn() -> None:
    async with simulator_with(num_parallel=1) as simulator:
        calls = [await asking(simulator, chat("sim:tokens=10,rate=500")) for _ in range(4)]
        for reader, _ in calls:
            await reader.response()
            reader.leave()

        stations = [at for _, call in calls for at in (call.permitted_at, call.closed_at) if at is not None]

    assert len(stations) == 8
    assert stations == sorted(stations)
    assert simulator.witness.by_model["sim:tokens=10,rate=500"].most_running == 1


async def test_permits_are_as_many_as_num_parallel_says_and_for_each_model_its_own() -> None:
    async with simulator_with(num_parallel=3) as simulator:
        names = ["sim:fault=mute"] * 5 + ["story:fault=mute"] * 2
        calls = [(await asking(simulator, chat(name)))[1] for name in names]
        await soon(lambda: sum(call.state is State.PREFILL for call in calls) == 5)

        uses = simulator.witness.by_model
        assert (uses["sim:fault=mute"].running, uses["story:fault=mute"].running) == (3, 2)
        assert [call.state for call in calls[3:5]] == [State.QUEUED] * 2


async def test_a_wedging_model_loses_the_permit_of_who_leaves_early_and_an_unload_brings_it_back() -> None:
    """While others wait it is in use, and so still there: as Ollama, it goes when they have left."""
    name = "sim:tokens=200,rate=100,fault=wedge"
    async with simulator_with(num_parallel=1) as simulator:
        whole = await ask(simulator, chat("sim:tokens=3,fault=wedge"))
        first, leaving = await asking(simulator, chat(name))
        await soon(lambda: leaving.tokens > 0)
        first.leave()
        await soon(lambda: leaving.state is State.ENDED)
        second, waiting = await asking(simulator, chat(name))
        await ask(simulator, post("/api/generate", {"model": name, "keep_alive": 0}))
        still_loaded = name in await loaded(simulator)
        still_waiting = waiting.permitted_at
        second.leave()
        await soon(lambda: waiting.state is State.ENDED)
        gone = name not in await loaded(simulator)
        third, answered = await asking(simulator, chat(name))
        await soon(lambda: answered.tokens > 0)
        third.leave()

    assert whole.lines[-1]["done"] is True
    assert (still_loaded, still_waiting, gone) == (True, None, True)


async def test_a_waiting_reader_that_leaves_frees_its_place_and_disturbs_nobody() -> None:
    async with simulator_with(num_parallel=1) as simulator:
        first, running = await asking(simulator, chat("sim:fault=mute"))
        second, leaving = await asking(simulator, chat("sim:fault=mute"))
        _, waiting = await asking(simulator, chat("sim:fault=mute"))
        second.leave()
        await soon(lambda: leaving.state is State.ENDED)
        undisturbed = running.state
        first.leave()
        await soon(lambda: waiting.state is State.PREFILL)

        assert undisturbed is State.PREFILL
        assert (leaving.end, leaving.permitted_at, leaving.tokens) == ("left", None, 0)


async def test_a_reader_that_leaves_while_loading_kills_the_load_and_the_next_starts_from_zero() -> None:
    async with simulator_with() as simulator:
        first, loading = await asking(simulator, generate("story:load=60"))
        second, waiting = await asking(simulator, generate("story:load=0.05"))
        await soon(lambda: loading.state is State.LOADING)
        first.leave()
        last = (await second.response()).lines[-1]
        second.leave()

        assert (loading.end, loading.first_line_at) == ("left", None)
        assert waiting.end == "answered"
        assert last["load_duration"] >= 50_000_000


async def test_a_full_load_queue_refuses_every_model_that_is_not_loaded_and_no_other() -> None:
    async with simulator_with(max_queue=2) as simulator:
        await ask(simulator, chat("sim"))
        for name in ("story:load=60", "story:load=60", "thinker"):
            await asking(simulator, chat(name))
        refused = [await ask(simulator, chat(name)) for name in ("story:load=60", "tooler")]
        served = await ask(simulator, chat("sim"))

    assert [seen.status for seen in refused] == [503, 503]
    assert refused[0].lines == [{"error": "server busy, please try again.  maximum pending requests exceeded"}]
    assert served.status == 200


async def test_a_reader_that_leaves_the_load_queue_makes_room() -> None:
    async with simulator_with(max_queue=1) as simulator:
        await asking(simulator, chat("story:load=60"))
        second, leaving = await asking(simulator, chat("thinker"))
        full = await ask(simulator, chat("tooler"))
        second.leave()
        await soon(lambda: leaving.state is State.ENDED)
        _, taken = await asking(simulator, chat("tooler"))

        assert full.status == 503
        assert taken.state is State.QUEUED


async def test_a_loaded_model_has_a_line_without_bound() -> None:
    async with simulator_with(max_queue=1, num_parallel=1) as simulator:
        calls = [await asking(simulator, chat("sim:tokens=3")) for _ in range(20)]
        seen = [await reader.response() for reader, _ in calls]
        for reader, _ in calls:
            reader.leave()

    assert [one.status for one in seen] == [200] * 20


async def test_a_load_that_is_given_up_leaves_no_model_behind_and_frees_the_line() -> None:
    scheduler = Scheduler(num_parallel=1, max_queue=0, keep_alive_s=60)
    loading = asyncio.Event()

    async def load(seconds: float) -> str:
        async with scheduler.runner("m", 4096, seconds, None, loading.set) as runner:
            return runner.model

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(load(60), 0.02)

    assert loading.is_set()
    assert list(scheduler.loaded()) == []
    assert await asyncio.wait_for(load(0), 5) == "m"
    scheduler.close()


async def test_keep_alive_zero_unloads_after_the_answer(simulator: Simulator) -> None:
    await ask(simulator, generate("story", keep_alive=0))

    assert await loaded(simulator) == []


async def test_a_model_is_unloaded_when_its_keep_alive_has_passed(simulator: Simulator) -> None:
    await ask(simulator, generate("story", keep_alive="40ms"))
    at_once = await loaded(simulator)
    async with asyncio.timeout(5):
        while await loaded(simulator):  # the request itself is the wait
            pass

    assert at_once == ["story:latest"]


async def test_a_keep_alive_holds_for_later_requests_that_name_none(simulator: Simulator) -> None:
    await ask(simulator, generate("story", keep_alive=-1))
    await ask(simulator, generate("story"))
    entry = (await ask(simulator, get("/api/ps"))).lines[0]["models"][0]

    assert entry["expires_at"] > "2300"


async def test_unload_waits_for_the_answer_that_is_under_way(simulator: Simulator) -> None:
    reader, call = await asking(simulator, chat("sim:tokens=40,rate=400"))
    await soon(lambda: call.tokens > 0)
    unloaded = await ask(
        simulator, post("/api/chat", {"model": "sim:tokens=40,rate=400", "messages": [], "keep_alive": 0})
    )
    meanwhile = await loaded(simulator)
    seen = await reader.response()
    reader.leave()

    assert unloaded.lines[0]["done_reason"] == "unload"
    assert meanwhile == ["sim:tokens=40,rate=400"]
    assert seen.lines[-1]["done_reason"] == "stop"
    assert await loaded(simulator) == []


async def test_unloading_what_is_not_loaded_loads_nothing(simulator: Simulator) -> None:
    seen = await ask(simulator, post("/api/generate", {"model": "story:load=60", "keep_alive": 0}))

    assert seen.lines[0]["done_reason"] == "unload"
    assert await loaded(simulator) == []


async def test_another_context_waits_for_the_running_answer_and_reloads() -> None:
    async with simulator_with(num_parallel=4) as simulator:
        first, running = await asking(simulator, chat("sim:tokens=30,rate=500,load=0.02"))
        await soon(lambda: running.tokens > 0)
        second, _ = await asking(simulator, chat("sim:tokens=30,rate=500,load=0.02", options={"num_ctx": 2048}))
        waited = await second.response()
        whole = await first.response()
        for reader in (first, second):
            reader.leave()
        entry = (await ask(simulator, get("/api/ps"))).lines[0]["models"][0]

    calls = simulator.witness.calls
    assert whole.lines[-1]["done"] is True
    assert calls[1].permitted_at is not None
    assert calls[0].closed_at is not None
    assert calls[1].permitted_at > calls[0].closed_at
    assert waited.lines[-1]["load_duration"] >= 20_000_000
    assert entry["context_length"] == 2048
