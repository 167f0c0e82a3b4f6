"""What a stream that has no content yet is waiting for: one look at the model server serves all who wait."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from proxy.streams.stream import Stream
from proxy.upstream.models import Loaded, loaded_models
from proxy.upstream.transport import Transport
from services.runtime.tasks import Tasks
from services.wire.events import Phase, Status
from services.wire.model_names import canonical

PERIOD_S: Final = 1.0
_STATUSES: Final = {phase: Status(phase) for phase in (Phase.LOADING, Phase.PREFILL, Phase.WAITING)}


class Progress:
    """Tells streams that wait for their first line whether their model loads or reads their prompt.

    Neither can be seen on the stream: the model server sends nothing before the first token. While anyone waits one
    task asks ``/api/ps``: a model that is absent is loading, one that is there works on the prompt.

    Args:
        looked: told what each look has found.
    """

    def __init__(self, transport: Transport, tasks: Tasks, looked: Callable[[Loaded], None]) -> None:
        self._transport = transport
        self._tasks = tasks
        self._looked = looked
        self._waiting: set[Stream] = set()
        self._asking: asyncio.Task[Any] | None = None

    def watch(self, stream: Stream) -> None:
        """Show ``stream`` its phase from now on."""
        self._waiting.add(stream)
        if self._asking is None or self._asking.done():
            self._asking = self._tasks.spawn(self._ask(), "progress")

    def forget(self, stream: Stream) -> None:
        """Its first line is here, or its end."""
        self._waiting.discard(stream)

    async def _ask(self) -> None:
        while self._waiting:
            loaded = await loaded_models(self._transport)
            shown: dict[str, Status] = {}  # of each model: a look is shown to all who wait for it
            for stream in tuple(self._waiting):
                model = stream.served_model
                if model not in shown:
                    shown[model] = _STATUSES[_phase(model, loaded)]
                self._show(stream, shown[model])
            self._looked(loaded)
            await asyncio.sleep(PERIOD_S)

    def _show(self, stream: Stream, status: Status) -> None:
        if stream.log.chunks or stream.log.end is not None:
            self._waiting.discard(stream)
        elif status is not stream.status:  # as it is, in nearly every look
            stream.show(status)


def _phase(model: str, loaded: Loaded) -> Phase:
    if loaded is None:
        return Phase.WAITING
    return Phase.PREFILL if canonical(model) in loaded else Phase.LOADING
