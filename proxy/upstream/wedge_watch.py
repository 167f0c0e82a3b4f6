"""Notices a wedged model, says so, and unloads it where that is allowed; wedge.py says what one is."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from proxy.providers.adapter import AttemptFailed
from proxy.upstream.call import UpstreamCall
from proxy.upstream.condition import Condition
from proxy.upstream.models import Loaded, loaded_models
from proxy.upstream.transport import Transport
from proxy.upstream.wedge import FLOOR_S, Wedges
from services.http.client import TransportError
from services.runtime.tasks import Tasks
from services.wire.events import Code, Failed, Stage
from services.wire.model_names import canonical

log = structlog.get_logger()

UNLOADED_WITHIN_S: Final = 10.0
"""How long an unload may take until ``/api/ps`` shows it: 0.3 s were measured."""
LOOK_S: Final = 0.1
WEDGED: Final = AttemptFailed(
    Failed(Code.UPSTREAM_TIMEOUT, "The model server gave no first token in time.", stage=Stage.FIRST_TOKEN),
    "wedged",
    wait_s=0.0,
)
"""The outcome of a call that is closed so that its model can be unloaded: it showed nothing, and is repeated."""


class WedgeWatch:
    """Follows the calls of a model server's models.

    Args:
        changed: told the names of all wedged models, whenever there is one more or less.
        cures: whether a wedged model is unloaded.
        floor_s: no shorter wait is suspicious.
        condition: of the server: which of its models hang without having lost a permit.
    """

    def __init__(
        self,
        transport: Transport,
        tasks: Tasks,
        *,
        changed: Callable[[Sequence[str]], None],
        cures: bool = False,
        floor_s: float = FLOOR_S,
        condition: Condition | None = None,
    ) -> None:
        self._transport = transport
        self._tasks = tasks
        self._changed = changed
        self._cures = cures
        self._wedges = Wedges(floor_s=floor_s)
        self._condition = condition or Condition()
        self._calls: dict[UpstreamCall, str] = {}
        self._unloading: dict[str, asyncio.Task[Any]] = {}
        self._told: list[str] = []

    @property
    def names(self) -> list[str]:
        """The models that answer nobody now, by canonical name."""
        return list(dict.fromkeys([*self._wedges.names, *self._condition.hung]))

    def began(self, model: str, call: UpstreamCall) -> None:
        """A call of ``model`` was made."""
        self._wedges.began(canonical(model), call)
        self._calls[call] = model

    def ended(self, call: UpstreamCall) -> None:
        """A call is over."""
        self._wedges.ended(canonical(self._calls.pop(call)), call, closed_early=call.is_closed_early)
        self._tell()

    def looked(self, loaded: Loaded) -> None:
        """``/api/ps`` was looked at; None where it did not answer, which says nothing about any model."""
        if loaded is None:
            return
        now = time.monotonic()
        for name in self._wedges.look(loaded, now):
            self._say(name)
        for name, since in tuple(self._condition.hung.items()):
            if not self._wedges.is_silent_since(name, since):  # it goes on with an answer, or was unloaded
                del self._condition.hung[name]
        self._tell()
        for name in self._wedges.names if self._cures else ():
            if waiting := self._waiting(name):
                self._cure(name, self._calls[waiting[0]], now)  # as somebody asked: it knows that spelling

    def absent_at(self, model: str) -> float:
        """Return when ``model`` was last seen not to be in memory; long ago where it never was."""
        return self._wedges.absent_at(canonical(model))

    def is_silent_since(self, model: str, moment: float) -> bool:
        """Return whether ``model`` was in memory ever since ``moment``, and gave content to nobody."""
        return self._wedges.is_silent_since(canonical(model), moment)

    def hangs(self, model: str) -> None:
        """A call of ``model`` waited all its time, and the model was silent."""
        name = canonical(model)
        self._condition.hangs(name, time.monotonic())
        if name not in self._told:
            self._say(name)
        self._tell()
        if self._cures and name not in self._unloading:
            self._cure(name, model, time.monotonic(), gave_up=True)

    async def unloaded(self, model: str) -> None:
        """Return when ``model`` is not being unloaded: a call that came between would keep it as it is."""
        if (unloading := self._unloading.get(canonical(model))) is not None:
            await asyncio.wait([unloading])

    def _cure(self, name: str, model: str, now: float, *, gave_up: bool = False) -> None:
        """Unload a model, unless that was done for it within the last minutes: where it does not heal it only costs."""
        if not self._wedges.take_unload(name, now, gave_up=gave_up):
            return
        for call in self._waiting(name):  # now: in the next turn one of them may have an answer
            call.give_up(WEDGED)
        self._unloading[name] = self._tasks.spawn(self._unload(name, model), "unload")

    def _say(self, name: str) -> None:
        log.warning("model.wedged", model=name, waiting=len(self._wedges.waiting(name)), cure=self._cures)

    def _waiting(self, name: str) -> list[UpstreamCall]:
        return [call for call in self._calls_of(name) if call.outcome is None and not call.has_content]

    def _tell(self) -> None:
        if (names := self.names) != self._told:
            self._told = names
            self._changed(names)

    def _calls_of(self, name: str) -> list[UpstreamCall]:
        return [call for call, model in self._calls.items() if canonical(model) == name]

    async def _unload(self, name: str, model: str) -> None:
        """Unload a model whose waiting calls are being closed, for one in use is not unloaded."""
        try:
            await self._transport.unload(model)
            async with asyncio.timeout(UNLOADED_WITHIN_S):
                loaded = await self._absent(name)
            self.looked(loaded)
            log.info("model.unloaded", model=name)
        except (TransportError, TimeoutError):
            log.warning("model.not_unloaded", model=name)
        finally:
            del self._unloading[name]

    async def _absent(self, name: str) -> Loaded:
        """Ask until the model server lists the model no more, and return what it lists then."""
        while True:
            loaded = await loaded_models(self._transport)
            if loaded is not None and name not in loaded:
                return loaded
            await asyncio.sleep(LOOK_S)
