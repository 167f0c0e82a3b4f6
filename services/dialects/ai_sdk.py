"""The AI SDK's UI message stream, for pages made with its ``useChat``: one chunk of JSON an event. Pure.

    start, start-step, (text-start, text-delta…, text-end | reasoning-… | tool-input-…)…, finish-step, finish, [DONE]
    start, …, error      where it is not whole

A chunk of a type that the client does not know ends the message there, and so does a delta of a part that was not
begun. It takes an end without `finish` for the end of an answer, so no end of ours is without a word.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, assert_never

import orjson

from services.dialects import seals
from services.dialects.anthropic import failure_of
from services.dialects.dialect import Answer
from services.dialects.foreign import HEARTBEAT_S, Told, Wanted, refusal_head, shown_id
from services.wire import sse
from services.wire.event_data import skipped, status_data
from services.wire.events import (
    ApiError,
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
from services.wire.native import Numbered, TextKind

_FINISH_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool-calls",
    FinishReason.CONTENT_FILTER: "content-filter",
}
PROVIDER: Final = "sluice"
"""Under which name a part's metadata holds what is ours."""
_DONE: Final = b"data: [DONE]\n\n"
_PARTS: Final[Mapping[TextKind, str]] = {Token: "text", Thinking: "reasoning"}


class AiSdkChunks:
    """The chunks of one answer for one reader.

    Args:
        message_id: the page's id of the message that goes on; "" where one begins.
    """

    headers: ClassVar[Mapping[str, str]] = {**sse.HEADERS, "x-vercel-ai-ui-message-stream": "v1"}
    heartbeat_s: ClassVar[float | None] = HEARTBEAT_S
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = False

    def __init__(self, message_id: str = "") -> None:
        self._message_id = message_id
        self._begun = 0  # parts of text so far
        self._is_open: TextKind | None = None
        self._delta = b""  # of the part that is open, with a place for its text as JSON

    def open(self, started: Started) -> bytes:
        """Return the message's start; a replay of it has the same id, so that the page has it once."""
        return self._begin(started)

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the chunks of ``events``, back to back."""
        return b"".join([self._frames(number, event) for number, event in events])

    def text(self, kind: TextKind, _number: int, content: str) -> bytes:
        """Return the chunks of one part of text."""
        begin = b"" if kind is self._is_open else self._end_part() + self._begin_part(kind)
        return begin + self._delta % orjson.dumps(content)

    def status(self, status: Status) -> bytes:
        """Return a chunk that the page may show, and that is in no message."""
        data = {name: value for name, value in status_data(status).items() if name != "type"}
        return _chunk("data-status", data=data, transient=True)

    def close(self, end: Terminal, _number: int | None = None) -> bytes:
        """Return the last chunks; that of an answer which is not whole is an error."""
        failed = failure_of(end)
        if failed is not None:
            return self._end_part() + _chunk("error", errorText=failed.message) + _DONE
        assert isinstance(end, Finished)
        finish = _chunk("finish", finishReason=_FINISH_REASONS[end.reason], messageMetadata=_metadata(end))
        return self._end_part() + _chunk("finish-step") + finish + _DONE

    def heartbeat(self) -> bytes:
        """Return a comment."""
        return sse.HEARTBEAT

    def _frames(self, number: int, event: Logged) -> bytes:
        match event:
            case Token() | Thinking():
                return self.text(type(event), number, event.content)
            case ToolCall(call_id, name, arguments, extra):
                call = {"toolCallId": call_id, "toolName": name, "dynamic": True}
                whole = _chunk("tool-input-available", **call, input=arguments, **_kept(extra))
                return self._end_part() + _chunk("tool-input-start", **call) + whole
            case ToolResult():
                return self._end_part() + _result(event)
            case Signature():
                return self._sealed(event)
            case Started():
                return self._begin(event)
            case Finished() | Failed():
                return self.close(event)
            case _:
                assert_never(event)

    def _begin(self, started: Started) -> bytes:
        message_id = self._message_id or shown_id("msg_", started.stream_id)
        return _chunk("start", messageId=message_id) + _chunk("start-step")

    def _begin_part(self, kind: TextKind) -> bytes:
        self._begun += 1
        self._is_open = kind
        name, part_id = _PARTS[kind], str(self._begun)
        self._delta = b'data: {"type":"%b-delta","id":"%b","delta":%%b}\n\n' % (name.encode(), part_id.encode())
        return _chunk(f"{name}-start", id=part_id)

    def _end_part(self, seal: Signature | None = None) -> bytes:
        kind, self._is_open = self._is_open, None
        return b"" if kind is None else _chunk(f"{_PARTS[kind]}-end", id=str(self._begun), **_kept(seal))

    def _sealed(self, seal: Signature) -> bytes:
        """Return the end of what was thought, with its seal: the page sends a part's metadata back with it."""
        if self._is_open is Thinking:
            return self._end_part(seal)
        return self._end_part() + self._begin_part(Thinking) + self._end_part(seal)


class ResumableAiSdkChunks(AiSdkChunks):
    """The same for a page that comes back to its chat: a connection may break off without an end."""

    can_resume: ClassVar[bool] = True


def ai_sdk_chunks(wanted: Wanted, _told: Told) -> AiSdkChunks:
    """Return the dialect of a reader: it comes back where its leaving is said to stop nothing, and its chat has a name.

    To who has no way back, an answer that were cut without an end would look whole.
    """
    comes_back = wanted.on_disconnect == "continue" and wanted.chat is not None
    return (ResumableAiSdkChunks if comes_back else AiSdkChunks)(wanted.message_id)


def refusal(refused: ApiError, request_id: str) -> Answer:
    """Return a failure before the stream: the page shows the body as it is, so that it is our sentence alone."""
    status, headers = refusal_head(refused, request_id)
    told = {**headers, "Content-Type": "text/plain; charset=utf-8", "Sluice-Error-Code": refused.failed.code}
    return status, told, refused.failed.message.encode()


def _chunk(kind: str, **data: Any) -> bytes:
    return sse.encode(orjson.dumps({"type": kind, **data}))


def _kept(seal: Signature | None) -> dict[str, Any]:
    return {} if seal is None else {"providerMetadata": {PROVIDER: seals.as_data(seal)}}


def _result(result: ToolResult) -> bytes:
    told = {"toolCallId": result.call_id, "dynamic": True}
    if result.ok:
        return _chunk("tool-output-available", **told, output=result.content)
    return _chunk("tool-output-error", **told, errorText=result.content)


def _metadata(end: Finished) -> dict[str, Any]:
    """Return what the page finds as the message's metadata; usage only where the model server counted it."""
    usage = end.usage and {"inputTokens": end.usage.input_tokens, "outputTokens": end.usage.output_tokens}
    return {**({"usage": usage} if usage else {}), **skipped(end.skipped_lines)}
