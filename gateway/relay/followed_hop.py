"""The hop that is read for one client: watched for silence, and followed again when it breaks, once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.relay.hop import BytesCarrier, Hop
from services.http.connection import ResponseEnd
from services.runtime.watchdog import Watchdog

HEARTBEATS_MISSED: Final = 3
"""So many of the hop's heartbeats without a byte, and the hop is taken for broken."""
LAST_CHUNK_S: Final = 1.0
"""How long a hop may take to end its body after the terminal frame; its connection can be kept if it does."""


class FollowedHop:
    """One hop at a time.

    Args:
        on_bytes: handed what it brings, in the callback that brought it.
        on_over: told that it is over: ended, broken or silent.
        again: follows the stream again after a number; None when it cannot be had.

    Attributes:
        heard_at: when it last brought something; whoever is handed bytes notes it, which spares a call a token.
    """

    def __init__(
        self,
        on_bytes: BytesCarrier,
        on_over: Callable[[], None],
        again: Callable[[int], Awaitable[Hop | None]],
    ) -> None:
        self._on_bytes = on_bytes
        self._on_over = on_over
        self._again = again
        self._hop: Hop | None = None
        self._silence_s = 0.0
        self._is_paused = False
        self._watchdog = Watchdog(self._check_idle_timeout)
        self.heard_at = time.monotonic()
        self.is_over = False
        self.was_followed_again = False

    def attach(self, hop: Hop) -> None:
        """Read ``hop`` from now on, first what it has brought already."""
        self._silence_s = HEARTBEATS_MISSED * _seconds(hop.headers.get("sluice-heartbeat", ""))
        self._hop, self.is_over = hop, False
        self.heard_at = time.monotonic()
        hop.carry(self._on_bytes, self._ended)
        self._watchdog.start()
        if hop.call is not None and not self._is_paused:
            hop.call.resume()

    def pause(self) -> None:
        """Read no more for now (backpressure): its silence is not judged meanwhile."""
        self._is_paused = True
        if self._hop is not None and self._hop.call is not None:
            self._hop.call.pause()

    def resume(self) -> None:
        """Read again."""
        self._is_paused, self.heard_at = False, time.monotonic()
        if self._hop is not None and self._hop.call is not None:
            self._hop.call.resume()

    def break_off(self) -> None:
        """Give it up: it is silent, or brought what no proxy writes."""
        if self._hop is not None:
            self._hop.abort()
        self._ended()

    async def follow_again(self, number: int) -> bool:
        """Follow the stream after ``number`` by another hop; False if that was done before, or it cannot be had."""
        hop = None if self.was_followed_again else await self._again(number)
        self.was_followed_again = True
        if hop is not None:
            self.attach(hop)
        return hop is not None

    async def let_end(self) -> None:
        """Wait a moment for the end of its body: nothing more is due, and its silence means nothing."""
        self._watchdog.stop()
        if self._hop is not None and self._hop.call is not None and not self._hop.call.released.done():
            await asyncio.wait([self._hop.call.released], timeout=LAST_CHUNK_S)

    def close(self) -> None:
        """Close it, and let go of who was told: they hold this, too. Harmless when it is closed."""
        self._watchdog.stop()
        if self._hop is not None:
            self._hop.abort()
        self._hop, self._on_bytes, self._on_over, self._again = None, _to_nobody, _told_nobody, _not_again

    def _ended(self, _end: ResponseEnd | None = None) -> None:
        self.is_over = True
        self._on_over()

    def _check_idle_timeout(self, now: float) -> float | None:
        """The one timer of a relay: is the hop silent while we read it?"""
        if self.is_over:
            return None
        if self._is_paused:
            return now + self._silence_s
        due = self.heard_at + self._silence_s
        if now >= due:
            self.break_off()
            return None
        return due


def _to_nobody(_data: bytes, _framed: bytes = b"") -> None:
    """Take what comes behind the end."""


def _told_nobody() -> None:
    """Nobody waits any more."""


async def _not_again(_number: int) -> None:
    """Nothing is followed any more."""


def _seconds(text: str) -> float:
    try:
        return min(max(0.05, float(text)), 60.0)  # in this order NaN is 0.05
    except ValueError:
        return 10.0
