"""OpenAI's chat completions: server-sent chunks, or one object. Pure.

What the model thinks is in `reasoning_content`, as clients of other servers of this language read it. A tool call is
whole in one chunk, with its own index. Nothing has an id of the stream's or a time to come back: no client resumes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, assert_never

import orjson

from services.dialects.dialect import Answer, DialectName
from services.dialects.foreign import HEARTBEAT_S, Language, Told, Wanted, sealed, shown_id
from services.dialects.gathering import calls_of, text_of
from services.dialects.openai_chat_request import chat
from services.dialects.openai_error import error_of_end, stopped_answer
from services.wire import native, sse
from services.wire.event_data import skipped
from services.wire.events import (
    Failed,
    Finished,
    Logged,
    Signature,
    Started,
    Status,
    Terminal,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
    Usage,
)
from services.wire.native import Numbered, TextKind

DONE: Final = b"data: [DONE]\n\n"
_PREFIX: Final = "chatcmpl-"
_BEATS_PER_CHUNK: Final = 4
"""Every fourth heartbeat is an empty chunk, so that one comes each minute: some clients count chunks, not comments."""


class OpenAiChunks:
    """The chunks of one answer for one reader."""

    headers: ClassVar[Mapping[str, str]] = sse.HEADERS
    heartbeat_s: ClassVar[float | None] = HEARTBEAT_S
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = False

    def __init__(self, wanted: Wanted, told: Told) -> None:
        self._shows_usage = wanted.shows_usage
        self._told = told
        self._head: dict[str, Any] = {}
        self._forms: Mapping[TextKind, tuple[bytes, bytes]] = {}
        self._calls = 0
        self._beats = 0

    def open(self, started: Started) -> bytes:
        """Return the first chunk: whose words follow."""
        return self._begun(started)

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the chunks of ``events``."""
        return b"".join([self._frame(event) for _, event in events])

    def text(self, kind: TextKind, _number: int, content: str) -> bytes:
        """Return the chunk of one part of text."""
        self._beats = 0
        before, behind = self._forms[kind]
        return b"".join((before, orjson.dumps(content), behind))

    def status(self, _status: Status) -> bytes:
        """Return nothing: these clients know no such thing."""
        return b""

    def close(self, end: Terminal, _number: int | None = None) -> bytes:
        """Return the last chunks and the terminator; of an answer that is not whole, the error and nothing more."""
        if (error := error_of_end(end)) is not None:
            return _event({"error": error})
        assert isinstance(end, Finished)
        last = self._chunk({}, finish_reason=end.reason, **skipped(end.skipped_lines))
        usage = usage_of(end.usage) if self._shows_usage else None
        if usage is not None:
            last += _event({**self._head, "choices": [], "usage": usage})
        return last + DONE

    def heartbeat(self) -> bytes:
        """Return a comment, or an empty chunk."""
        self._beats += 1
        return sse.HEARTBEAT if self._beats % _BEATS_PER_CHUNK else self._chunk({})

    def _frame(self, event: Logged) -> bytes:
        match event:
            case Token() | Thinking():
                return self.text(type(event), 0, event.content)
            case Started():
                return self._begun(event)
            case ToolCall():
                self._calls += 1
                return self._chunk({"tool_calls": [{"index": self._calls - 1, **tool_call(event)}]})
            case Finished() | Failed():
                return self.close(event)
            case Signature() | ToolResult():  # who runs its own tools is not told of ours, nor of seals
                return b""
            case _:
                assert_never(event)

    def _begun(self, started: Started) -> bytes:
        self._head = head_of("chat.completion.chunk", started.stream_id, self._told)
        self._forms = {Token: self._form("content"), Thinking: self._form("reasoning_content")}
        return self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: Mapping[str, Any], *, finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**self._head, "choices": [choice], **more})

    def _form(self, name: str) -> tuple[bytes, bytes]:
        """Return what stands around a text in its chunk: the token path only puts it in between."""
        before, _, behind = self._chunk({name: ""}).partition(b'""')
        return before, behind


class OpenAiCompletion:
    """The whole answer for one reader."""

    def __init__(self, _wanted: Wanted, told: Told) -> None:
        self._told = told

    def whole(self, events: Sequence[Numbered], end: Finished) -> Answer:
        """Return the answer; one that was stopped is not whole, and an error."""
        if (stopped := stopped_answer(end)) is not None:
            return stopped
        stream_id = next((event.stream_id for _, event in events if isinstance(event, Started)), "")
        calls = [tool_call(call) for call in calls_of(events)]
        message: dict[str, Any] = {"role": "assistant", "content": text_of(events, Token) or (None if calls else "")}
        if thinking := text_of(events, Thinking):
            message["reasoning_content"] = thinking
        if calls:
            message["tool_calls"] = calls
        usage = usage_of(end.usage)
        body = {
            **head_of("chat.completion", stream_id, self._told),
            "choices": [{"index": 0, "message": message, "finish_reason": end.reason}],
            **({} if usage is None else {"usage": usage}),
            **skipped(end.skipped_lines),
        }
        return 200, native.JSON_HEADERS, orjson.dumps(body)


CHAT: Final = Language(DialectName.OPENAI_CHAT, chat, OpenAiChunks, OpenAiCompletion)


def head_of(kind: str, stream_id: str, told: Told) -> dict[str, Any]:
    """Return the fields that every object of an answer begins with."""
    return {"id": shown_id(_PREFIX, stream_id), "object": kind, "created": told.created, "model": told.model}


def tool_call(call: ToolCall) -> dict[str, Any]:
    """Return a call as OpenAI writes it: its arguments are text."""
    function = {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}
    return {"id": call.call_id, "type": "function", "function": function, **sealed(call)}


def usage_of(usage: Usage | None) -> dict[str, int] | None:
    """Return the tokens as the model server counted them; None where it did not count both."""
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    counts = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
    return {**counts, "total_tokens": usage.input_tokens + usage.output_tokens}


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)
