"""What the model servers of the clouds say, frame by frame, and what their adapters make of it however it is cut."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from proxy.providers.adapter import AttemptFailed, Outcome, Question
from proxy.providers.kinds import PROVIDERS
from proxy.streams.log import StreamLog
from services.wire.events import Completion, Logged, Thinking, Token, ToolCall
from services.wire.native import Numbered
from services.wire.request import ChatRequest, Message
from tests.wire.cuts import pieces_of

CLOUDS = ("openai", "groq", "anthropic", "gemini")
FEW_CUTS = (1, 2, 3, 7, 64, 1000)
"""Sizes of pieces: byte by byte is every cut inside a character, an escape, a line end and a field."""
RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings"
"""Streams of the real services, which are no part of the project (CONTRIBUTING.md, "Tests")."""


class Told(NamedTuple):
    """What an adapter made of a body."""

    events: list[Logged]
    end: Outcome
    skipped: int

    def text(self, kind: type[Token | Thinking] = Token) -> str:
        return "".join(event.content for event in self.events if isinstance(event, kind))

    @property
    def calls(self) -> list[ToolCall]:
        return [event for event in self.events if isinstance(event, ToolCall)]

    @property
    def completion(self) -> Completion:
        assert isinstance(self.end, Completion), self.end
        return self.end

    @property
    def failed(self) -> AttemptFailed:
        assert isinstance(self.end, AttemptFailed), self.end
        return self.end


def question(model: str = "m", *, key: str | None = None, stream: bool = True, **fields: Any) -> Question:
    fields = {"messages": (Message("user", "hi"),), **fields}
    without = fields.pop("without", frozenset())
    return Question(ChatRequest(model=model, **fields), model, key=key, stream=stream, without=without)


def asked_body(provider: str, asked: Question) -> Any:
    return orjson.loads(PROVIDERS[provider].adapter(asked).request().body)


def frames(*values: Any, done: bool = True) -> bytes:
    """As OpenAI's school writes them."""
    written = b"".join(b"data: %b\n\n" % orjson.dumps(value) for value in values)
    return written + b"data: [DONE]\n\n" if done else written


def named_frames(*values: dict[str, Any]) -> bytes:
    """As Anthropic writes them."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (value["type"].encode(), orjson.dumps(value)) for value in values)


def crlf_frames(*values: Any) -> bytes:
    """As Gemini writes them."""
    return frames(*values, done=False).replace(b"\n", b"\r\n")


def fed(provider: str, chunks: Iterable[bytes], *, broke_off: bool = False, model: str = "m") -> Told:
    """Feed ``chunks`` to a fresh adapter until an end comes, or theirs."""
    adapter, log = PROVIDERS[provider].adapter(question(model)), StreamLog(32 << 20)
    for chunk in chunks:
        if (end := adapter.feed(chunk, log)) is not None:
            break
    else:
        end = adapter.end(log, broke_off=broke_off)
    events: list[Numbered] = []
    while batch := log.after(events[-1][0] if events else 0):
        events += batch
    assert log.last == (events[-1][0] if events else 0)
    return Told([event for _, event in events], end, log.skipped_lines)


def told(provider: str, body: bytes, *, cuts: Iterable[int] = FEW_CUTS, broke_off: bool = False) -> Told:
    """Return what the adapter makes of ``body``, which must not depend on where it is cut."""
    whole = fed(provider, [body], broke_off=broke_off)
    for size in cuts:
        assert fed(provider, pieces_of(body, size), broke_off=broke_off) == whole, size
    return whole
