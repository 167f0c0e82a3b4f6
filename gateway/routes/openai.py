"""OpenAI's API at the gateway, under /v1/: chat completions, responses, and the models that there are."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from gateway.guard.guard import PRINCIPAL
from gateway.languages import is_anthropic
from gateway.routes.catalog import Catalog
from gateway.routes.foreign import ForeignResponder
from services.dialects.anthropic import anthropic_model, anthropic_models
from services.dialects.openai_chat import CHAT
from services.dialects.openai_responses import RESPONSES
from services.http import edge
from services.wire.events import ApiError, Code, Failed
from services.wire.model_names import ListedModel, canonical

_UNKNOWN: Final = Failed(Code.MODEL_NOT_FOUND, "There is no such model here. /v1/models lists those there are.")
_OWNER: Final = "library"
"""Whose a model is that no namespace names."""


class OpenAiRoutes:
    """What the gateway answers in OpenAI's shapes."""

    def __init__(self, foreign: ForeignResponder, catalog: Catalog) -> None:
        self._foreign = foreign
        self._catalog = catalog

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve PROTOCOL.md's rows under /v1/."""
        router.add_head("/", self.greet)
        router.add_post("/v1/chat/completions", self._foreign.answering(CHAT))
        router.add_post("/v1/responses", self._foreign.answering(RESPONSES))
        router.add_get("/v1/models", self.models)
        router.add_get("/v1/models/{id:.+}", self.model, allow_head=False)

    async def greet(self, _request: web.Request) -> web.StreamResponse:
        """HEAD /: clients probe a server so."""
        return web.Response()

    async def models(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/models: what can chat, and the other names of it."""
        listed = list((await self._listed(request)).values())
        if is_anthropic(request.path, request.headers):
            return edge.json_response(anthropic_models([(one["id"], one["created"]) for one in listed]))
        return edge.json_response({"object": "list", "data": listed})

    async def model(self, request: web.Request) -> web.StreamResponse:
        """GET /v1/models/{id}: one of them, by any spelling of its name."""
        listed, name = await self._listed(request), request.match_info["id"]
        found = listed.get(name) or next(
            (one for key, one in listed.items() if canonical(key) == canonical(name)), None
        )
        if found is None:
            raise ApiError(_UNKNOWN)
        if is_anthropic(request.path, request.headers):
            return edge.json_response(anthropic_model(found["id"], found["created"]))
        return edge.json_response(found)

    async def _listed(self, request: web.Request) -> Mapping[str, dict[str, Any]]:
        """Return what may be asked for, by name."""
        allows = request[PRINCIPAL].key.allows
        models = [one for one in await self._catalog.models() if one.can_chat and allows(one.name)]
        by_name = {canonical(one.name): one for one in models}
        shown = {one.name: _shown(one.name, one) for one in models}
        for name in self._foreign.aliases.names:
            if (meant := by_name.get(canonical(self._foreign.aliases.model(name)))) is not None:
                shown[name] = _shown(name, meant)
        return shown


def _shown(name: str, model: ListedModel) -> dict[str, Any]:
    owner = model.name.rpartition("/")[0] or _OWNER
    return {"id": name, "object": "model", "created": model.modified_s or 0, "owned_by": owner}
