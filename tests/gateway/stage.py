"""What a test of one client's connection needs: a sink and hops that are lists, and frames as a proxy writes them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from gateway.relay.hop import Hop
from gateway.relay.proxies import Proxies
from gateway.settings import ProxyAddress
from services.http.connection import HttpCall, ResponseEnd
from services.runtime.settings import Origin
from services.wire.events import (
    Code,
    Failed,
    Finished,
    FinishReason,
    Phase,
    ServedBy,
    Started,
    Status,
    Thinking,
    Timing,
    Token,
    ToolCall,
    Usage,
)
from services.wire.native import NativeFrames, Numbered

STREAM_ID = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WITHIN_S = 5.0
START: Numbered = (1, Started(STREAM_ID, "llama3.2", 5))
TIMING = Timing(queue_ms=3, load_ms=0, prefill_ms=120, decode_ms=1690, ttft_ms=1, total_ms=1900, tokens_per_s=19.5)
LAST_WORD = {"eval_count": 34, "eval_duration": 1_690_000_000}


def tokens(*texts: str, after: int = 1) -> list[Numbered]:
    return [(number, Token(text)) for number, text in enumerate(texts, after + 1)]


def thought(text: str, number: int) -> Numbered:
    return number, Thinking(text)


def called(number: int) -> Numbered:
    return number, ToolCall("call_1", "clock", {"tz": "UTC"})


def done(number: int, reason: FinishReason = FinishReason.STOP) -> Numbered:
    return number, Finished(reason, Usage(12, 34), 2, 5, TIMING, ServedBy("ollama", "llama3.2", 1), last_word=LAST_WORD)


def failed(number: int, code: Code = Code.UPSTREAM_ERROR) -> Numbered:
    return number, Failed(code, "words")


def framed(*events: Numbered | Sequence[Numbered]) -> bytes:
    """The frames of a proxy, back to back."""
    dialect = NativeFrames(STREAM_ID, request_id="the-hops", heartbeat_s=10)
    flat = [one for event in events for one in ([event] if isinstance(event, tuple) else event)]
    return b"".join(dialect.frames([one]) for one in cast("list[Numbered]", flat))


def status_frame() -> bytes:
    return NativeFrames(STREAM_ID, request_id="the-hops", heartbeat_s=10).status(Status(Phase.LOADING))


class ListSink:
    """The client's side: a list of writes, which asks for a pause once it holds ``room`` of them."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.writes: list[bytes] = []
        self.room = room
        self.written = 0
        self.ended_as = ""
        self._drained = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.writes)

    def write(self, frames: bytes, _framed: bytes = b"", _last: bool = False) -> bool:
        self.writes.append(frames)
        self.written += len(frames)
        return len(self.writes) < self.room

    async def drain(self) -> None:
        self._drained.clear()
        await self._drained.wait()

    def take(self) -> None:
        """The client takes what there was, and goes on taking."""
        self.room = 1_000_000
        self._drained.set()

    def close(self) -> None:
        self.ended_as = "closed"

    def abort(self) -> None:
        self.ended_as = "aborted"
        self._drained.set()


class ListConnection:
    """The hop's connection, as a test reads it."""

    def __init__(self) -> None:
        self.closed = False
        self.paused = False

    def abort(self) -> None:
        self.closed = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


class ListHop(Hop):
    """A hop whose proxy is the test."""

    def __init__(self, *, heartbeat: str = "10", headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.connection = ListConnection()
        self.call = HttpCall(self.connection, self)
        self.on_head(200, {"sluice-heartbeat": heartbeat, **(headers or {})})

    def brings(self, *events: Numbered | Sequence[Numbered]) -> None:
        self.on_bytes(framed(*events))

    def ends(self, end: ResponseEnd = ResponseEnd.COMPLETE) -> None:
        assert self.call is not None
        self.call.release()
        self.on_end(end)


def proxies_at(**ports: int) -> Proxies:
    """Proxies on this machine, by their names; ``_`` is one that has none."""
    return Proxies([ProxyAddress(name.strip("_"), Origin("http", "127.0.0.1", port)) for name, port in ports.items()])


async def turns(count: int = 5) -> None:
    """Let the loop run what is ready."""
    for _ in range(count):
        await asyncio.sleep(0)
