"""One answer being produced: the source of truth about it, and who may end it.

A stream lives longer than any request for it. It is made when a request is accepted, and ends when its log has a
terminal event; it is forgotten when nobody can want it any more. Three things happen to it side by side: the producer
appends what the model says, followers come, read and go, and timers run out. All of them run in one event loop, and no
method here awaits, so each is whole before another begins.

| state | it is so | what ends it | its last event |
|---|---|---|---|
| queued | from its acceptance, while it has no permit | a permit | |
| | | the wait is too long (the producer) | `error queue_timeout` |
| starting | from its permit to its first content: connect, load, prefill, retries | the first content | |
| | | no attempt is left (the producer) | the last attempt's `error` |
| streaming | from its first content on | the model server's own last word (the call) | `done` |
| | | it breaks off, falls silent, speaks another language (the call) | `error upstream_*` |
| any of these | | somebody cancels it, or leaves on purpose (:meth:`Stream.stop`) | `done cancelled` |
| | | nobody came back in time (:meth:`Stream.stop`, by a timer) | `done abandoned` |
| | | the process drains, a rule of ours fails it (:meth:`Stream.fail`) | `error` |
| finished, failed | from its terminal event, for ``KEEP_S`` after the last follower left | the registry forgets it | |

Several of these may happen in one turn of the loop. Whoever is first wins: that is decided where the log appends, and
nowhere else. :meth:`Stream.finish` is the only way to a terminal event; it hands it to every follower in the same turn.
``stop`` and ``fail`` then close the upstream connection, which is how a model server is told; the permit goes back
after that, in the producer's ``finally``. What somebody's leaving means is :mod:`proxy.streams.presence`'s
to say.

Headers are a second, smaller life: until they leave, a failure is an HTTP status. ``headers_ready`` (for event streams)
and ``first_content_ready`` (for Ollama's shapes) are reached when they may leave, or not well, when it failed before.
``upstream_closed`` is reached last, when the upstream connection is closed and the permit given back.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from proxy.streams.approvals import Approvals
from proxy.streams.caller import Caller, Lifetimes
from proxy.streams.follower import Follower
from proxy.streams.log import StreamLog
from proxy.streams.milestone import Milestone
from proxy.streams.presence import Meaning, Presence
from proxy.streams.status_throttle import StatusThrottle
from proxy.streams.timeline import StreamTimeline
from services.dialects.dialect import Dialect
from services.wire.events import (
    Completion,
    ConnectionEnd,
    Failed,
    Finished,
    FinishReason,
    ServedBy,
    Started,
    Status,
    Terminal,
)
from services.wire.request import Asked, ModelRequest

COMMIT_S: Final = 1.0
"""How long a failure may still become an HTTP status."""
_STOPPED: Final = frozenset({FinishReason.CANCELLED, FinishReason.ABANDONED})


class Stream:
    """A stream from its acceptance until it is forgotten.

    Args:
        tools: the names of the server's tools that the model is offered; None where none were asked for.
        forget: told when a finished stream need not be replayed any more.
        grew: told by how many bytes the log has grown.
    """

    def __init__(
        self,
        stream_id: str,
        caller: Caller,
        asked: Asked[ModelRequest],
        *,
        stream_log: StreamLog,
        timeline: StreamTimeline,
        lifetimes: Lifetimes,
        provider: str,
        tools: tuple[str, ...] | None = None,
        forget: Callable[["Stream"], None],
        grew: Callable[[int], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        assert asked.request.model is not None
        self.id = stream_id
        self.caller = caller
        self.request, self.wishes = asked
        self.fingerprint = caller.fingerprint(asked) if caller.key else b""
        self.model: str = asked.request.model
        self.log = stream_log
        self.timeline = timeline
        self.provider = provider  # of who is asked; and what else `served_by` tells of it
        self.server: str | None = None
        self.served_model = self.model
        self.dropped: tuple[str, ...] = ()
        self.label = ""  # its model in the metrics, decided once
        self.attempts = 0
        self.tools = tools
        self.turns = 1
        self.approvals: Approvals | None = None  # of calls; None where nobody may be asked
        self.last_word: Completion | None = None
        self.retry_after_s: float | None = None  # what the model server asked for when it refused
        self.followers: Presence[Follower] = Presence(caller.leave)
        self.stopped_at: float | None = None
        self.headers_ready = Milestone()
        self.first_content_ready = Milestone()
        self.upstream_closed = Milestone()
        self._lifetimes = lifetimes
        self._forget = forget
        self._grew = grew
        self._counted_bytes = 0
        self._abort: Callable[[], None] = _nothing
        self._timer: asyncio.TimerHandle | None = None  # one at a time: grace, then keep
        self._status = StatusThrottle(partial(_tell, self.followers))  # not a method: the two would hold each other
        self._commit_timer: asyncio.TimerHandle | None = loop.call_later(COMMIT_S, self.commit)
        self.log.kept_after = 0
        self.log.append(Started(stream_id, self.model, lifetimes.unfollowed_s(caller.leave), tools))

    def produced_by(self, abort: Callable[[], None]) -> None:
        """Name the producer's way to stop."""
        self._abort = abort

    # --- what the producer does

    def deliver(self) -> None:
        """Hand what is new in the log to every live follower, in this tick."""
        on_their_way = False
        for follower in self.followers:
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

    @property
    def is_unwanted(self) -> bool:
        """Whether it has not begun and nobody would read it; a further turn goes on as the leave time says."""
        return self.turns == 1 and not self.followers

    @property
    def status(self) -> Status | None:
        """What it waits for now."""
        return self._status.current

    def show(self, status: Status) -> None:
        """Say what it waits for: at most once a second, and the newest word always gets out."""
        self._status.show(status)

    def content_began(self) -> None:
        """The first content is here: nothing is waited for any more, and the headers may leave."""
        self._status.clear()
        self.first_content_ready.reach(good=True)
        self.commit()

    def commit(self) -> None:
        """From now on a failure is an event, not an HTTP status."""
        self._wait_no_longer()
        self.headers_ready.reach(good=True)

    def finish(self, end: Completion | Failed | FinishReason) -> bool:
        """Append the terminal event and hand it on in this tick; False if there was one already."""
        if self.log.end is not None:
            return False
        self.timeline.ended = time.monotonic()
        self._status.clear()
        self.log.append(self._terminal(end))
        self._wait_no_longer()
        for ready in (self.headers_ready, self.first_content_ready):
            ready.reach(good=not isinstance(end, Failed))
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
        self.request = self.request.emptied()
        self._abort = _nothing
        self.upstream_closed.reach()

    # --- followers

    def join(self, dialect: Dialect, *, name: str, position: int, began: bool = False) -> Follower:
        """Add a follower that has ``position`` already.

        Raises:
            TooManyFollowers: there are MAX_FOLLOWERS.
        """
        self.followers.refuse_more()
        follower = Follower(self.log, dialect, name=name, position=position, began=began, wrote=self.note_written)
        self.followers.came(follower)
        self._set_timer(None)
        return follower

    def leave(self, follower: Follower) -> None:
        """A follower's connection is over. Without a word from its gateway, whoever comes back in time goes on."""
        self._act(self.followers.vanished(follower, over=self.log.end is not None))

    def depart(self, name: str, *, unseen: bool) -> None:
        """A gateway says that this follower left on purpose, before or after its connection was over.

        Args:
            unseen: its client never got the headers, so nobody can come back to a stream that it began.
        """
        follower = self.followers.named(name)
        meaning = self.followers.departed(name, unseen=unseen, over=self.log.end is not None)
        if follower is not None:
            follower.cut(ConnectionEnd.CLIENT_GONE)
        self._act(meaning)

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
        return "starting" if self.timeline.admitted is not None else "queued"

    # --- inside

    def _terminal(self, end: Completion | Failed | FinishReason) -> Terminal:
        if isinstance(end, Failed):
            return replace(end, skipped_lines=self.log.skipped_lines)
        word = self.last_word = end if isinstance(end, Completion) else None
        usage = word.usage if word else None
        return Finished(
            reason=end.reason if isinstance(end, Completion) else end,
            usage=usage,
            chunks=self.log.chunks,
            bytes=self.log.text_bytes,
            timing=self.timeline.timing(word, with_tools=self.tools is not None),
            served_by=self._served_by() if self.attempts else None,
            skipped_lines=self.log.skipped_lines,
            last_word=word.fields if word else {},
            turns=None if self.tools is None else self.turns,
        )

    def _served_by(self) -> ServedBy:
        return ServedBy(self.provider, self.served_model, self.attempts, self.server, self.dropped)

    def _act(self, meaning: Meaning) -> None:
        """Do what somebody's leaving means."""
        match meaning:
            case Meaning.KEEP:
                self._keep()
            case Meaning.STOP:
                self.stop(FinishReason.CANCELLED)
            case Meaning.WAIT:
                wait_s = self._lifetimes.unfollowed_s(self.caller.leave)
                self._set_timer(wait_s, self.stop, FinishReason.ABANDONED)
            case Meaning.GO_ON:
                pass

    def _keep(self) -> None:
        self._set_timer(self._lifetimes.keep_s, self._kept)

    def _kept(self) -> None:
        self._timer = None  # it holds us
        self._forget(self)

    def _set_timer(self, delay_s: float | None, callback: Callable[..., None] = lambda: None, *args: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if delay_s is None else loop.call_later(delay_s, callback, *args)

    def _wait_no_longer(self) -> None:
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None


def _tell(followers: Presence[Follower], status: Status) -> None:
    for follower in followers:
        follower.show(status)


def _nothing() -> None:
    """No producer yet: nothing to stop."""
