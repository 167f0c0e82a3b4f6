"""Who follows a stream, who has left it, and what that means for the answer: the rule of cancellation. Pure.

    a follower's connection is over, without a word      -> Presence.vanished -> Meaning
    a gateway says that its client left on purpose       -> Presence.departed -> Meaning

| who is left | and the answer | what it means |
|---|---|---|
| another follower | whatever | GO_ON |
| nobody | is over | KEEP its log for a replay |
| nobody | is a direct client's | STOP |
| nobody | was begun by a follower that left before it knew the stream's id: nobody can come back | STOP |
| nobody | is a `cancel` one, and its gateway said so | STOP |
| nobody | else | WAIT for another follower: the client may come back through another gateway |
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, Generic, Protocol, TypeVar

from proxy.streams.caller import Leave

MAX_FOLLOWERS: Final = 8
"""Tabs and devices of one person; more is a loop."""
GONE_MAX: Final = 64
"""Names kept of followers that left: a gateway's word about one comes within milliseconds."""


class TooManyFollowers(Exception):
    """One stream is followed by at most MAX_FOLLOWERS."""


class Meaning(Enum):
    """What somebody's leaving means for the answer."""

    GO_ON = auto()  # somebody still reads it
    KEEP = auto()  # it is over: hold its log for a replay
    STOP = auto()  # cancel it now
    WAIT = auto()  # go on for the leave time, then abandon it


class Reader(Protocol):
    """What is asked of a follower here."""

    @property
    def name(self) -> str:
        """What its gateway calls it; "" for a direct client."""

    @property
    def began(self) -> bool:
        """Whether it is the one that started the stream."""

    @property
    def knows_the_stream(self) -> bool:
        """Whether it has an id to come back with."""


R = TypeVar("R", bound=Reader)


class Presence(Generic[R]):
    """The followers of one stream, and what it means when they leave.

    Args:
        leave: what the leaving of the last one means, as its caller said at the start.
    """

    def __init__(self, leave: Leave) -> None:
        self._leave = leave
        self._here: list[R] = []
        self._gone: dict[str, bool] = {}  # who vanished without a word, and whether each began the stream

    def __iter__(self) -> Iterator[R]:
        """Everybody who follows now; who leaves meanwhile is still told."""
        return iter(tuple(self._here))

    def __len__(self) -> int:
        """How many follow now."""
        return len(self._here)

    def __contains__(self, reader: object) -> bool:
        """Whether it follows now."""
        return reader in self._here

    def refuse_more(self) -> None:
        """Refuse one more follower.

        Raises:
            TooManyFollowers: there are MAX_FOLLOWERS.
        """
        if len(self._here) >= MAX_FOLLOWERS:
            raise TooManyFollowers

    def came(self, reader: R) -> None:
        """Somebody follows from now on."""
        self._here.append(reader)

    def vanished(self, reader: R, *, over: bool) -> Meaning:
        """A follower's connection is over, without a word from its gateway so far; harmless when repeated.

        Args:
            over: whether the stream has its terminal event.
        """
        if reader not in self._here:
            return Meaning.GO_ON
        self._note_gone(reader)
        nobody_can_come_back = reader.began and not reader.knows_the_stream
        return self._meaning(over=over, stops=self._leave is Leave.DIRECT or nobody_can_come_back)

    def departed(self, name: str, *, unseen: bool, over: bool) -> Meaning:
        """A gateway says that this follower left on purpose, before or after its connection was over.

        Args:
            unseen: its client never got the headers, so nobody can come back to a stream that it began.
            over: whether the stream has its terminal event.
        """
        reader = self.named(name)
        if reader is not None:
            self._note_gone(reader)
            unseen = unseen or not reader.knows_the_stream
        nobody_can_come_back = unseen and self._gone.get(name, False)
        return self._meaning(over=over, stops=self._leave is not Leave.CONTINUE or nobody_can_come_back)

    def named(self, name: str) -> R | None:
        """Return the follower of that name, if it is still here."""
        return next((one for one in self._here if one.name == name), None)

    def _meaning(self, *, over: bool, stops: bool) -> Meaning:
        if self._here:
            return Meaning.GO_ON
        if over:
            return Meaning.KEEP
        return Meaning.STOP if stops else Meaning.WAIT

    def _note_gone(self, reader: R) -> None:
        self._here.remove(reader)
        self._gone[reader.name] = reader.began
        if len(self._gone) > GONE_MAX:
            del self._gone[next(iter(self._gone))]
