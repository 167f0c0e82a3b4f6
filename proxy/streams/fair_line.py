"""Who waits, in the order in which they are served: round robin over owners, first come first served within one. Pure.

An owner's turn is over when the next one is to be chosen, not when it is served: who comes during its answer is before
it then. So forty requests of one person delay another by one answer at most, and nobody waits for ever: whoever comes
after somebody else was served stands behind those who wait.
Refused: the least served first, which lets newcomers without end pass by who has waited long.

Before all of them, and among themselves first come first served, are those whose answer has begun already: nobody's
turn is shorter for it, since theirs was counted when they were let in first.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class FairLine(Generic[Waiter]):
    """The waiters of each owner; iterate it for all of them, who is served next first."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Waiter]] = OrderedDict()
        self._served: str | None = None  # whose turn it is: behind all others, once somebody has to be chosen
        self._waiting = 0
        self._begun: deque[Waiter] = deque()  # before everybody else

    def __len__(self) -> int:
        return self._waiting  # kept: a scrape's thread asks, too

    def __iter__(self) -> Iterator[Waiter]:
        rounds = zip_longest(*(self._queues[owner] for owner in self._turns()))
        return chain(self._begun, (waiter for one_each in rounds for waiter in one_each if waiter is not None))

    def served(self, owner: str) -> None:
        """Note that ``owner`` is served without having waited."""
        self._served = owner

    def enter(self, owner: str, waiter: Waiter) -> None:
        """Let ``waiter`` stand behind those of its owner."""
        self._queues.setdefault(owner, deque()).append(waiter)
        self._waiting += 1

    def enter_first(self, waiter: Waiter) -> None:
        """Let ``waiter`` stand before all whose answer has not begun."""
        self._begun.append(waiter)
        self._waiting += 1

    def leave(self, owner: str, waiter: Waiter) -> bool:
        """Let ``waiter`` go; False if it is not here."""
        if waiter in self._begun:
            self._begun.remove(waiter)
            self._waiting -= 1
            return True
        queue = self._queues.get(owner, ())
        if waiter not in queue:
            return False
        self._queues[owner].remove(waiter)
        self._one_less(owner)
        return True

    def next(self) -> Waiter:
        """Take out who is served next; there must be one."""
        if self._begun:
            self._waiting -= 1
            return self._begun.popleft()
        if self._served is not None and self._served in self._queues:
            self._queues.move_to_end(self._served)
        self._served = owner = next(iter(self._queues))
        waiter = self._queues[owner].popleft()
        self._one_less(owner)
        return waiter

    def position_of_new(self, owner: str) -> int:
        """Return the position, from 1, that one more waiter of ``owner`` would have."""
        turns, mine = self._turns(), len(self._queues.get(owner, ()))
        newest = len(turns) - (self._served in self._queues)  # before whose turn it is
        turn = turns.index(owner) if owner in turns else newest
        before = (min(len(self._queues[one]), mine + (at < turn)) for at, one in enumerate(turns) if one != owner)
        return len(self._begun) + sum(before) + mine + 1

    def greediest_but(self, owner: str) -> Waiter | None:
        """Return the last waiter of who has most, if ``owner`` would still have fewer with one more; else None."""
        most: Sequence[Waiter] = max(self._queues.values(), key=len, default=())
        return most[-1] if len(most) > len(self._queues.get(owner, ())) + 1 else None

    def _turns(self) -> list[str]:
        """Return the owners in the order in which they are served next."""
        return sorted(self._queues, key=lambda owner: owner == self._served)  # stable: the others keep their order

    def _one_less(self, owner: str) -> None:
        self._waiting -= 1
        if not self._queues[owner]:
            del self._queues[owner]
