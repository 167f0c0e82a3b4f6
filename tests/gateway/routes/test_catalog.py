from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.routes import catalog
from gateway.routes.catalog import Catalog
from services.simulator.models import tags
from services.wire.events import ApiError, Code
from tests.gateway.stage import proxies_at
from tests.http.served import served

EMBEDDER = {"name": "embedder:latest", "capabilities": ["embedding"]}
CHATTER = {
    "name": "llama3.2:latest",
    "size": 42,
    "details": {"family": "llama"},
    "capabilities": ["completion", "tools"],
    "digest": "0123",
}
OLD = {"name": "old:latest"}


class Proxy:
    """What a proxy passes on from its model server."""

    def __init__(self, *models: dict[str, Any]) -> None:
        self.tags: Any = {"models": list(models)}
        self.ps: Any = {"models": [{"name": "llama3.2:latest"}]}
        self.status = 200
        self.asked: list[str] = []
        self.shows: dict[str, Any] = {}
        self.shown: list[str] = []

    async def show(self, request: web.Request) -> web.Response:
        model = (await request.json())["model"]
        self.shown.append(model)
        return web.json_response(
            self.shows.get(model, {"error": "not found"}), status=200 if model in self.shows else 404
        )

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response(self.ps if request.path == "/api/ps" else self.tags, status=self.status)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        for path in ("/api/tags", "/api/ps"):
            router.add_get(path, self.answer)
        router.add_post("/api/show", self.show)


@asynccontextmanager
async def a_catalog(proxy: Proxy, default_model: str = "") -> AsyncIterator[Catalog]:
    async with served(proxy.add_routes) as address:
        proxies = proxies_at(_=address.port)
        try:
            yield Catalog(proxies, default_model)
        finally:
            await proxies.close()


async def test_the_default_is_the_first_listed_that_can_chat() -> None:
    async with a_catalog(Proxy(EMBEDDER, CHATTER, OLD)) as models:
        assert await models.default() == "llama3.2:latest"


async def test_a_model_whose_capabilities_nobody_knows_may_chat() -> None:
    """Older servers list none."""
    async with a_catalog(Proxy(EMBEDDER, OLD)) as models:
        assert await models.default() == "old:latest"


async def test_the_operator_s_choice_is_asked_of_nobody() -> None:
    proxy = Proxy(CHATTER)
    async with a_catalog(proxy, "mine") as models:
        assert await models.default() == "mine"
        assert proxy.asked == []


async def test_a_pull_does_not_change_the_default_and_a_deletion_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is newest first."""
    monkeypatch.setattr(catalog, "FRESH_S", 0.0)
    proxy = Proxy(CHATTER)
    async with a_catalog(proxy) as models:
        first = await models.default()
        proxy.tags = {"models": [OLD, CHATTER]}
        pulled, page = await models.default(), await models.page()
        proxy.tags = {"models": [OLD]}
        deleted = await models.default()

    assert (first, pulled, deleted) == ("llama3.2:latest", "llama3.2:latest", "old:latest")
    assert [model["default"] for model in page["models"]] == [False, True]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"models": []}, "No model is installed"),
        ({"models": None}, "No model is installed"),
        ({"models": [EMBEDDER]}, "No installed model can chat"),
        ({"models": [{"name": "all-minilm:latest", "details": {"family": "bert"}}]}, "No installed model can chat"),
    ],
)
async def test_without_a_model_that_can_chat_one_is_told_how_to_install_one(tags: Any, words: str) -> None:
    proxy = Proxy()
    proxy.tags = tags
    async with a_catalog(proxy) as models:
        with pytest.raises(ApiError) as refusal:
            await models.default()

    assert refusal.value.failed.code is Code.MODEL_NOT_FOUND
    assert refusal.value.failed.message.startswith(words)
    assert "`ollama pull llama3.2`" in refusal.value.failed.message


async def test_who_installs_a_model_need_not_wait_until_the_empty_list_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "FRESH_EMPTY_S", 0.0)
    proxy = Proxy()
    async with a_catalog(proxy) as models:
        with pytest.raises(ApiError):
            await models.default()
        proxy.tags = {"models": [CHATTER]}

        assert await models.default() == "llama3.2:latest"


async def test_the_page_says_what_may_be_asked_for_and_nothing_else() -> None:
    async with a_catalog(Proxy(EMBEDDER, CHATTER)) as models:
        page = await models.page()

    assert page["models"][1] == {
        "name": "llama3.2:latest",
        "size": 42,
        "family": "llama",
        "capabilities": ["completion", "tools"],
        "loaded": True,
        "default": True,
    }
    assert page["models"][0]["loaded"] is False
    assert [model["default"] for model in page["models"]] == [False, True]


@pytest.mark.parametrize("spelled", ["llama3.2", "LLAMA3.2:latest", "registry.ollama.ai/library/llama3.2"])
async def test_the_page_knows_a_model_however_it_is_spelled(spelled: str) -> None:
    """By whoever wrote the setting, and by /api/ps."""
    proxy = Proxy(OLD, CHATTER)
    proxy.ps = {"models": [{"name": spelled}]}
    async with a_catalog(proxy, spelled) as models:
        page = await models.page()

    assert [(model["default"], model["loaded"]) for model in page["models"]] == [(False, False), (True, True)]


async def test_the_simulator_s_models_are_marked_and_no_others() -> None:
    simulated = [{**card, "name": f"x-{card['name']}"} for card in tags()["models"]]
    async with a_catalog(Proxy(*simulated, CHATTER)) as models:
        page = await models.page()

    assert {model.get("simulated") for model in page["models"][:-1]} == {True}
    assert "simulated" not in page["models"][-1]


async def test_a_list_is_believed_for_a_while_and_then_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(CHATTER)
    async with a_catalog(proxy) as models:
        for _ in range(5):
            await models.default()
        first = list(proxy.asked)
        monkeypatch.setattr(catalog, "FRESH_S", 0.0)
        proxy.tags = {"models": [OLD]}

        assert first == ["/api/tags"]
        assert await models.default() == "old:latest"


@pytest.mark.parametrize("what", ["nobody answers", "another status", "no list", "no object", "no JSON"])
async def test_without_a_list_nobody_is_guessed(what: str) -> None:
    proxy = Proxy(CHATTER)
    proxy.status = 503 if what == "another status" else 200
    proxy.tags = {"no list": {"models": 7}, "no object": [], "no JSON": None}.get(what, proxy.tags)
    async with a_catalog(proxy) as answered:
        nobody = Catalog(proxies_at(_=1), "")
        models = nobody if what == "nobody answers" else answered
        with pytest.raises(ApiError) as refusal:
            await models.default()

        assert refusal.value.failed.code is Code.UPSTREAM_UNAVAILABLE
        assert await models.names() is None


async def test_the_page_knows_what_was_learnt_of_a_model_whose_list_says_little() -> None:
    proxy = Proxy({"name": "native:latest", "digest": "d1", "capabilities": ["completion"]})
    proxy.shows["native:latest"] = {"capabilities": ["completion", "tools"]}
    async with a_catalog(proxy) as models:
        await models.models()
        await models.learn()
        [shown] = (await models.page())["models"]

    assert shown["capabilities"] == ["completion", "tools"]
    assert proxy.shown == ["native:latest"]


async def test_what_is_no_model_is_left_out() -> None:
    proxy = Proxy(CHATTER)
    proxy.tags = {"models": ["x", {}, {"name": 7}, {**OLD, "details": "x"}, CHATTER]}
    async with a_catalog(proxy) as models:
        assert await models.names() == ["old:latest", "llama3.2:latest"]
        assert (await models.page())["models"][0]["family"] is None
