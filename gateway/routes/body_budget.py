"""How much of large bodies is held while they are being read."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from services.wire.events import ApiError, Code, Failed

MOST_BYTES: Final = 64 << 20
"""Four of the longest: agents send the whole conversation each time, pictures included, but seldom at once."""
RETRY_AFTER_S: Final = 2
_FULL: Final = Failed(Code.OVERLOADED, "Too many large requests are being read here. Ask again in a moment.")


class BodyBudget:
    """What may be held of bodies that are not whole yet, all together."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._left = most_bytes

    @contextlib.contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        """Give who reads a body what to call with the size of each piece; it raises where there is no more room.

        Raises:
            ApiError: by what it gives: 503.
        """
        held = 0

        def came(size: int) -> None:
            nonlocal held
            if size > self._left:
                raise ApiError(_FULL, retry_after_s=RETRY_AFTER_S)
            self._left -= size
            held += size

        try:
            yield came
        finally:
            self._left += held
