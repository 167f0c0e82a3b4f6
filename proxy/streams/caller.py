"""Who asks for a stream, and what their leaving means. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.wire import body_writer
from services.wire.hop import Chat
from services.wire.request import Asked, ModelRequest
from services.wire.trace import Trace

CANCEL_GRACE_S: Final = 5.0
"""How long a `cancel` stream waits when its gateway vanished without a word: its client may come through another."""


class Leave(StrEnum):
    """What it means when the last follower leaves."""

    DIRECT = "direct"  # a direct client: the stream stops at once
    CANCEL = "cancel"  # stops when its gateway says so
    CONTINUE = "continue"  # goes on for the grace


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a gateway's word for its client, or a direct client.

    ``owner`` is whose streams they are, ``line`` as whom they take turns in a waiting line: two, where many are nobody.
    ``key`` is the client's Idempotency-Key, "" if it has none, and ``asked_as`` what tells its request from another
    where its gateway has put a history before it; ``chat`` is None for who comes back by a stream's id.
    """

    request_id: str
    owner: str
    leave: Leave
    follower: str
    key: str = ""
    trace: Trace | None = None
    line: str = ""
    chat: Chat | None = None
    asked_as: str = ""

    def fingerprint(self, asked: Asked[ModelRequest]) -> bytes:
        """Return what tells this request from another under the same key."""
        return bytes.fromhex(self.asked_as) if self.asked_as else body_writer.fingerprint(asked)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a stream waits, in seconds: for a follower (by what leaving means), and for a replay once finished."""

    grace_s: float
    keep_s: float

    def unfollowed_s(self, leave: Leave) -> float:
        """Return how long a stream goes on while nobody follows it."""
        return {Leave.DIRECT: 0.0, Leave.CANCEL: CANCEL_GRACE_S, Leave.CONTINUE: self.grace_s}[leave]
