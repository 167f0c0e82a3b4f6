"""Which models may be asked for, as the model servers behind the proxies list them."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.relay.proxies import Proxies
from gateway.routes.capabilities import Capabilities
from services.wire.events import ApiError, Code, Failed
from services.wire.model_names import NO_MODEL, ListedModel, canonical, default_model

FRESH_S: Final = 10.0
"""A list is believed for so long: models come and go by hand."""
FRESH_EMPTY_S: Final = 1.0
"""A list without a model to talk to: who was told to install one asks again as soon as it is there."""
_UNREACHED: Final = Failed(Code.UPSTREAM_UNAVAILABLE, "AI unavailable. No model server answers; ask again later.")
_NONE_CHATS: Final = "No installed model can chat. Install one: `ollama pull llama3.2`, or name one in `model`."


Allows = Callable[[str], bool]
"""Whether somebody may ask a model."""


def any_model(_name: str) -> bool:
    """Allow every one."""
    return True


class Catalog:
    """The models, asked for when they are needed and kept for ten seconds.

    Args:
        default_model: the operator's choice for requests that name none; "" = the first listed that can chat, as long
            as it is listed.
    """

    def __init__(self, proxies: Proxies, default_model: str) -> None:
        self._proxies = proxies
        self._capabilities = Capabilities(proxies)
        self._operators_default = default_model
        self._kept: str | None = None  # the default that was chosen
        self._listed: Sequence[ListedModel] = ()
        self._listed_at = -FRESH_S

    async def default(self, allows: Allows = any_model) -> str:
        """Return the model that is meant when none is named, of those that may be asked.

        Raises:
            ApiError: there is none.
        """
        if self._operators_default and allows(self._operators_default):
            return self._operators_default  # without asking anybody
        listed = await self.models()
        default = self._default_of(listed, allows)
        if default is None:
            raise ApiError(Failed(Code.MODEL_NOT_FOUND, _NONE_CHATS if listed else NO_MODEL))
        return default

    async def models(self) -> Sequence[ListedModel]:
        """Return what is listed, in the model server's order.

        Raises:
            ApiError: nobody answers, and what was listed is too old.
        """
        if time.monotonic() - self._listed_at >= (FRESH_EMPTY_S if self._kept is None else FRESH_S):
            listed = await self._proxies.listed("/api/tags")
            if listed is None:
                raise ApiError(_UNREACHED)
            self._listed, self._listed_at = listed, time.monotonic()
            self._kept = default_model(listed, self._kept)
        return self._listed

    async def page(self, allows: Allows = any_model) -> dict[str, Any]:
        """Return the answer of ``GET /api/models``: what may be asked.

        Raises:
            ApiError: nobody answers.
        """
        listed = await self.models()
        await self._capabilities.learn(listed)
        models = [model for model in listed if allows(model.name)]
        loaded = {canonical(model.name) for model in await self._proxies.listed("/api/ps") or ()}
        default = canonical(self._default_of(models, allows) or "")
        return {"models": [self._shown(model, loaded, default) for model in models]}

    async def names(self) -> list[str] | None:
        """Return the names, for labels; None when nobody answers: a list that nobody gave is not an empty one."""
        try:
            return [model.name for model in await self.models()]
        except ApiError:
            return None

    async def lacks(self, name: str, capability: str) -> bool:
        """Return whether a model is known not to be capable of something: what nobody knows, it may be."""
        try:
            listed = await self.models()
        except ApiError:
            return False
        model = next((one for one in listed if canonical(one.name) == canonical(name)), None)
        if model is None:
            return False
        await self._capabilities.learn(listed)
        known = self._capabilities.of(model)
        return bool(known) and capability not in known

    async def learn(self) -> None:
        """Look at the listed models that nobody has looked at, so that who asks for the page need not wait."""
        await self._capabilities.learn(self._listed)

    def _default_of(self, listed: Sequence[ListedModel], allows: Allows) -> str | None:
        """Return the operator's choice, or the first that chats, as far as it may be asked."""
        if self._operators_default and allows(self._operators_default):
            return self._operators_default
        return default_model((model for model in listed if allows(model.name)), self._kept)

    def _shown(self, model: ListedModel, loaded: set[str], default: str) -> dict[str, Any]:
        name = canonical(model.name)
        return {
            "name": model.name,
            "size": model.size,
            "family": model.family,
            "capabilities": self._capabilities.of(model),
            "loaded": name in loaded,
            "default": name == default,
            **({"servers": list(model.servers)} if model.servers else {}),
            **({"simulated": True} if model.is_simulated else {}),
        }
