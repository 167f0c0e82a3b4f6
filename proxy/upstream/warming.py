"""Loads models in the background that were asked for while they were not in memory: else they would never be."""

import asyncio
from typing import Any

import structlog

from proxy.upstream.transport import Transport
from services.http.client import TransportError
from services.runtime.tasks import Tasks

log = structlog.get_logger()


class Warming:
    """The loads of one model server, one at a time: two would drive each other out."""

    def __init__(self, transport: Transport, tasks: Tasks) -> None:
        self._transport = transport
        self._tasks = tasks
        self._loading: asyncio.Task[Any] | None = None

    def begin(self, model: str) -> None:
        """Load ``model``, unless a load is under way."""
        if self._loading is None or self._loading.done():
            self._loading = self._tasks.spawn(self._load(model), "warming")

    async def _load(self, model: str) -> None:
        try:
            await self._transport.load(model)
        except TransportError as exc:
            log.warning("model.not_loaded", how=exc.how)
