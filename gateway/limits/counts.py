"""What is counted of each principal, by one gateway in its own memory. Pure: time is an argument.

A *lease* is a stream's place among those that its principal may have at once, with the tokens set aside for it. It has
a name: the request's own until the stream has an id, and then that.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.limits.allowance import Allowance, Standing
from gateway.limits.day import Day
from gateway.limits.rate import Rate, arrived


class Limit(StrEnum):
    """What a request can have too much of."""

    RATE = "rate"
    STREAMS = "streams"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request.

    Attributes:
        passed_limit: which limit it would pass; None for a request that is let in.
        tokens: how many it may make, prompt included where the day is nearly used up.
        rate: how its principal stands behind it, where requests a minute are counted.
    """

    passed_limit: Limit | None = None
    tokens: int = 0
    rate: Rate | None = None


class Counts:
    """The counts of all principals; a restart begins them anew."""

    def __init__(self) -> None:
        self._tats: dict[str, float] = {}
        self._leases: dict[str, dict[str, int]] = {}
        self._spent: dict[str, int] = {}
        self._day = ""

    def count(self, owner: str, allowance: Allowance, now: float) -> Verdict:
        """Count one request of ``owner``; ``now`` is in seconds of one clock."""
        per_minute, burst = allowance.requests_per_minute, allowance.burst
        if per_minute is None:
            return Verdict()
        tat = self._tats.get(owner, now)
        after = arrived(tat, now, per_minute, burst)
        if after is None:
            return Verdict(Limit.RATE, rate=Rate.standing(per_minute, burst, tat - now))
        self._tats[owner] = after
        return Verdict(rate=Rate.standing(per_minute, burst, after - now))

    def admit(self, owner: str, allowance: Allowance, lease: str, tokens: int, *, day: Day, now: float) -> Verdict:
        """Count one request, and give it a lease with as many of ``tokens`` as the day has left."""
        counted = self.count(owner, allowance, now)
        if counted.passed_limit is not None:
            return counted
        standing = self.standing(owner, day)
        if allowance.streams is not None and standing.streams >= allowance.streams:
            return Verdict(Limit.STREAMS, rate=counted.rate)
        left = allowance.tokens_left(standing)
        if left is not None and left < 1:
            return Verdict(Limit.TOKENS, rate=counted.rate)
        granted = tokens if left is None else min(tokens, left)
        self._leases.setdefault(owner, {})[lease] = granted
        return Verdict(tokens=granted, rate=counted.rate)

    def standing(self, owner: str, day: Day) -> Standing:
        """Return how ``owner`` stands."""
        leases = self._leases.get(owner, {})
        spent = self._spent.get(owner, 0) if day.name == self._day else 0
        return Standing(spent, sum(leases.values()), len(leases))

    def leases(self) -> list[tuple[str, str, int]]:
        """Return the leases that are held: whose, their names, the tokens set aside with each."""
        return [(owner, *lease) for owner, leases in self._leases.items() for lease in leases.items()]

    def hold(self, owner: str, lease: str, tokens: int = 0) -> None:
        """Let ``owner`` have a lease for a stream that runs, whatever it may have: it is true."""
        self._leases.setdefault(owner, {}).setdefault(lease, tokens)

    def release(self, owner: str, lease: str) -> int:
        """Give a lease back, and return the tokens that were set aside with it; harmless when it is given back."""
        leases = self._leases.get(owner, {})
        tokens = leases.pop(lease, 0)
        if not leases:
            self._leases.pop(owner, None)
        return tokens

    def book(self, owner: str, tokens: int, day: Day) -> None:
        """Take ``tokens`` from the day."""
        if day.name != self._day:
            self._day, self._spent = day.name, {}
        self._spent[owner] = self._spent.get(owner, 0) + tokens

    def forget_idle(self, now: float) -> None:
        """Forget the rates of those who may ask their whole burst again: that is how everybody begins."""
        self._tats = {owner: tat for owner, tat in self._tats.items() if tat > now}
