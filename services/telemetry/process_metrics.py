"""What a process of ours tells of itself beside the stock statistics: its build, its loop, its pauses for garbage."""

import asyncio
import contextlib
import gc
import time
from typing import Final

from services.runtime.version import REVISION, VERSION
from services.telemetry.families import Families
from services.telemetry.histogram import LAG_BUCKETS_S, BisectHistogram
from services.telemetry.metrics import LoopLag

GENERATIONS: Final = 3


class GcPauses:
    """How long the process stood still for each garbage collection.

    One collection runs at a time, its callbacks included, so that a series has one writer whatever thread it runs in.
    """

    def __init__(self, pauses_s: BisectHistogram) -> None:
        self._by_generation = [pauses_s.child(str(generation)) for generation in range(GENERATIONS)]
        self._began = 0.0

    def start(self) -> None:
        """Begin to measure."""
        gc.callbacks.append(self._called)

    def stop(self) -> None:
        """Measure no more; harmless where nothing was begun."""
        with contextlib.suppress(ValueError):
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._by_generation[info["generation"]].observe(time.perf_counter() - self._began)


class ProcessMetrics:
    """The families of a process, whatever it serves."""

    def __init__(self, families: Families) -> None:
        lag = families.histogram("llm_event_loop_lag_seconds", "how late a 100 ms timer fires", LAG_BUCKETS_S)
        self._loop_lag = LoopLag(lag.child())
        self._tasks = families.gauge("llm_event_loop_tasks", "tasks alive: it comes back to where it was, or one leaks")
        self._gc_pauses = GcPauses(
            families.histogram("python_gc_pause_seconds", "garbage collections", LAG_BUCKETS_S, ("generation",))
        )
        build = families.gauge("llm_build_info", "1, by version", ["version", "revision"])
        build.labels(VERSION, REVISION).set(1)
        self.ready = families.gauge("llm_ready", "1 while /readyz says ready")

    def start(self) -> None:
        """Begin to measure the running event loop and the collector."""
        loop = asyncio.get_running_loop()
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))  # counted by the scrape, in its thread
        self._loop_lag.start()
        self._gc_pauses.start()

    def stop(self) -> None:
        """Measure no more."""
        self._loop_lag.stop()
        self._gc_pauses.stop()
