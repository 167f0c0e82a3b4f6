"""Wait for what must come true, and fail with its name: the one way in which tests wait for somebody else's work."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

WITHIN_S: Final = 5.0  # of one step of a test, on a busy machine
PAUSE_S: Final = 0.005


def eventually(
    condition: Callable[[], Any], what: str = "condition", *, within_s: float = WITHIN_S, pause_s: float = PAUSE_S
) -> Any:
    """Poll until ``condition()`` is true and return it, holding up the thread.

    Args:
        pause_s: between two looks; what takes minutes need not be asked two hundred times a second.

    Raises:
        AssertionError: it is not within ``within_s`` seconds; the message says ``what``.
    """
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(pause_s)
    return result


async def soon(condition: Callable[[], Any], what: str = "condition", *, within_s: float = WITHIN_S) -> Any:
    """Do as :func:`eventually` does while the event loop runs, in which the test's own clients and servers are."""
    deadline = time.monotonic() + within_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(PAUSE_S)
    return result


async def soon_told(ask: Callable[[], Awaitable[Any]], what: str = "answer", *, within_s: float = WITHIN_S) -> Any:
    """Do as :func:`soon` does, for a condition that has to be asked for."""
    deadline = time.monotonic() + within_s
    while not (result := await ask()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(10 * PAUSE_S)
    return result
