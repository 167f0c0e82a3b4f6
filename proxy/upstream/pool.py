"""Which of several equal servers is asked: where the model is, where it fits, where the least is under way. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

Server = TypeVar("Server")


Reluctance = Literal["", "cold", "hung"]
RELUCTANCES: Final[Sequence[Reluctance]] = ("", "cold", "hung")
"""Who is asked before whom."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a server now, for one model.

    Attributes:
        passed_by: why it is not asked (a word of ``fallback.CODES``); "" where it may be.
        wait_s: after how many seconds it may be; None where it may, or nobody knows.
        asked_last: why it is asked only when no other is left (likewise): ``cold``, or ``hung``, it answers nobody.
        may_repeat: whether it may be asked again what it failed to answer.
        lists: whether it has the model; None where it was not said.
        is_resident: whether it has the model in memory, or was just asked for it.
        in_flight: calls of this model that run there, of ``permits``.
        loaded_bytes: what its models in memory take, less its memory where that is known.
        evicts: whether loading the model would drive another out of memory.
        evicts_warm: whether that other one is to be kept warm.
    """

    passed_by: str = ""
    wait_s: float | None = None
    asked_last: Reluctance = ""
    may_repeat: bool = True
    lists: bool | None = None
    is_resident: bool = False
    in_flight: int = 0
    permits: int = 1
    loaded_bytes: float = 0.0
    evicts: bool = False
    evicts_warm: bool = False

    @property
    def is_free(self) -> bool:
        """Whether it has a permit."""
        return self.in_flight < self.permits


UNDESCRIBED: Final = Standing()


def chosen(members: Mapping[Server, Standing], chance: float) -> Server:
    """Return the member of a pool that is asked.

    Where the model is in memory and a permit is free: of two drawn at random the one with less under way, since the
    one with the least of all would be everybody's choice at once. Else where it would drive nothing out, and least is
    loaded; last where the shortest line is.

    Args:
        members: those that may be asked, at least one.
        chance: a random number in [0, 1).
    """
    if len(members) == 1:
        return next(iter(members))
    free = {one: standing for one, standing in members.items() if standing.is_free and standing.lists is not False}
    resident = [one for one, standing in free.items() if standing.is_resident]
    if resident:
        return min(_two_of(resident, chance), key=lambda one: free[one].in_flight)
    cold = [one for one, standing in free.items() if not standing.evicts_warm] or list(free)
    if cold:
        return min(cold, key=lambda one: (free[one].evicts, free[one].loaded_bytes))
    listing = [one for one, standing in members.items() if standing.lists is not False] or list(members)
    return min(listing, key=lambda one: members[one].in_flight / members[one].permits)


def _two_of(servers: list[Server], chance: float) -> tuple[Server, ...]:
    """Return two different ones, or the only one, by one random number."""
    count = len(servers)
    if count == 1:
        return (servers[0],)
    drawn = int(chance * count * (count - 1))
    first, second = divmod(drawn, count - 1)
    return servers[first], servers[second + (second >= first)]
