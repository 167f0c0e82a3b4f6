"""Stream id -> stream: who may start, follow and stop one, and when a finished one is forgotten."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from proxy.settings import ProxySettings
from proxy.streams.caller import Caller, Lifetimes
from proxy.streams.follower import Follower
from proxy.streams.log import StreamLog
from proxy.streams.permits import NotAdmitted, WaitTooLong
from proxy.streams.presence import TooManyFollowers
from proxy.streams.stream import Stream
from proxy.streams.timeline import StreamTimeline
from services.dialects.dialect import Dialect
from services.runtime.tasks import Tasks
from services.wire.events import ApiError, Code, Failed, Phase, Status, shutting_down
from services.wire.ids import SECRET_BYTES, is_stream_id, new_stream_id
from services.wire.request import Asked, ModelRequest

DEPARTED_S: Final = 10.0
"""How long a name is kept whose follower was said to have left before it arrived."""
DEPARTED_MAX: Final = 10_000

LINE_FULL: Final = Failed(Code.OVERLOADED, "The model is busy and its waiting line is full. Ask again later.")
_WAIT_TOO_LONG: Final = Failed(
    Code.OVERLOADED, "The model is busy and the wait in line would be too long. Ask again later."
)


Name = TypeVar("Name")


class InLine(Protocol):
    """What a stream has while it runs: its permit, or its place in line."""

    @property
    def position(self) -> int | None:
        """Its position in line, from 1; None once it has its permit."""

    @property
    def moved(self) -> Callable[[int], None]:
        """Who is told its new position."""

    @moved.setter
    def moved(self, moved: Callable[[int], None]) -> None: ...


class Begun(NamedTuple):
    """What a request holds that was let in.

    Attributes:
        produce: makes the coroutine that produces its stream, gives ``place`` back, and then calls
            :meth:`Streams.ended`.
        tools: those of the server that its model is offered, by name; None where none were asked for.
    """

    place: InLine
    produce: Callable[[Stream], Coroutine[Any, Any, None]]
    tools: tuple[str, ...] | None = None


class Streams:
    """All streams of this proxy, running and kept.

    Args:
        begin: takes a permit or a place in line for what is asked; raises ApiError where there is neither.
        provider: the name of the model server's dialect, for `served_by`.
        tasks: runs it.
    """

    def __init__(
        self,
        settings: ProxySettings,
        begin: Callable[[Asked[ModelRequest], Caller], Begun],
        *,
        provider: str,
        tasks: Tasks,
    ) -> None:
        self._settings = settings
        self._begin = begin
        self._provider = provider
        self._tasks = tasks
        self._lifetimes = Lifetimes(grace_s=settings.grace_s, keep_s=settings.keep_s)
        self._streams: dict[str, Stream] = {}
        self._finished: dict[str, Stream] = {}  # oldest end first: the first to go when memory is short
        self._by_key: dict[tuple[str, str], Stream] = {}  # by owner and Idempotency-Key
        self._by_chat: dict[tuple[str, str], Stream] = {}  # by owner and the chat's name: its newest
        self._by_follower: dict[str, Stream] = {}
        self._names: dict[str, list[str]] = {}  # of all followers that a stream had, by its id
        self._departed: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.held_bytes = 0

    def __iter__(self) -> Iterator[Stream]:
        """Every stream that runs."""
        return (stream for stream in tuple(self._streams.values()) if stream.id not in self._finished)

    @property
    def running(self) -> int:
        """How many streams have not given everything back yet."""
        return len(self._streams) - len(self._finished)

    @property
    def followers(self) -> int:
        """How many followers there are, over all streams; read by the scrape's thread, too."""
        return sum(len(stream.followers) for stream in tuple(self._streams.values()))

    def start(self, asked: Asked[ModelRequest], caller: Caller, accepted: float) -> Stream:
        """Accept a stream: it has its permit or its place in line, and its producer runs.

        Raises:
            ApiError: draining, the line is full or too slow, running streams hold all memory, or the caller has left
                already.
        """
        self._refuse_if_closed(caller)
        place, produce, tools = self._begin(asked, caller)
        stream = self._create(asked, caller, accepted, tools)
        place.moved = lambda position: stream.show(Status(Phase.QUEUED, position))
        if (position := place.position) is not None:
            place.moved(position)
            stream.commit()
        self._tasks.spawn(produce(stream), f"producer {stream.id}")
        return stream

    def refuse_if_draining(self) -> None:
        """Refuse whatever is new from the first signal on.

        Raises:
            ApiError: draining.
        """
        if self.draining:
            raise shutting_down(random.random())  # noqa: S311 a jitter

    def keyed(self, asked: Asked[ModelRequest], caller: Caller) -> Stream | None:
        """Return the stream that this owner's Idempotency-Key names, None if it has to be started.

        A key lives as long as its log; a stream that was cancelled, abandoned or failed frees it.

        Raises:
            ApiError: the key was used for another body.
        """
        stream = self._by_key.get((caller.owner, caller.key)) if caller.key else None
        if stream is None or not stream.is_repeatable or stream.id not in self._streams:
            return None
        if stream.fingerprint != caller.fingerprint(asked):
            failed = Failed(Code.IDEMPOTENCY_CONFLICT, "This Idempotency-Key was used for another request.")
            raise ApiError(failed)
        return stream

    def find(self, stream_id: str, owner: str) -> Stream:
        """Return a stream of ``owner``; one that is not held and one that is another's get the same answer.

        Raises:
            ApiError: 410.
        """
        stream = self._streams.get(stream_id) if is_stream_id(stream_id) else None
        if stream is None or stream.caller.owner != owner:
            raise ApiError(Failed(Code.STREAM_GONE, "This answer is not held any more. Ask again."))
        return stream

    def of_chat(self, name: str, owner: str) -> Stream | None:
        """Return the owner's newest stream of a chat while it runs; None if there is nothing to come back to."""
        stream = self._by_chat.get((owner, name))
        return None if stream is None or stream.log.end is not None else stream

    def depart(self, name: str, owner: str, *, unseen: bool) -> bool:
        """A gateway's word that a follower left on purpose; False if it is not known, and then it is remembered."""
        stream = self._by_follower.get(name)
        if stream is not None and stream.caller.owner == owner:
            stream.depart(name, unseen=unseen)
            return True
        now = time.monotonic()
        while self._departed and next(iter(self._departed.values())) < now - DEPARTED_S:
            del self._departed[next(iter(self._departed))]
        if len(self._departed) < DEPARTED_MAX:
            self._departed[name] = now
        return False

    def join(self, stream: Stream, dialect: Dialect, name: str, *, position: int, began: bool = False) -> Follower:
        """Add a follower to a stream, so that its gateway can name it later.

        Raises:
            ApiError: there are as many as there may be.
        """
        try:
            follower = stream.join(dialect, name=name, position=position, began=began)
        except TooManyFollowers as exc:
            failed = Failed(Code.CONCURRENCY_LIMITED, "This answer has as many readers as it may have.")
            raise ApiError(failed) from exc
        if name and stream.id in self._streams:
            self._by_follower[name] = stream
            self._names.setdefault(stream.id, []).append(name)
        return follower

    def has_departed(self, name: str) -> bool:
        """Whether this follower was said to have left before it arrived."""
        return self._departed.pop(name, -DEPARTED_S) > time.monotonic() - DEPARTED_S

    def ended(self, stream: Stream) -> None:
        """A stream's producer is over: it counts as finished from now on."""
        if stream.id in self._streams:
            self._finished[stream.id] = stream
        if self.running == 0:
            self._idle.set()

    async def idle(self) -> None:
        """Return when no stream runs."""
        await self._idle.wait()

    def _refuse_if_closed(self, caller: Caller) -> None:
        self.refuse_if_draining()
        if self.held_bytes >= self._settings.logs_total_bytes:
            self._make_room()
        if self.held_bytes >= self._settings.logs_total_bytes:
            raise ApiError(Failed(Code.OVERLOADED, "All memory for answers is in use. Ask again in a moment."))
        if self.has_departed(caller.follower):
            raise ApiError(Failed(Code.STREAM_GONE, "This follower has left."))

    def _create(
        self, asked: Asked[ModelRequest], caller: Caller, accepted: float, tools: tuple[str, ...] | None
    ) -> Stream:
        stream = Stream(
            new_stream_id(self._settings.instance, secrets.token_bytes(SECRET_BYTES)),
            caller,
            asked,
            stream_log=StreamLog(self._settings.log_bytes),
            timeline=StreamTimeline(accepted, parsed=time.monotonic()),
            lifetimes=self._lifetimes,
            provider=self._provider,
            tools=tools,
            forget=self._forget,
            grew=self._grew,
        )
        self._streams[stream.id] = stream
        if caller.key:
            self._by_key[caller.owner, caller.key] = stream
        if caller.chat is not None:
            self._by_chat[caller.owner, caller.chat.name] = stream
        self._idle.clear()
        return stream

    def _grew(self, by: int) -> None:
        self.held_bytes += by
        if self.held_bytes >= self._settings.logs_total_bytes:
            self._make_room()

    def _make_room(self) -> None:
        """Let finished logs go, oldest first; a running stream is never cut for memory."""
        while self.held_bytes >= self._settings.logs_total_bytes and self._finished:
            self._forget(next(iter(self._finished.values())))

    def _forget(self, stream: Stream) -> None:
        if self._streams.pop(stream.id, None) is not None:
            self._finished.pop(stream.id, None)
            self.held_bytes -= stream.log.size
            caller = stream.caller
            _forget_name(self._by_key, (caller.owner, caller.key), stream)
            if caller.chat is not None:
                _forget_name(self._by_chat, (caller.owner, caller.chat.name), stream)
            for name in self._names.pop(stream.id, ()):
                _forget_name(self._by_follower, name, stream)


def _forget_name(streams: dict[Name, Stream], name: Name, stream: Stream) -> None:
    """Forget a name that may be another stream's by now."""
    if streams.get(name) is stream:
        del streams[name]


def refused_at_the_line(full: NotAdmitted) -> ApiError:
    """Return the refusal of a stream that a line did not let in."""
    failed = _WAIT_TOO_LONG if isinstance(full, WaitTooLong) else LINE_FULL
    return ApiError(failed, retry_after_s=full.retry_after_s)
