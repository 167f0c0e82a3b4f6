"""What an Ollama says, line by line, and what the adapter makes of it."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from proxy.providers.adapter import Question
from proxy.providers.ollama import OllamaAdapter
from proxy.streams.log import StreamLog
from services.wire.events import Completion, Failed, Logged
from services.wire.request import ChatRequest, GenerateRequest, Kind, ModelRequest

COUNTERS = {
    "total_duration": 4_935_886_791,
    "load_duration": 534_986_708,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 107_345_000,
    "eval_count": 237,
    "eval_duration": 4_289_432_000,
}
STAMP = {"model": "m", "created_at": "2026-08-21T10:00:00.123456Z"}


def asked(kind: Kind = "chat", max_output_tokens: int | None = None) -> ModelRequest:
    made = GenerateRequest if kind == "generate" else ChatRequest
    return made(model="m", max_output_tokens=max_output_tokens)


def adapter_of(kind: Kind = "chat", max_output_tokens: int | None = None) -> OllamaAdapter:
    return OllamaAdapter(Question(asked(kind, max_output_tokens), "m"))


def said(content: str = "", *, done: bool = False, fields: Mapping[str, Any] | None = None, **message: Any) -> bytes:
    """A line of /api/chat."""
    line = {**STAMP, "message": {"role": "assistant", "content": content, **message}, "done": done, **(fields or {})}
    return orjson.dumps(line) + b"\n"


def generated(response: str = "", **fields: object) -> bytes:
    """A line of /api/generate."""
    return orjson.dumps({**STAMP, "response": response, "done": False, **fields}) + b"\n"


def called(name: str, arguments: object, **more: Any) -> dict[str, Any]:
    return {"function": {"index": 0, "name": name, "arguments": arguments}, **more}


def fed(
    lines: Iterable[bytes], adapter: OllamaAdapter | None = None
) -> tuple[list[Logged], Completion | Failed | None, int]:
    """Feed lines until an end comes; return the events, merged, the end, and how many lines were skipped."""
    adapter, log = adapter or adapter_of(), StreamLog(32 << 20)
    end = None
    for line in lines:
        if (end := adapter.feed(line, log)) is not None:
            break
    return [event for _, event in log.after(0)], end, log.skipped_lines


LAST_CHAT = said(done=True, fields={"done_reason": "stop", **COUNTERS})
LAST_GENERATE = generated("", **{"done": True, "done_reason": "stop", "context": [1, 2, 3], **COUNTERS})
