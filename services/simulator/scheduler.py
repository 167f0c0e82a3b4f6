"""Loading, permits and keep-alive, by Ollama's rules (tests/captures: concurrent_*, max_queue_*).

One load at a time for all models; those behind it wait in one line of bounded length, with which a loaded model has
nothing to do. A loaded model has NUM_PARALLEL permits and a line without bound. Who leaves a line frees its place;
who leaves while loading kills the load, and the next one starts it from zero. Refused: eviction of one model by
another (MAX_LOADED_MODELS), since no test of a reader meets it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf

from services.simulator.replies import QUEUE_FULL
from services.simulator.validation import InvalidRequest


@dataclass(eq=False)
class Runner:
    """A loaded model."""

    model: str
    num_ctx: int
    keep_alive_s: float
    permits: asyncio.Semaphore
    users: int = 0
    loaded: bool = True
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    unload_timer: asyncio.TimerHandle | None = None
    expires_at_s: float = 0.0  # the loop's time; 0 while somebody uses it

    @asynccontextmanager
    async def permit(self, *, can_be_lost: bool) -> AsyncIterator[None]:
        """Wait for a permit and hold it while the block runs.

        Args:
            can_be_lost: whether who leaves inside the block takes it along, as Ollama's #17131 does now and then;
                only another runner, after an unload, has it again.
        """
        await self.permits.acquire()
        lost = False
        try:
            yield
        except asyncio.CancelledError:
            lost = can_be_lost
            raise
        finally:
            if not lost:
                self.permits.release()


class Scheduler:
    """The models in memory, and who may use them.

    Args:
        num_parallel: permits of each loaded model.
        max_queue: how many may wait behind a load.
        keep_alive_s: seconds an idle model stays, unless a request says otherwise; infinity for ever.
    """

    def __init__(self, num_parallel: int, max_queue: int, keep_alive_s: float) -> None:
        self._num_parallel = num_parallel
        self._max_queue = max_queue
        self._keep_alive_s = keep_alive_s
        self._runners: dict[str, Runner] = {}
        self._lane = asyncio.Lock()  # first come, first served
        self._in_lane = 0

    def loaded(self) -> Iterator[tuple[str, int, float]]:
        """Yield name, context and the loop's time of expiry of each loaded model, as /api/ps lists them."""
        now_s = asyncio.get_running_loop().time()
        for runner in self._runners.values():
            yield runner.model, runner.num_ctx, runner.expires_at_s or now_s + runner.keep_alive_s

    @asynccontextmanager
    async def runner(
        self, model: str, num_ctx: int, load_s: float, keep_alive_s: float | None, on_load: Callable[[], None]
    ) -> AsyncIterator[Runner]:
        """Keep ``model`` loaded while the block runs; loading it first takes ``load_s`` seconds.

        Raises:
            InvalidRequest: 503, the line behind the load is full.
        """
        runner = self._fitting(model, num_ctx) or await self._queue_for_load(model, num_ctx, load_s, on_load)
        if keep_alive_s is not None:
            runner.keep_alive_s = keep_alive_s  # for everyone, and for those that say nothing later
        try:
            yield runner
        finally:
            self._release(runner)

    def unload(self, model: str) -> None:
        """Unload ``model`` as soon as nobody uses it."""
        if (runner := self._runners.get(model)) is not None:
            runner.keep_alive_s = 0
            self._expire_if_idle(runner)

    def close(self) -> None:
        """Forget every model."""
        for runner in list(self._runners.values()):
            self._drop(runner)

    def _fitting(self, model: str, num_ctx: int) -> Runner | None:
        """Return the loaded runner, taken, if the request needs no other one."""
        runner = self._runners.get(model)
        if runner is None or runner.num_ctx != num_ctx:
            return None
        runner.users += 1
        runner.idle.clear()
        _cancel_timer(runner)
        return runner

    async def _queue_for_load(self, model: str, num_ctx: int, load_s: float, on_load: Callable[[], None]) -> Runner:
        if self._in_lane > self._max_queue:  # one loads, max_queue wait
            raise InvalidRequest(503, QUEUE_FULL)
        self._in_lane += 1
        try:
            async with self._lane:
                return self._fitting(model, num_ctx) or await self._load(model, num_ctx, load_s, on_load)
        finally:
            self._in_lane -= 1

    async def _load(self, model: str, num_ctx: int, load_s: float, on_load: Callable[[], None]) -> Runner:
        if (other := self._runners.get(model)) is not None:  # loaded with another context: a reload
            await other.idle.wait()
            self._drop(other)
        on_load()
        await asyncio.sleep(load_s)
        permits = asyncio.Semaphore(self._num_parallel)
        self._runners[model] = runner = Runner(model, num_ctx, self._keep_alive_s, permits, users=1)
        return runner

    def _release(self, runner: Runner) -> None:
        runner.users -= 1
        if runner.users == 0:
            runner.idle.set()
            self._expire_if_idle(runner)

    def _expire_if_idle(self, runner: Runner) -> None:
        """Start the keep-alive of a runner that nobody uses; its end unloads."""
        if runner.users or self._runners.get(runner.model) is not runner:
            return
        _cancel_timer(runner)
        if runner.keep_alive_s <= 0:
            self._drop(runner)
        elif runner.keep_alive_s != inf:
            loop = asyncio.get_running_loop()
            runner.expires_at_s = loop.time() + runner.keep_alive_s
            runner.unload_timer = loop.call_at(runner.expires_at_s, self._drop, runner)

    def _drop(self, runner: Runner) -> None:
        _cancel_timer(runner)
        if self._runners.get(runner.model) is runner:
            del self._runners[runner.model]


def _cancel_timer(runner: Runner) -> None:
    if runner.unload_timer is not None:
        runner.unload_timer.cancel()
        runner.unload_timer = None
    runner.expires_at_s = 0.0
