"""What the tests of foreign dialects let a model say, and how they read server-sent frames."""

from typing import Any, Final

import orjson

from services.dialects.foreign import Told, Wanted
from services.wire.events import Finished, FinishReason, Signature, Started, Thinking, Timing, Token, ToolCall, Usage
from services.wire.native import Numbered
from services.wire.request import ChatRequest, Message
from services.wire.sse import ServerSentEvent, SseDecoder

STREAM_ID: Final = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STARTED: Final = Started(STREAM_ID, "llama3.2", 5)
TOLD: Final = Told("gpt-4o", 1_795_260_000)
USAGE: Final = Usage(9, 2)
SAID: Final[list[Numbered]] = [
    (1, STARTED),
    (2, Thinking("hm")),
    (3, Token("Hel")),
    (4, Token("lo")),
    (5, ToolCall("call_1", "clock", {"tz": "UTC"}, extra=Signature("gemini", {"s": "opaque"}))),
    (6, ToolCall("call_2", "weather", {})),
]


def nested(levels: int) -> str:
    """Return the JSON of an object that is nested so deep."""
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def wanted(*, shows_usage: bool = True, stream: bool = True) -> Wanted:
    """Return what a client asked that only says hello."""
    request = ChatRequest(model="gpt-4o", messages=(Message("user", "hello"),))
    return Wanted(request=request, stream=stream, shows_usage=shows_usage)


def offered_by(request: ChatRequest) -> tuple[str, ...] | None:
    """Return the names of the tools that a model is offered; None for none."""
    return tuple(tool.name for tool in request.tools) if request.tools else None


def ended(reason: FinishReason = FinishReason.STOP, usage: Usage | None = USAGE, skipped_lines: int = 0) -> Finished:
    timing = Timing(0, None, None, None, None, 1, None)
    return Finished(reason, usage, 4, 7, timing, None, skipped_lines)


def sent(frames: bytes) -> list[ServerSentEvent]:
    """Return the events of frames as a client dispatches them; nothing may be left over."""
    assert frames.endswith((b"\n\n", b": hb\n"))
    return list(SseDecoder().feed(frames))


def data_of(frames: bytes) -> list[dict[str, Any]]:
    """Return the objects of frames, but for a terminator that is none."""
    return [orjson.loads(event.data) for event in sent(frames) if event.data != "[DONE]"]
