"""What a model can do, where the list of models may not say it all."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.relay.proxies import Proxies
from services.http.client import TransportError
from services.wire.model_names import ListedModel, shown_capabilities

MODELS_AT_ONCE: Final = 8
"""Looked at by one call of :meth:`Capabilities.learn`: a server with hundreds of them is not asked for all at once."""
RETRY_S: Final = 60.0
"""A model that could not be looked at is asked about again after so long."""


class Capabilities:
    """Looks once at each model whose list says ``completion`` alone, or nothing.

    It may do more than such a list says, and ``/api/show`` reads the file that knows. What was learnt belongs to a
    digest, and is kept as long as that is listed.
    """

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._learnt: dict[str, tuple[str, ...]] = {}
        self._failed_at: dict[str, float] = {}
        self._asking = asyncio.Lock()  # who comes meanwhile waits for that answer, and asks nobody

    async def learn(self, models: Sequence[ListedModel]) -> None:
        """Look at those of ``models`` that nobody has looked at; one that cannot be is as its list says."""
        async with self._asking:
            self._forget_all_but({model.digest for model in models if model.digest})
            unknown = [model for model in models if self._is_due(model)][:MODELS_AT_ONCE]
            await asyncio.gather(*(self._look_at(model) for model in unknown))

    def of(self, model: ListedModel) -> list[str]:
        """Return what ``model`` can do, as far as it is known."""
        return list(self._learnt.get(model.digest or "") or model.capabilities or ())

    def _is_due(self, model: ListedModel) -> bool:
        if model.digest is None or model.digest in self._learnt or not model.may_do_more:
            return False
        failed_at = self._failed_at.get(model.digest)
        return failed_at is None or time.monotonic() - failed_at >= RETRY_S

    async def _look_at(self, model: ListedModel) -> None:
        assert model.digest is not None
        try:
            answer = await self._proxies.show(model.name)
        except TransportError:
            answer = None
        shown = shown_capabilities(answer.body) if answer is not None and answer.status == 200 else None
        if shown is None:
            self._failed_at[model.digest] = time.monotonic()
        else:
            self._learnt[model.digest] = shown

    def _forget_all_but(self, digests: Iterable[str]) -> None:
        listed = set(digests)
        for known in (self._learnt, self._failed_at):
            for digest in known.keys() - listed:
                del known[digest]
