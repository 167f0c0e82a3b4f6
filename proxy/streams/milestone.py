"""A moment of a stream that is reached once, and for which any number of requests may wait."""

import asyncio


class Milestone:
    """Reached well or not; the first word stands. Who is cancelled while it waits takes it from nobody.

    Refused: a future behind ``asyncio.shield``, which wakes its waiter one turn of the loop later; an
    ``asyncio.Event``, whose empty queue of waiters alone holds 600 bytes.
    """

    __slots__ = ("_good", "_waiting")

    def __init__(self) -> None:
        self._good: bool | None = None
        self._waiting: list[asyncio.Future[bool]] | None = None  # most are waited for by nobody

    @property
    def is_reached(self) -> bool:
        """Whether it was reached, well or not."""
        return self._good is not None

    def reach(self, *, good: bool = True) -> None:
        """It is reached, and who waits goes on."""
        if self._good is None:
            self._good = good
            for waiting in self._waiting or ():
                if not waiting.done():  # else it was cancelled in this turn
                    waiting.set_result(good)

    async def reached(self) -> bool:
        """Wait until it is reached, and return whether well."""
        if self._good is not None:
            return self._good
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        everybody = self._waiting = self._waiting or []
        everybody.append(waiting)
        try:
            return await waiting
        finally:
            everybody.remove(waiting)
