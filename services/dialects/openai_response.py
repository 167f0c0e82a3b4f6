"""The objects of OpenAI's responses: the response itself, its items, its usage. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from services.dialects.dialect import Answer
from services.dialects.estimate import input_tokens
from services.dialects.foreign import Told, Wanted, sealed, shown_id
from services.dialects.openai_error import stopped_answer
from services.wire import native
from services.wire.event_data import skipped
from services.wire.events import Finished, FinishReason, Started, Thinking, Token, ToolCall, Usage
from services.wire.native import Numbered

Item = dict[str, Any]
INCOMPLETE: Final[Mapping[FinishReason, str]] = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
}
"""Why an answer that did not fail is not complete."""


class ResponseObject:
    """One response, in whichever state it is shown.

    Args:
        wanted: what it answers; nothing is kept of it but its length, and the form of its answer.
    """

    def __init__(self, wanted: Wanted, told: Told) -> None:
        self._told = told
        self._estimate = input_tokens(wanted.request)
        self._text_format = wanted.text_format or {"type": "text"}
        self._stream_id = ""

    def begin(self, started: Started) -> None:
        """Give it, and its items, their ids."""
        self._stream_id = started.stream_id

    def running(self) -> dict[str, Any]:
        """Return it while it is being made."""
        return self._in_state("in_progress", ())

    def finished(self, end: Finished, items: Sequence[Item]) -> dict[str, Any]:
        """Return it as it came to its end."""
        reason = INCOMPLETE.get(end.reason)
        more = {
            "incomplete_details": None if reason is None else {"reason": reason},
            "usage": self._usage(end.usage, end.chunks),
            **skipped(end.skipped_lines),
        }
        return self._in_state("completed" if reason is None else "incomplete", items, **more)

    def failed(self, message: str, items: Sequence[Item]) -> dict[str, Any]:
        """Return it as it failed: of its codes there is one for what is nobody's question."""
        return self._in_state("failed", items, error={"code": "server_error", "message": message})

    def message(self, index: int, text: str | None, status: str) -> Item:
        """Return an item of text; without text while there is none yet."""
        content = [] if text is None else [text_part(text)]
        item = {"id": self._item_id("msg_", index), "type": "message", "role": "assistant"}
        return {**item, "status": status, "content": content}

    def reasoning(self, index: int, text: str | None, status: str) -> Item:
        """Return an item of what the model thought."""
        summary = [] if text is None else [summary_part(text)]
        return {"id": self._item_id("rs_", index), "type": "reasoning", "status": status, "summary": summary}

    def call(self, index: int, call: ToolCall, arguments: str, status: str) -> Item:
        """Return an item of a call; its arguments are text."""
        named = {"call_id": call.call_id, "name": call.name, "arguments": arguments}
        return {"id": self._item_id("fc_", index), "type": "function_call", "status": status, **named, **sealed(call)}

    def _item_id(self, prefix: str, index: int) -> str:
        return shown_id(prefix, self._stream_id, str(index))

    def _in_state(self, status: str, items: Sequence[Item], **more: Any) -> dict[str, Any]:
        return {
            "id": shown_id("resp_", self._stream_id),
            "object": "response",
            "created_at": self._told.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._told.model,
            "output": list(items),
            "parallel_tool_calls": True,
            "store": False,
            "text": {"format": self._text_format},
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
            **more,
        }

    def _usage(self, usage: Usage | None, chunks: int) -> dict[str, Any]:
        """Return the tokens, which these clients cannot do without: what was not counted is estimated."""
        given = usage or Usage(None, None)
        asked = self._estimate if given.input_tokens is None else given.input_tokens
        answered = chunks if given.output_tokens is None else given.output_tokens
        return {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answered,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + answered,
        }


class WholeResponse:
    """The whole answer for one reader."""

    def __init__(self, wanted: Wanted, told: Told) -> None:
        self._response = ResponseObject(wanted, told)

    def whole(self, events: Sequence[Numbered], end: Finished) -> Answer:
        """Return the answer; one that was stopped is not whole, and an error."""
        if (stopped := stopped_answer(end)) is not None:
            return stopped
        items: list[Item] = []
        status = item_status(end)
        for _, event in events:
            match event:
                case Started():
                    self._response.begin(event)
                case Token(text):
                    items.append(self._response.message(len(items), text, status))
                case Thinking(text):
                    items.append(self._response.reasoning(len(items), text, status))
                case ToolCall():
                    items.append(self._response.call(len(items), event, arguments_text(event), "completed"))
                case _:  # who runs its own tools is not told of ours
                    pass
        return 200, native.JSON_HEADERS, orjson.dumps(self._response.finished(end, items))


def item_status(end: Finished) -> str:
    """Return what an item is that was being written at the end."""
    return "incomplete" if end.reason in INCOMPLETE else "completed"


def arguments_text(call: ToolCall) -> str:
    """Return a call's arguments as these languages write them."""
    return orjson.dumps(call.arguments).decode()


def text_part(text: str) -> dict[str, Any]:
    """Return the one part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def summary_part(text: str) -> dict[str, Any]:
    """Return the one part of what was thought."""
    return {"type": "summary_text", "text": text}
