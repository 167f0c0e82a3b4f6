"""Performs an answer's steps on its exchange: no task and no timer of its own for each token."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from services.simulator.alarms import Alarm, Alarms
from services.simulator.server import Exchange
from services.simulator.steps import End, Steps, Wait, Write

STEPS_A_TURN: Final = 64  # an answer without waits shares the loop with the others


class Player:
    """Plays ``steps`` in time: each wait counts from the moment the one before it was due, so that rates hold.

    Args:
        steps: resumed only when their wait is over and the reader keeps up.
        exchange: what they are played on.
        made: told of lines and tokens as they are made.
        alarms: wakes it.
    """

    def __init__(self, steps: Steps, exchange: Exchange, made: Callable[[int, int], None], alarms: Alarms) -> None:
        self._steps = steps
        self._exchange = exchange
        self._made = made
        self._alarms = alarms
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()
        self._timer: asyncio.Handle | Alarm | None = None
        self._blocked = False
        self.done: asyncio.Future[None] = self._loop.create_future()
        exchange.on_writable = self._unblock

    def start(self) -> None:
        """Perform the first steps now."""
        self._run()

    def stop(self) -> None:
        """Perform no further step."""
        if self._timer is not None:
            self._timer.cancel()
        self._exchange.on_writable = None
        if not self.done.done():
            self.done.cancel()

    def _unblock(self) -> None:
        if self._blocked:
            self._blocked = False
            self._run()

    def _run(self) -> None:
        self._timer = None
        try:
            self._perform()
        except Exception as exc:  # noqa: BLE001 handed to whoever awaits the end
            if not self.done.done():
                self.done.set_exception(exc)

    def _perform(self) -> None:
        for _ in range(STEPS_A_TURN):
            if self._exchange.ended:  # the reader left in this very turn
                return
            if not self._exchange.writable:
                self._blocked = True
                return
            step = next(self._steps)
            if isinstance(step, Write):
                self._write(step)
            elif isinstance(step, End):
                self._exchange.end(step.how)
                self.done.set_result(None)
                return
            elif self._must_wait(step):
                return
        self._timer = self._loop.call_soon(self._run)

    def _write(self, step: Write) -> None:
        if step.lines or step.tokens:
            self._made(step.lines, step.tokens)
        if step.data:
            self._exchange.write(step.data)

    def _must_wait(self, wait: Wait) -> bool:
        """Set the timer for ``wait``; return False if its time has passed already."""
        if wait.seconds == inf:
            return True
        self._due_s += wait.seconds
        if wait.seconds == 0:
            self._timer = self._loop.call_soon(self._run)
        elif self._due_s > self._loop.time():
            self._timer = self._alarms.at(self._due_s, self._run)
        return self._timer is not None
