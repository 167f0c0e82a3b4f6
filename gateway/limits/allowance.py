"""How much a key may ask for. Pure."""

from dataclasses import dataclass
from typing import Final

from gateway.guard.keys import Key

_BURST_S: Final = 2.0
"""Of how many seconds the requests may come at once, where the key says nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands: tokens that are booked of the day and set aside, and streams at once."""

    spent: int = 0
    set_aside: int = 0
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits of one key; None is no limit. ``burst`` is how many requests may come at once."""

    streams: int | None = None
    requests_per_minute: float | None = None
    burst: int = 1
    tokens_per_day: int | None = None

    @classmethod
    def of(cls, key: Key) -> "Allowance":
        """Return what ``key`` allows."""
        burst = key.burst or max(1, int((key.requests_per_minute or 0) * _BURST_S / 60))
        return cls(key.streams, key.requests_per_minute, burst, key.tokens_per_day)

    def tokens_left(self, standing: Standing) -> int | None:
        """Return the tokens that are left of the day, those set aside taken off; None where they are not limited."""
        if self.tokens_per_day is None:
            return None
        return max(0, self.tokens_per_day - standing.spent - standing.set_aside)

    def share(self, gateways: int) -> "Allowance":
        """Return what one of so many gateways may allow while none knows what the others do: at least one of each."""
        return Allowance(
            streams=None if self.streams is None else max(1, self.streams // gateways),
            requests_per_minute=None if self.requests_per_minute is None else self.requests_per_minute / gateways,
            burst=max(1, self.burst // gateways),
            tokens_per_day=None if self.tokens_per_day is None else max(1, self.tokens_per_day // gateways),
        )
