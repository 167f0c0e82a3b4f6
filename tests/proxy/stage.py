"""What a test of one stream needs around it: a sink that is a list, a dialect of a word an event, and the stream."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from proxy.streams.caller import Caller, Leave, Lifetimes
from proxy.streams.follower import Follower
from proxy.streams.log import StreamLog
from proxy.streams.stream import Stream
from proxy.streams.timeline import StreamTimeline
from services.runtime.tasks import Tasks
from services.wire.events import EVENT_NAMES, Failed, Finished, Started, Status, Terminal, Thinking, Token
from services.wire.native import Numbered, TextKind
from services.wire.request import Asked, ChatRequest, Message, ModelRequest, Wishes

STREAM_ID = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
REQUEST = ChatRequest(model="llama3.2", messages=(Message("user", "hi"),))
ASKED: Asked[ModelRequest] = Asked(REQUEST, Wishes())
WITHIN_S = 5.0


class Words:
    """A dialect to assert on: ``2=Hello`` for text, ``1=start``, ``5=done`` for the rest, a space behind each."""

    headers: ClassVar[Mapping[str, str]] = {}
    heartbeat_s: ClassVar[float | None] = None
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = True

    def open(self, started: Started) -> bytes:
        return self.frames([(1, started)])

    def close(self, end: Terminal, number: int | None = None) -> bytes:
        return self.frames([(number or 0, end)])

    def heartbeat(self) -> bytes:
        return b""

    def frames(self, events: Sequence[Numbered]) -> bytes:
        return b"".join(f"{number}={_word(event)} ".encode() for number, event in events)

    def text(self, kind: TextKind, number: int, content: str) -> bytes:
        return self.frames([(number, kind(content))])

    def status(self, status: Status) -> bytes:
        return f"({status.phase}{'' if status.position is None else status.position}) ".encode()


def _word(event: object) -> str:
    if isinstance(event, Token):
        return event.content
    if isinstance(event, Thinking):
        return f"<{event.content}>"
    if isinstance(event, Finished):
        return str(event.reason)
    return str(event.code) if isinstance(event, Failed) else EVENT_NAMES[type(event)]  # type: ignore[index] # checked


class ListSink:
    """Where frames go: a list. It asks for a pause once it holds ``room`` writes, and takes on after ``take``."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.writes: list[bytes] = []
        self.room = room
        self.aborted = False
        self._drained = asyncio.Event()

    def write(self, frames: bytes, _framed: bytes = b"", _last: bool = False) -> bool:
        self.writes.append(frames)
        return not self.paused

    @property
    def paused(self) -> bool:
        return len(self.writes) >= self.room

    async def drain(self) -> None:
        self._drained.clear()
        await self._drained.wait()
        if self.aborted:
            raise ConnectionResetError

    def abort(self) -> None:
        self.aborted = True
        self._drained.set()

    def take(self, room: int = 1_000_000) -> None:
        """The client takes what there was, and ``room`` writes more."""
        self.room = len(self.writes) + room
        self._drained.set()

    @property
    def text(self) -> str:
        return b"".join(self.writes).decode()


async def turns(count: int = 5) -> None:
    """Let the loop run what is ready: what must happen without waiting has happened then."""
    for _ in range(count):
        await asyncio.sleep(0)


class StreamStage:
    """A stream without a producer, and what became of it."""

    def __init__(
        self,
        leave: Leave = Leave.CONTINUE,
        *,
        log_bytes: int = 1 << 20,
        grace_s: float = 30.0,
        keep_s: float = 60.0,
        request: ModelRequest = REQUEST,
    ) -> None:
        self.forgotten: list[Stream] = []
        self.grown: list[int] = []
        self.aborts = 0
        self.tasks = Tasks()
        self.stream = Stream(
            STREAM_ID,
            Caller("request-1", "anonymous", leave, "the-one-that-began"),
            Asked(request, Wishes()),
            stream_log=StreamLog(log_bytes),
            timeline=StreamTimeline(time.monotonic()),
            lifetimes=Lifetimes(grace_s=grace_s, keep_s=keep_s),
            provider="ollama",
            forget=self.forgotten.append,
            grew=self.grown.append,
        )
        self.stream.produced_by(self._abort)

    def _abort(self) -> None:
        self.aborts += 1

    def say(self, *parts: str) -> None:
        """The model says ``parts``, in one chunk."""
        for part in parts:
            self.stream.log.text(Token, part)
        self.stream.deliver()

    def join(self, name: str = "", position: int = 0, *, began: bool = False) -> Follower:
        return self.stream.join(Words(), name=name, position=position, began=began)

    async def reading(self, follower: Follower, sink: ListSink) -> "asyncio.Task[None]":
        """Start the follower's handler, as far as it comes without waiting."""

        async def handler() -> None:
            try:
                await follower.follow(sink, self.stream.status)
            except ConnectionResetError:
                assert follower.cut_as is not None or sink.aborted
            finally:
                self.stream.leave(follower)

        task = self.tasks.spawn(handler(), "reader")
        await turns()
        return task

    async def reader(
        self, name: str = "", position: int = 0, *, began: bool = False, room: int = 1_000_000
    ) -> tuple[Follower, ListSink, "asyncio.Task[None]"]:
        follower, sink = self.join(name, position, began=began), ListSink(room)
        return follower, sink, await self.reading(follower, sink)


@asynccontextmanager
async def a_stream(
    leave: Leave = Leave.CONTINUE, *, log_bytes: int = 1 << 20, grace_s: float = 30.0, keep_s: float = 60.0
) -> AsyncIterator[StreamStage]:
    """A stream; nothing of it is left at the end."""
    stage = StreamStage(leave, log_bytes=log_bytes, grace_s=grace_s, keep_s=keep_s)
    try:
        yield stage
    finally:
        await stage.tasks.close()
