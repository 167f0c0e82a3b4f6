import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.routes import capabilities
from gateway.routes.capabilities import MODELS_AT_ONCE, Capabilities
from services.wire.model_names import ListedModel
from tests.gateway.stage import proxies_at
from tests.http.served import served

SAYS_LITTLE = ListedModel("native:latest", digest="d1", capabilities=("completion",))
SHOWN = {"capabilities": ["completion", "tools", "thinking"]}


class Shower:
    """A proxy that shows a model, as its model server does."""

    def __init__(self, shown: Any = SHOWN, status: int = 200) -> None:
        self.shown, self.status = shown, status
        self.asked: list[str] = []

    async def show(self, request: web.Request) -> web.Response:
        self.asked.append((await request.json())["model"])
        return web.json_response(self.shown, status=self.status)


@asynccontextmanager
async def looking_at(proxy: Shower) -> AsyncIterator[Capabilities]:
    async with served(lambda router: router.add_post("/api/show", proxy.show)) as address:
        proxies = proxies_at(_=address.port)
        try:
            yield Capabilities(proxies)
        finally:
            await proxies.close()


async def learnt(proxy: Shower, *models: ListedModel) -> list[list[str]]:
    async with looking_at(proxy) as known:
        await known.learn(models)
        return [known.of(model) for model in models]


@pytest.mark.parametrize("listed", [("completion",), None])
async def test_a_list_that_may_not_know_is_completed_by_a_look_at_the_model(listed: Sequence[str] | None) -> None:
    """A template inside the model's file is not read for a list, and older servers list no capabilities."""
    model = ListedModel("native:latest", digest="d1", capabilities=tuple(listed) if listed else None)

    assert await learnt(Shower(), model) == [["completion", "tools", "thinking"]]


@pytest.mark.parametrize(
    "model",
    [
        ListedModel("tooler:latest", digest="d", capabilities=("completion", "tools")),
        ListedModel("embedder:latest", digest="d", capabilities=("embedding",)),
        ListedModel("nameless:latest", capabilities=("completion",)),
    ],
    ids=lambda model: model.name,
)
async def test_a_list_that_says_more_is_believed_and_without_a_digest_nothing_is_learnt(model: ListedModel) -> None:
    proxy = Shower()

    assert await learnt(proxy, model) == [list(model.capabilities or ())]
    assert proxy.asked == []


async def test_a_digest_is_asked_about_once_whoever_asks_and_however_often() -> None:
    proxy = Shower()
    async with looking_at(proxy) as known:
        await asyncio.gather(*(known.learn([SAYS_LITTLE]) for _ in range(5)))
        await known.learn([SAYS_LITTLE])

    assert proxy.asked == ["native:latest"]


async def test_another_digest_of_the_same_name_is_another_model() -> None:
    proxy = Shower()
    again = ListedModel("native:latest", digest="d2", capabilities=("completion",))
    async with looking_at(proxy) as known:
        await known.learn([SAYS_LITTLE])
        proxy.shown = {"capabilities": ["completion", "vision"]}
        await known.learn([again])

        assert known.of(again) == ["completion", "vision"]


@pytest.mark.parametrize(
    ("shown", "status"),
    [({"error": "gone"}, 404), (SHOWN, 500), ([], 200), ({}, 200), ({"capabilities": "tools"}, 200)],
)
async def test_a_model_that_cannot_be_looked_at_is_as_its_list_says(
    shown: Any, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Shower(shown, status)
    async with looking_at(proxy) as known:
        await known.learn([SAYS_LITTLE])
        await known.learn([SAYS_LITTLE])
        first, asked = known.of(SAYS_LITTLE), list(proxy.asked)
        monkeypatch.setattr(capabilities, "RETRY_S", 0.0)
        proxy.shown, proxy.status = SHOWN, 200
        await known.learn([SAYS_LITTLE])

        assert (first, asked) == (["completion"], ["native:latest"])
        assert known.of(SAYS_LITTLE) == SHOWN["capabilities"]


async def test_where_nobody_answers_models_are_as_they_are_listed() -> None:
    proxies = proxies_at(_=1)
    known = Capabilities(proxies)
    await known.learn([SAYS_LITTLE])
    await proxies.close()

    assert known.of(SAYS_LITTLE) == ["completion"]


async def test_a_server_with_many_models_is_asked_about_a_few_at_a_time() -> None:
    proxy = Shower()
    models = [ListedModel(f"m{n}", digest=str(n), capabilities=("completion",)) for n in range(2 * MODELS_AT_ONCE + 1)]
    counts = []
    async with looking_at(proxy) as known:
        for _ in range(4):
            await known.learn(models)
            counts.append(len(proxy.asked))

    assert counts == [MODELS_AT_ONCE, 2 * MODELS_AT_ONCE, len(models), len(models)]


async def test_what_is_listed_no_more_is_forgotten() -> None:
    proxy = Shower()
    async with looking_at(proxy) as known:
        await known.learn([SAYS_LITTLE])
        await known.learn([])

        assert known.of(SAYS_LITTLE) == ["completion"]
