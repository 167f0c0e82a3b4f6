from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.upstream.progress import Progress
from services.http.client import HttpResponse
from services.wire.events import FinishReason, Phase
from tests.eventually import soon
from tests.proxy.stage import StreamStage, turns
from tests.proxy.upstream.scripted_transport import Connects, ScriptedTransport


class Asked(ScriptedTransport):
    """Counts the looks at the model server."""

    def __init__(self, loaded: list[str] | None) -> None:
        super().__init__(Connects())
        self.loaded = loaded
        self.looks = 0

    async def read(self, name: str, *, timeout_s: float = 1.0) -> HttpResponse:
        self.looks += 1
        return await super().read(name, timeout_s=timeout_s)


@asynccontextmanager
async def waiting(
    loaded: list[str] | None, streams: int = 1
) -> AsyncIterator[tuple[Asked, Progress, list[StreamStage]]]:
    """Streams for llama3.2 that wait for their first content."""
    scenes = [StreamStage() for _ in range(streams)]
    transport = Asked(loaded)
    progress = Progress(transport, scenes[0].tasks, lambda _loaded: None)
    try:
        yield transport, progress, scenes
    finally:
        await scenes[0].tasks.close()


@pytest.mark.parametrize(
    ("loaded", "phase"),
    [
        ([], Phase.LOADING),
        (["mistral:latest"], Phase.LOADING),
        (["llama3.2:latest"], Phase.PREFILL),
        (["llama3.2"], Phase.PREFILL),
        (["registry.ollama.ai/library/LLAMA3.2:latest"], Phase.PREFILL),
        (["llama3.2:70b"], Phase.LOADING),
        (None, Phase.WAITING),
    ],
)
async def test_a_model_that_is_absent_loads_and_one_that_is_there_works_on_the_prompt(
    loaded: list[str] | None, phase: Phase
) -> None:
    async with waiting(loaded) as (_, progress, [scene]):
        progress.watch(scene.stream)
        await soon(lambda: scene.stream.status, "a phase is shown")

        assert scene.stream.status is not None
        assert scene.stream.status.phase is phase


async def test_one_look_serves_all_who_wait() -> None:
    async with waiting([], streams=5) as (transport, progress, scenes):
        for scene in scenes:
            progress.watch(scene.stream)
        await soon(lambda: all(scene.stream.status for scene in scenes), "all are told")

        assert transport.looks == 1


@pytest.mark.parametrize("why", ["content", "an end", "forgotten"])
async def test_who_waits_no_more_is_told_nothing_more(why: str) -> None:
    async with waiting([]) as (_, progress, [scene]):
        progress.watch(scene.stream)
        if why == "content":
            scene.say("a")
        elif why == "an end":
            scene.stream.stop(FinishReason.CANCELLED)
        else:
            progress.forget(scene.stream)
        await turns()

        assert scene.stream.status is None


async def test_while_nobody_waits_nobody_is_asked() -> None:
    async with waiting([]) as (transport, progress, [scene]):
        progress.watch(scene.stream)
        await soon(lambda: scene.stream.status, "a phase is shown")
        progress.forget(scene.stream)
        await soon(lambda: len(scene.tasks) == 0, "the task that asks is over", within_s=3)
        looks = transport.looks
        progress.watch(scene.stream)
        await soon(lambda: transport.looks == looks + 1, "it is asked again")

        assert looks == 1
