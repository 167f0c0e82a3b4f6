"""What wakes the one task that waits for it."""

import asyncio


class Wake:
    """Set, it wakes who waits; who waits later, until it is cleared, does not wait. For one task at a time.

    Refused: an ``asyncio.Event``, whose empty queue of waiters alone holds 600 bytes of each waiting stream.
    """

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake who waits, or who waits next."""
        self._is_set = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def clear(self) -> None:
        """Let who waits next wait."""
        self._is_set = False

    async def wait(self) -> None:
        """Return when it is set."""
        if self._is_set:
            return
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None
