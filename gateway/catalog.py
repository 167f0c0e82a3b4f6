"""Which models may be asked for, as the proxy's model server lists them."""

import time
from typing import Any, Final

import orjson

from gateway.upstream import Upstream
from services.runtime.http_client import CallFailed
from services.wire.events import Code, Failed, Refused

FRESH_S: Final = 10.0
"""A list is believed for so long: models come and go by hand."""
_UNREACHED: Final = Failed(Code.UPSTREAM_UNAVAILABLE, "AI unavailable. No model server answers; ask again later.")


class Catalog:
    """The models, asked for when they are needed and kept for ten seconds.

    Args:
        default_model: the operator's choice for requests that name none; "" = the first listed that can chat.
    """

    def __init__(self, upstream: Upstream, default_model: str) -> None:
        self._upstream = upstream
        self._default_model = default_model
        self._listed: list[dict[str, Any]] = []
        self._listed_at = -FRESH_S

    async def default(self) -> str:
        """Return the model that is meant when none is named.

        Raises:
            Refused: there is none.
        """
        if self._default_model:
            return self._default_model
        chosen = next((model["name"] for model in await self.models() if _can_chat(model)), None)
        if chosen is None:
            raise Refused(Failed(Code.MODEL_NOT_FOUND, "No model that can chat is installed; name one in `model`."))
        return str(chosen)

    async def models(self) -> list[dict[str, Any]]:
        """Return what is listed, in the model server's order and fields.

        Raises:
            Refused: nobody answers, and what was listed is too old.
        """
        if time.monotonic() - self._listed_at >= FRESH_S:
            listed = await self._ask("/api/tags")
            if listed is None:
                raise Refused(_UNREACHED)
            self._listed, self._listed_at = listed, time.monotonic()
        return self._listed

    async def page(self) -> dict[str, Any]:
        """Return the answer of ``GET /api/models``.

        Raises:
            Refused: nobody answers.
        """
        models = await self.models()
        loaded = {model["name"] for model in await self._ask("/api/ps") or []}
        default = self._default_model or next((model["name"] for model in models if _can_chat(model)), None)
        return {"models": [_shown(model, loaded, default) for model in models]}

    async def names(self) -> list[str]:
        """Return the names, for labels; empty when nobody answers."""
        try:
            return [model["name"] for model in await self.models()]
        except Refused:
            return []

    async def _ask(self, path: str) -> list[dict[str, Any]] | None:
        try:
            answer = await self._upstream.read(path)
            listed = orjson.loads(answer.body) if answer.status == 200 else None
        except (CallFailed, orjson.JSONDecodeError):
            return None
        models = listed.get("models") if isinstance(listed, dict) else None
        if not isinstance(models, list):
            return None
        return [model for model in models if isinstance(model, dict) and isinstance(model.get("name"), str)]


def _can_chat(model: dict[str, Any]) -> bool:
    capabilities = model.get("capabilities")
    return not isinstance(capabilities, list) or "completion" in capabilities


def _shown(model: dict[str, Any], loaded: set[str], default: str | None) -> dict[str, Any]:
    details = model.get("details")
    return {
        "name": model["name"],
        "size": model.get("size"),
        "family": details.get("family") if isinstance(details, dict) else None,
        "capabilities": model.get("capabilities", []),
        "loaded": model["name"] in loaded,
        "default": model["name"] == default,
    }
