"""OpenAI's responses as a stream of named events: items that open, grow and close, one at a time. Pure.

    response.created, in_progress
      output_item.added ─ a part is added ─ deltas ─ the part is done ─ output_item.done      for each item
    response.completed, incomplete, or `error` and response.failed

Every event has a number of its own, heartbeats too: some clients count events, and none a comment. The last events
repeat what was said, so the answer is kept, up to a bound.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, assert_never

import orjson

from services.dialects.dialect import DialectName
from services.dialects.foreign import HEARTBEAT_S, Language, Told, Wanted
from services.dialects.gathering import GATHERED_BYTES, TOO_LONG
from services.dialects.openai_error import error_of_end
from services.dialects.openai_response import (
    INCOMPLETE,
    Item,
    ResponseObject,
    WholeResponse,
    arguments_text,
    item_status,
    summary_part,
    text_part,
)
from services.dialects.openai_responses_request import responses
from services.wire import sse
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
)
from services.wire.native import Numbered, TextKind

_NAMES: Final[Mapping[TextKind, tuple[str, str, str]]] = {
    Token: ("response.output_text", "response.content_part", "content_index"),
    Thinking: ("response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index"),
}
"""Of each kind of text: what its events, and those of its part, begin with, and what numbers its part."""


class ResponseEvents:
    """The events of one answer for one reader."""

    headers: ClassVar[Mapping[str, str]] = sse.HEADERS
    heartbeat_s: ClassVar[float | None] = HEARTBEAT_S
    headers_wait: ClassVar[bool] = False
    can_resume: ClassVar[bool] = False

    def __init__(self, wanted: Wanted, told: Told) -> None:
        self._response = ResponseObject(wanted, told)
        self._number = 0
        self._items: list[Item] = []  # those that are closed
        self._kind: TextKind | None = None  # of the item that is open
        self._parts: list[str] = []  # of its text
        self._bytes = 0
        self._form: tuple[bytes, bytes, bytes] = (b"", b"", b"")  # what stands around a delta's number and text

    def open(self, started: Started) -> bytes:
        """Return the first two events."""
        return self._begun(started)

    def frames(self, events: Sequence[Numbered]) -> bytes:
        """Return the events' events."""
        return b"".join([self._frame(event) for _, event in events])

    def text(self, kind: TextKind, _number: int, content: str) -> bytes:
        """Return the delta of one part of text, and before it what opens its item."""
        opened = b"" if kind is self._kind else self._closed("completed") + self._opened(kind)
        self._bytes += len(content.encode())
        if self._bytes <= GATHERED_BYTES:
            self._parts.append(content)
        before, between, behind = self._form
        number, self._number = self._number, self._number + 1
        return b"".join((opened, before, b"%d" % number, between, orjson.dumps(content), behind))

    def status(self, _status: Status) -> bytes:
        """Return nothing: these clients know no such thing."""
        return b""

    def close(self, end: Terminal, _number: int | None = None) -> bytes:
        """Return what closes the open item, and the response; of an answer that is not whole, the error."""
        if self._bytes > GATHERED_BYTES and isinstance(end, Finished):
            end = TOO_LONG
        if (error := error_of_end(end)) is not None:
            return self._broken(error)
        assert isinstance(end, Finished)
        closed = self._closed(item_status(end))
        name = "response.incomplete" if end.reason in INCOMPLETE else "response.completed"
        return closed + self._event(name, response=self._response.finished(end, self._items))

    def heartbeat(self) -> bytes:
        """Return an event that means nothing."""
        return self._event("keepalive")

    def _frame(self, event: Logged) -> bytes:
        match event:
            case Token() | Thinking():
                return self.text(type(event), 0, event.content)
            case Started():
                return self._begun(event)
            case ToolCall():
                return self._closed("completed") + self._called(event)
            case Finished() | Failed():
                return self.close(event)
            case Signature() | ToolResult():  # who runs its own tools is not told of ours, nor of seals
                return b""
            case _:
                assert_never(event)

    def _begun(self, started: Started) -> bytes:
        self._response.begin(started)
        running = self._response.running()
        return self._event("response.created", response=running) + self._event("response.in_progress", response=running)

    def _opened(self, kind: TextKind) -> bytes:
        self._kind = kind
        item = self._item(None, "in_progress")
        name, part_name, part_index = _NAMES[kind]
        at = {"item_id": item["id"], "output_index": len(self._items), part_index: 0}
        more: dict[str, Any] = {"logprobs": []} if kind is Token else {}
        delta = _event_bytes(f"{name}.delta", {"sequence_number": 0, **at, "delta": "", **more})
        before, _, rest = delta.partition(b'"sequence_number":0')
        between, _, behind = rest.partition(b'"delta":""')
        self._form = (before + b'"sequence_number":', between + b'"delta":', behind)
        part = text_part("") if kind is Token else summary_part("")
        added = self._event("response.output_item.added", output_index=len(self._items), item=item)
        return added + self._event(f"{part_name}.added", **at, part=part)

    def _closed(self, status: str) -> bytes:
        """Return what closes the open item, if one is."""
        if self._kind is None:
            return b""
        text = "".join(self._parts)
        item, kind = self._item(text, status), self._kind
        name, part_name, part_index = _NAMES[kind]
        at = {"item_id": item["id"], "output_index": len(self._items), part_index: 0}
        more: dict[str, Any] = {"logprobs": []} if kind is Token else {}
        part = text_part(text) if kind is Token else summary_part(text)
        done = self._event(f"{name}.done", **at, text=text, **more) + self._event(f"{part_name}.done", **at, part=part)
        self._kind = None
        self._parts.clear()
        return done + self._kept(item)

    def _called(self, call: ToolCall) -> bytes:
        arguments, index = arguments_text(call), len(self._items)
        self._bytes += len(arguments)
        item = self._response.call(index, call, "", "in_progress")
        at = {"item_id": item["id"], "output_index": index}
        return b"".join(
            (
                self._event("response.output_item.added", output_index=index, item=item),
                self._event("response.function_call_arguments.delta", **at, delta=arguments),
                self._event("response.function_call_arguments.done", **at, name=call.name, arguments=arguments),
                self._kept(self._response.call(index, call, arguments, "completed")),
            )
        )

    def _kept(self, item: Item) -> bytes:
        self._items.append(item)
        return self._event("response.output_item.done", output_index=len(self._items) - 1, item=item)

    def _broken(self, error: Mapping[str, Any]) -> bytes:
        """Return the failure twice, for some clients read one of its events and some the other.

        The first has the fields of both of its published forms.
        """
        flat = {"code": error["code"], "message": error["message"], "param": None, "error": error}
        failed = self._response.failed(error["message"], self._items)
        return self._event("error", **flat) + self._event("response.failed", response=failed)

    def _item(self, text: str | None, status: str) -> Item:
        make = self._response.message if self._kind is Token else self._response.reasoning
        return make(len(self._items), text, status)

    def _event(self, name: str, /, **data: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return _event_bytes(name, {"sequence_number": number, **data})


def _event_bytes(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **data}))


RESPONSES: Final = Language(DialectName.OPENAI_RESPONSES, responses, ResponseEvents, WholeResponse)
