"""A pool of equal Ollamas: shares, loads and who is asked, on real sockets (proxy/upstream/warming.py, too)."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from proxy.upstream.breaker import FAILURES_IN_A_ROW
from services.runtime.tasks import Tasks
from tests.behaviour.pool_of_three import EMPTY, EVERYWHERE, ONCE, WARM, Case, outcome_of, three_simulators
from tests.behaviour.several_servers import Answer, Asked, ModelServer, Proxy, a_proxy, ollama_spoken, said, serving
from tests.chain import Server
from tests.eventually import soon
from tests.reader import Client

NATIVE = {"Accept": "text/event-stream;dialect=native"}
SERVER = '[[server]]\nname = "gpu{0}"\nkind = "ollama"\nurl = "http://127.0.0.1:{1}"\n{2}\n'


@dataclass
class Scene:
    """Ollamas, and the proxy before them."""

    gpus: Sequence[ModelServer]
    proxy: Proxy
    client: Client

    async def ask(self, model: str = "m") -> Any:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        return await self.client.ask("/api/chat/stream", body, NATIVE)

    async def server_of(self, model: str = "m") -> str:
        return str((await self.ask(model)).end["served_by"]["server"])


@asynccontextmanager
async def a_pool(
    folder: Path, *gpus: ModelServer, more: str = "permits = 8", order: str = "", **settings: Any
) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        for gpu in gpus:
            await stack.enter_async_context(serving(gpu))
        servers = "".join(SERVER.format(number, gpu.port, more) for number, gpu in enumerate(gpus))
        names = ", ".join(f'"gpu{number}"' for number in range(len(gpus)))
        text = f"{servers}[chain]\ndefault = {order or f'[[{names}]]'}\n"
        proxy = await stack.enter_async_context(a_proxy(folder / "sluice.toml", text, **settings))
        client = await stack.enter_async_context(Client(proxy.url))
        await soon(lambda: all("/api/ps" in {one.path for one in gpu.asked} for gpu in gpus), "all were looked at")
        yield Scene(gpus, proxy, client)


def gpu(*, models: Sequence[str] = ("m", "n"), loaded: Sequence[str] = (), answer: Answer = None) -> ModelServer:
    return ModelServer(answer or ollama_spoken("yes"), models=models, loaded=loaded)


async def test_a_model_is_asked_where_it_is_in_memory(tmp_path: Path) -> None:
    async with a_pool(tmp_path, gpu(), gpu(loaded=["m"]), gpu(loaded=["n"])) as scene:
        assert {await scene.server_of("m") for _ in range(4)} == {"gpu1"}
        assert {await scene.server_of("n") for _ in range(4)} == {"gpu2"}


async def test_a_model_is_loaded_where_it_drives_nothing_out_and_only_where_it_is(tmp_path: Path) -> None:
    async with a_pool(tmp_path, gpu(loaded=["n"]), gpu(models=["n"]), gpu()) as scene:
        assert await scene.server_of("m") == "gpu2"


async def test_of_three_that_have_it_each_gets_a_share_and_a_silent_one_no_more_than_its_first(tmp_path: Path) -> None:
    """U17: known by what it has under way alone."""
    slow, tasks = ModelServer(None, models=["m"], loaded=["m"]), Tasks()
    async with a_pool(tmp_path, gpu(loaded=["m"]), gpu(loaded=["m"]), slow) as scene:
        asking = [tasks.spawn(scene.ask(), "ask") for _ in range(4)]
        await asyncio.wait(asking, timeout=2, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(40):
            asking.append(tasks.spawn(scene.ask(), "ask"))
            await asyncio.wait(asking[-1:], timeout=0.2)
        shares = [len(one.questions()) for one in scene.gpus]
        await tasks.close()

    assert shares[2] <= 8
    assert min(shares[:2]) >= 5


async def test_who_refuses_is_passed_by_for_its_equal(tmp_path: Path) -> None:
    async with a_pool(tmp_path, gpu(loaded=["m"], answer=said(503, {"error": "busy"})), gpu()) as scene:
        assert {await scene.server_of() for _ in range(3)} == {"gpu1"}


async def test_permits_are_the_pool_s_together_and_each_server_s_are_kept(tmp_path: Path) -> None:
    servers, tasks = [ModelServer(None, models=["m"], loaded=["m"]) for _ in range(2)], Tasks()
    async with a_pool(tmp_path, *servers, more="permits = 2", queue_timeout_s=30.0) as scene:
        for _ in range(7):
            tasks.spawn(scene.ask(), "ask")
        await soon(lambda: sum(one.open for one in scene.gpus) == 4, "all permits are taken")
        most = [one.most_open for one in scene.gpus]
        await tasks.close()

    assert most == [2, 2]


async def test_an_equal_that_does_not_have_the_model_gives_no_permits_for_it(tmp_path: Path) -> None:
    """Else whoever came next would be asked of the other beyond what it takes."""
    only, tasks = ModelServer(None, models=["m"], loaded=["m"]), Tasks()
    async with a_pool(tmp_path, only, gpu(models=["n"]), more="permits = 1") as scene:
        for _ in range(3):
            tasks.spawn(scene.ask(), "ask")
        await soon(lambda: (only.open, scene.proxy.waiting) == (1, 2), "two wait for the one")
        most = only.most_open
        await tasks.close()

    assert most == 1


async def test_a_pool_s_permits_go_with_a_member_that_fails_again_and_again(tmp_path: Path) -> None:
    broken, tasks = gpu(loaded=["m"], answer=said(503, {"error": "busy"})), Tasks()
    async with a_pool(tmp_path, broken, gpu(), more="permits = 1") as scene:
        for _ in range(200):  # by chance, which of the two is asked first
            if len(broken.questions()) < FAILURES_IN_A_ROW:
                await scene.ask()
        scene.gpus[1].answer = None
        scene.gpus[1].most_open = 0
        for _ in range(3):
            tasks.spawn(scene.ask(), "ask")
        await soon(lambda: (scene.gpus[1].open, scene.proxy.waiting) == (1, 2), "two wait for the one that is left")
        most = scene.gpus[1].most_open
        await tasks.close()

    assert most == 1


async def test_a_cold_server_is_passed_by_and_loads_the_model_meanwhile(tmp_path: Path) -> None:
    """Without that it would never be asked again."""

    def loads(asked: Asked) -> Answer:
        cold.loaded = [asked.body["model"]]
        return said(200, {"model": "m", "done": True, "done_reason": "load"})

    cold, warm = gpu(), gpu(loaded=["m"])
    cold.answer = loads
    more = "skip_when_cold = true"
    async with a_pool(tmp_path, cold, warm, order='["gpu0", "gpu1"]', more=more) as scene:
        asked = await scene.server_of()
        await soon(lambda: cold.loaded == ["m"], "it is loaded")

    assert asked == "gpu1"
    assert [one.path for one in cold.questions()] == ["/api/generate"]


# --- three simulators, one of them slow


@pytest.fixture(scope="module")
def simulators() -> Iterator[Mapping[str, Server]]:
    with three_simulators() as started:
        yield started


async def test_a_slow_equal_gets_the_smallest_share(tmp_path: Path, simulators: Mapping[str, Server]) -> None:
    """U17; how small it is pool_of_three.py prints."""
    out = await outcome_of(tmp_path, simulators, replace(EVERYWHERE, times=90))

    assert out.shares["slow"] < min(out.shares["fast1"], out.shares["fast2"])
    assert out.loads == {}


@pytest.mark.parametrize(
    ("case", "answers", "loads"), [(ONCE, "fast2", False), (EMPTY, "fast2", True), (WARM, "fast2", True)]
)
async def test_a_model_is_loaded_at_one_and_nothing_that_is_kept_warm_is_driven_out(
    tmp_path: Path, simulators: Mapping[str, Server], case: Case, answers: str, *, loads: bool
) -> None:
    out = await outcome_of(tmp_path, simulators, replace(case, times=12))

    assert {name for name, count in out.shares.items() if count} == {answers}
    assert set(out.loads) == ({answers} if loads else set())
