"""One answer being produced: its log, its followers, and what it means when they leave."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from proxy.dialects.dialect import Dialect
from proxy.follower import Follower
from proxy.providers.adapter import LastWord
from proxy.stream_log import StreamLog
from proxy.timeline import Timeline
from services.wire.chat import ModelRequest
from services.wire.events import ConnectionEnd, Failed, Finished, FinishReason, ServedBy, Started, Status, Terminal

MAX_FOLLOWERS: Final = 8
"""Tabs and devices of one person; more is a loop."""
GONE_MAX: Final = 64
"""Names kept of followers that left: a gateway's word about one comes within milliseconds."""
STATUS_PERIOD_S: Final = 1.0
COMMIT_S: Final = 1.0
"""How long a failure may still become an HTTP status."""
CANCEL_GRACE_S: Final = 5.0
"""How long a `cancel` stream waits when its gateway vanished without a word: its client may come through another."""


_STOPPED: Final = frozenset({FinishReason.CANCELLED, FinishReason.ABANDONED})


class Leave(StrEnum):
    """What it means when the last follower leaves."""

    DIRECT = "direct"  # a direct client: the stream stops at once
    CANCEL = "cancel"  # stops when its gateway says so
    CONTINUE = "continue"  # goes on for the grace


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a gateway's word for its client, or a direct client.

    ``key`` is the client's Idempotency-Key, "" if it has none.
    """

    request_id: str
    owner: str
    leave: Leave
    follower: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a stream waits, in seconds: for a follower (by what leaving means), and for a replay once finished."""

    grace_s: float
    keep_s: float

    def unfollowed_s(self, leave: Leave) -> float:
        """Return how long a stream goes on while nobody follows it."""
        return {Leave.DIRECT: 0.0, Leave.CANCEL: CANCEL_GRACE_S, Leave.CONTINUE: self.grace_s}[leave]


class TooManyFollowers(Exception):
    """One stream is followed by at most MAX_FOLLOWERS."""


class Stream:
    """A stream from its acceptance until it is forgotten.

    ``committed`` and ``speaking`` resolve when headers may leave, of an event stream and of Ollama's shapes; with False
    when the stream has failed before, so that the failure is an HTTP status.

    Args:
        forget: told when a finished stream need not be replayed any more.
        grew: told by how many bytes the log has grown.
    """

    def __init__(
        self,
        stream_id: str,
        caller: Caller,
        request: ModelRequest,
        *,
        stream_log: StreamLog,
        timeline: Timeline,
        lifetimes: Lifetimes,
        provider: str,
        forget: Callable[["Stream"], None],
        grew: Callable[[int], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        assert request.model is not None
        self.id = stream_id
        self.caller = caller
        self.request = request
        self.fingerprint = request.fingerprint if caller.key else b""
        self.model: str = request.model
        self.log = stream_log
        self.timeline = timeline
        self.provider = provider
        self.attempts = 0
        self.skipped_lines = 0
        self.last_word: LastWord | None = None
        self.retry_after_s: float | None = None  # what the model server asked for when it refused
        self.status: Status | None = None
        self.followers: list[Follower] = []
        self.stopped_at: float | None = None
        self.committed: asyncio.Future[bool] = loop.create_future()
        self.speaking: asyncio.Future[bool] = loop.create_future()
        self.released: asyncio.Future[None] = loop.create_future()
        self._lifetimes = lifetimes
        self._forget = forget
        self._grew = grew
        self._counted_bytes = 0
        self._abort: Callable[[], None] = _nothing
        self._timer: asyncio.TimerHandle | None = None  # one at a time: grace, then keep
        self._status_timer: asyncio.TimerHandle | None = None
        self._status_shown_at = -STATUS_PERIOD_S
        self._commit_timer = loop.call_later(COMMIT_S, self.commit)
        self._gone: dict[str, bool] = {}  # followers that vanished without a word, and whether each began the stream
        self.log.kept_after = 0
        self.log.append(Started(stream_id, self.model, lifetimes.unfollowed_s(caller.leave)))

    def produced_by(self, abort: Callable[[], None]) -> None:
        """Name the producer's way to stop."""
        self._abort = abort

    # --- what the producer does

    def deliver(self) -> None:
        """Hand what is new in the log to every live follower, in this tick."""
        on_their_way = False
        for follower in tuple(self.followers):
            follower.push()
            on_their_way = on_their_way or follower.is_on_its_way
        if not on_their_way:
            self.log.delivered()
        grown = self.log.size - self._counted_bytes
        self._counted_bytes = self.log.size
        self._grew(grown)

    def note_written(self) -> None:
        """A reader's socket has what the log holds: with the first content, that moment is kept."""
        if self.timeline.first_written is None and self.log.chunks:
            self.timeline.first_written = time.monotonic()

    @property
    def is_read_live(self) -> bool:
        """Whether a follower has all that there is."""
        return any(follower.position == self.log.last for follower in self.followers)

    def show(self, status: Status) -> None:
        """Say what the stream waits for: at most once a second, and the newest word always gets out."""
        self.status = status
        if self._status_timer is None:
            loop = asyncio.get_running_loop()
            due = max(loop.time(), self._status_shown_at + STATUS_PERIOD_S)
            self._status_timer = loop.call_at(due, self._show_now)

    def content_began(self) -> None:
        """The first content is here: nothing is waited for any more, and the headers may leave."""
        self._hide_status()
        self._settle(self.speaking, good=True)
        self.commit()

    def commit(self) -> None:
        """From now on a failure is an event, not an HTTP status."""
        self._commit_timer.cancel()
        self._settle(self.committed, good=True)

    def finish(self, end: LastWord | Failed | FinishReason) -> bool:
        """Append the terminal event and hand it on in this tick; False if there was one already."""
        if self.log.end is not None:
            return False
        self.timeline.ended = time.monotonic()
        self._hide_status()
        self.log.append(self._terminal(end))
        self._commit_timer.cancel()
        for ready in (self.committed, self.speaking):
            self._settle(ready, good=not isinstance(end, Failed))
        self.deliver()
        self.timeline.last_written = time.monotonic()
        if not self.followers:
            self._keep()
        return True

    def stop(self, reason: FinishReason) -> None:
        """End the answer by decision: the terminal event first, then the upstream call. Harmless when it is over."""
        if self.finish(reason):
            self.stopped_at = self.timeline.ended
        self._abort()

    def fail(self, failed: Failed) -> None:
        """End the answer by a failure that is not the model server's, and its upstream call."""
        self.finish(failed)
        self._abort()

    def producer_ended(self) -> None:
        """The upstream connection is closed and the permit given back; what was asked, megabytes perhaps, is let go."""
        self.request = replace(self.request, body={})
        self._abort = _nothing
        if not self.released.done():
            self.released.set_result(None)

    # --- followers

    def join(self, dialect: Dialect, *, name: str, position: int, began: bool = False) -> Follower:
        """Add a follower that has ``position`` already.

        Raises:
            TooManyFollowers: there are MAX_FOLLOWERS.
        """
        if len(self.followers) >= MAX_FOLLOWERS:
            raise TooManyFollowers
        follower = Follower(self.log, dialect, name=name, position=position, began=began, wrote=self.note_written)
        self.followers.append(follower)
        self._set_timer(None)
        return follower

    def leave(self, follower: Follower) -> None:
        """A follower's connection is over. Without a word from its gateway, whoever comes back in time goes on."""
        if follower not in self.followers:
            return
        self._note_gone(follower)
        if self.followers:
            return
        if self.log.end is not None:
            self._keep()
        elif self.caller.leave is Leave.DIRECT or (follower.began and not follower.knows_the_stream):
            self.stop(FinishReason.CANCELLED)
        else:
            self._wait_for_a_follower()

    def depart(self, name: str, *, unseen: bool) -> None:
        """A gateway says that this follower left on purpose, before or after its connection was over.

        Args:
            unseen: its client never got the headers, so nobody can come back to a stream that it began.
        """
        follower = next((one for one in self.followers if one.name == name), None)
        if follower is not None:
            self._note_gone(follower)
            unseen = unseen or not follower.knows_the_stream
            follower.cut(ConnectionEnd.CLIENT_GONE)
        if self.followers:
            return
        if self.log.end is not None:
            self._keep()
        elif self.caller.leave is not Leave.CONTINUE or (unseen and self._gone.get(name, False)):
            self.stop(FinishReason.CANCELLED)
        else:
            self._wait_for_a_follower()

    @property
    def is_repeatable(self) -> bool:
        """Whether asking for it again may join it: what was stopped or failed has to be made anew."""
        end = self.log.end
        return end is None or (isinstance(end, Finished) and end.reason not in _STOPPED)

    @property
    def state(self) -> str:
        """The word for lists and snapshots: queued, starting, streaming, finished or failed."""
        if self.log.end is not None:
            return "failed" if isinstance(self.log.end, Failed) else "finished"
        if self.log.chunks:
            return "streaming"
        return "starting" if self.timeline.permitted is not None else "queued"

    # --- inside

    def _terminal(self, end: LastWord | Failed | FinishReason) -> Terminal:
        if isinstance(end, Failed):
            return end
        word = self.last_word = end if isinstance(end, LastWord) else None
        usage = word.usage if word else None
        return Finished(
            reason=end.reason if isinstance(end, LastWord) else end,
            usage=usage,
            chunks=self.log.chunks,
            bytes=self.log.text_bytes,
            timing=self.timeline.timing(word, usage),
            served_by=ServedBy(self.provider, self.model, self.attempts) if self.attempts else None,
            skipped_lines=self.skipped_lines,
            last_word=word.fields if word else {},
        )

    def _note_gone(self, follower: Follower) -> None:
        self.followers.remove(follower)
        self._gone[follower.name] = follower.began
        if len(self._gone) > GONE_MAX:
            del self._gone[next(iter(self._gone))]

    @staticmethod
    def _settle(ready: asyncio.Future[bool], *, good: bool) -> None:
        if not ready.done():
            ready.set_result(good)

    def _wait_for_a_follower(self) -> None:
        self._set_timer(self._lifetimes.unfollowed_s(self.caller.leave), self.stop, FinishReason.ABANDONED)

    def _keep(self) -> None:
        self._set_timer(self._lifetimes.keep_s, self._forget, self)

    def _set_timer(self, delay_s: float | None, callback: Callable[..., None] = lambda: None, *args: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if delay_s is None else loop.call_later(delay_s, callback, *args)

    def _show_now(self) -> None:
        self._status_timer = None
        if self.status is not None:
            self._status_shown_at = asyncio.get_running_loop().time()
            for follower in self.followers:
                follower.show(self.status)

    def _hide_status(self) -> None:
        self.status = None
        if self._status_timer is not None:
            self._status_timer.cancel()
            self._status_timer = None


def _nothing() -> None:
    """No producer yet: nothing to stop."""
