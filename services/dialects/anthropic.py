"""Anthropic's dialect, for clients made for its Messages API: server-sent events, or one message. Pure.

A message is a list of blocks, numbered from 0: each is begun, told and ended, and never are two open, nor is one empty.

    message_start, (content_block_start, content_block_delta…, content_block_stop)…, message_delta, message_stop
    message_start, …, error      where it is not whole: nothing follows

What its clients take for whole is a body that ends properly, so no end of ours is without a word.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, assert_never

import orjson

from services.dialects import seals
from services.dialects.dialect import Answer
from services.dialects.estimate import BYTES_PER_TOKEN, input_tokens
from services.dialects.foreign import HEARTBEAT_S, Told, Wanted, refusal_head, shown_id
from services.dialects.ollama import STOPPED, was_stopped
from services.wire import sse
from services.wire.event_data import skipped
from services.wire.events import (
    RULES,
    ApiError,
    Code,
    Failed,
    Finished,
    FinishReason,
    Logged,
    Signature,
    Started,
    Status,
    Terminal,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
)
from services.wire.native import JSON_HEADERS, Numbered, TextKind

_STOP_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "end_turn",  # also where a stop sequence came: Ollama does not say which
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}
_OVERLOADED: Final = 529
_ERROR_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_CLOSE_BLOCK: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%%d,"delta":{"type":"%b","%b":%%b}}\n\n'
)
_TEXT_DELTA: Final = _DELTA % (b"text_delta", b"text")
_THINKING_DELTA: Final = _DELTA % (b"thinking_delta", b"thinking")
_SIGNATURE_DELTA: Final = _DELTA % (b"signature_delta", b"signature")
_INPUT_DELTA: Final = _DELTA % (b"input_json_delta", b"partial_json")
_EMPTY: Final[Mapping[TextKind, Mapping[str, str]]] = {
    Token: {"type": "text", "text": ""},
    Thinking: {"type": "thinking", "thinking": "", "signature": ""},
}


class ThinkingSeal:
    """The signature of a block of thinking: that it is ours, and as we wrote it.

    Clients send thinking back as history, together with that of other servers. It guards nothing: whoever writes
    thinking of his own may as well sign it.
    """

    def __init__(self, thinking: str = "") -> None:
        self._hash = hashlib.sha256(thinking.encode())

    def take(self, thinking: str) -> None:
        """Take a part of the block in."""
        self._hash.update(thinking.encode())

    @property
    def signature(self) -> str:
        """What the block so far is signed with."""
        return "sluice:" + base64.b64encode(self._hash.digest()).decode()


class AnthropicEvents:
    """The events of one answer for one reader."""

    headers: ClassVar[Mapping[str, str]] = sse.HEADERS
    heartbeat_s: ClassVar[float | None] = HEARTBEAT_S
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = False

    def __init__(self, wanted: Wanted, told: Told) -> None:
        self._told = told
        self._input_tokens = input_tokens(wanted.request)
        self._block = -1  # the newest one's number
        self._is_open: TextKind | None = None
        self._seal = ThinkingSeal()

    def open(self, started: Started) -> bytes:
        """Return the message without its content; Claude Code reads the input's tokens here."""
        return self._start(started)

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the frames of ``events``, back to back."""
        return b"".join([self._frames(number, event) for number, event in events])

    def text(self, kind: TextKind, _number: int, content: str) -> bytes:
        """Return the frames of one part of text."""
        begin = b"" if kind is self._is_open else self._end_block() + self._begin_text(kind)
        if kind is Token:
            return begin + _TEXT_DELTA % (self._block, orjson.dumps(content))
        self._seal.take(content)
        return begin + _THINKING_DELTA % (self._block, orjson.dumps(content))

    def status(self, _status: Status) -> bytes:
        """Return nothing: these clients know no such event."""
        return b""

    def close(self, end: Terminal, _number: int | None = None) -> bytes:
        """Return the last frames; those of an answer that is not whole are an error, and nothing behind it."""
        failed = failure_of(end)
        if failed is not None:
            return _event("error", **_error(failed, self._told.request_id), **skipped(end.skipped_lines))
        assert isinstance(end, Finished)
        delta = {"stop_reason": _STOP_REASONS[end.reason], "stop_sequence": None}
        usage = _final_usage(end, self._input_tokens)
        told = _event("message_delta", delta=delta, usage=usage, **skipped(end.skipped_lines))
        return self._end_block() + told + _event("message_stop")

    def heartbeat(self) -> bytes:
        """Return an event: a comment does not feed Claude Code, which gives up on a stream without one."""
        return _PING

    def _frames(self, number: int, event: Logged) -> bytes:
        match event:
            case Token() | Thinking():
                return self.text(type(event), number, event.content)
            case ToolCall():
                return self._call(event)
            case Started():
                return self._start(event)
            case Finished() | Failed():
                return self.close(event)
            case ToolResult():  # of a tool that the server ran: the text tells of it
                return b""
            case Signature():
                return self._end_block() + self._opaque(seals.as_text(event))
            case _:
                assert_never(event)

    def _start(self, started: Started) -> bytes:
        message = _message(self._told.model, started.stream_id, [], None, _usage(self._input_tokens, 1))
        return _event("message_start", message=message)

    def _call(self, call: ToolCall) -> bytes:
        ended = self._end_block()
        if call.extra is not None:
            ended += self._opaque(seals.as_text(call.extra, call.call_id))
        begun = self._begin({"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}})
        arguments = orjson.dumps(orjson.dumps(call.arguments).decode())
        return ended + begun + _INPUT_DELTA % (self._block, arguments) + _CLOSE_BLOCK % self._block

    def _opaque(self, text: str) -> bytes:
        """Return the block that these clients send back as it is: what a provider wants to have back goes in it."""
        return self._begin(_redacted(text)) + _CLOSE_BLOCK % self._block

    def _begin_text(self, kind: TextKind) -> bytes:
        self._is_open = kind
        self._seal = ThinkingSeal()
        return self._begin(_EMPTY[kind])

    def _begin(self, block: Mapping[str, Any]) -> bytes:
        self._block += 1
        return _event("content_block_start", index=self._block, content_block=block)

    def _end_block(self) -> bytes:
        kind, self._is_open = self._is_open, None
        if kind is None:
            return b""
        signed = _SIGNATURE_DELTA % (self._block, orjson.dumps(self._seal.signature)) if kind is Thinking else b""
        return signed + _CLOSE_BLOCK % self._block


class AnthropicMessage:
    """The whole answer for one reader, as one message."""

    def __init__(self, wanted: Wanted, told: Told) -> None:
        self._told = told
        self._input_tokens = input_tokens(wanted.request)

    def whole(self, events: Sequence[Numbered], end: Finished) -> Answer:
        """Return the answer; one that was stopped is not whole, and a refusal."""
        failed = failure_of(end)
        if failed is not None:
            _, headers, body = refusal(ApiError(failed), self._told.request_id)
            return 409, {**headers, "Sluice-Error-Code": end.reason}, body
        stream_id = next((event.stream_id for _, event in events if isinstance(event, Started)), "")
        blocks = [block for _, event in events for block in _blocks(event)]
        usage = _final_usage(end, self._input_tokens)
        message = _message(self._told.model, stream_id, blocks, _STOP_REASONS[end.reason], usage)
        return 200, JSON_HEADERS, orjson.dumps({**message, **skipped(end.skipped_lines)})


def refusal(refused: ApiError, request_id: str) -> Answer:
    """Return a failure before the stream in Anthropic's shape; our code is in a header."""
    _, headers = refusal_head(refused, request_id)
    failed = refused.failed
    body = orjson.dumps({"type": "error", **_error(failed, request_id)})
    return status_of(failed.code), {**headers, "Sluice-Error-Code": failed.code}, body


def status_of(code: Code) -> int:
    """Return the HTTP status by which these clients know ``code``: that a server is full has one of its own."""
    status = RULES[code].status
    return _OVERLOADED if status == 503 else status


def failure_of(end: Terminal) -> Failed | None:
    """Return why an answer is not whole; None where it is. To be stopped is no word that these clients know."""
    if isinstance(end, Failed):
        return end
    return Failed(Code.UPSTREAM_ERROR, STOPPED, retryable=False) if was_stopped(end) else None


def anthropic_models(models: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the list of models.

    Args:
        models: by name, the time (seconds of UTC) since which each is here.
    """
    listed = [anthropic_model(name, since) for name, since in models]
    ends = {"first_id": models[0][0], "last_id": models[-1][0]} if models else {"first_id": None, "last_id": None}
    return {"data": listed, "has_more": False, **ends}


def anthropic_model(name: str, since: int) -> dict[str, Any]:
    """Return one model, likewise."""
    written = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": written}


def _event(name: str, **data: Any) -> bytes:
    return sse.encode(orjson.dumps({"type": name, **data}), event=name)


def _message(
    model: str, stream_id: str, content: Sequence[Mapping[str, Any]], stop_reason: str | None, usage: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "id": shown_id("msg_", stream_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _blocks(event: Logged) -> Iterator[dict[str, Any]]:
    match event:
        case Token(text):
            yield {"type": "text", "text": text}
        case Thinking(text):
            yield {"type": "thinking", "thinking": text, "signature": ThinkingSeal(text).signature}
        case ToolCall():
            if event.extra is not None:
                yield _redacted(seals.as_text(event.extra, event.call_id))
            yield {"type": "tool_use", "id": event.call_id, "name": event.name, "input": event.arguments}
        case Signature():
            yield _redacted(seals.as_text(event))
        case Started() | ToolResult() | Finished() | Failed():
            return
        case _:
            assert_never(event)


def _redacted(text: str) -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": text}


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": input_tokens, **cached, "output_tokens": output_tokens}


def _final_usage(end: Finished, estimate: int) -> dict[str, int]:
    """Return what the model server counted; estimates of what it did not say, for this language knows no "unknown"."""
    read, wrote = (end.usage.input_tokens, end.usage.output_tokens) if end.usage else (None, None)
    return _usage(estimate if read is None else read, -(-end.bytes // BYTES_PER_TOKEN) if wrote is None else wrote)


def _error(failed: Failed, request_id: str) -> dict[str, Any]:
    status = status_of(failed.code)
    name = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"error": {"type": name, "message": failed.message}, "request_id": request_id}
