"""Ollama's lines: one JSON object each, written as Go writes JSON, stamped when they are made.

Shapes and omissions are the recordings' (tests/captures). Token lines are put together from bytes made once per
answer, because a simulator of 200 streams makes ten thousand of them a second.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

Endpoint = Literal["generate", "chat"]
NS: Final = 1_000_000_000
MIN_EVAL_NS: Final = 1000  # what a real Ollama reports for a single token (recording generate_num_predict_1)
_ESCAPES: Final = ((b"<", rb"\u003c"), (b">", rb"\u003e"), (b"&", rb"\u0026"))
_SEPARATORS: Final = (("\u2028".encode(), rb"\u2028"), ("\u2029".encode(), rb"\u2029"))


def go_json(value: Any) -> bytes:
    """Encode ``value`` as Go's encoding/json does: no spaces, HTML's marks and U+2028/9 escaped, the rest raw."""
    data = orjson.dumps(value)
    for mark, escape in _ESCAPES:
        if mark in data:
            data = data.replace(mark, escape)
    if b"\xe2\x80" in data:
        for mark, escape in _SEPARATORS:
            data = data.replace(mark, escape)
    return data


def rfc3339_nano(time_ns: int) -> str:
    """Return a moment in UTC as Go prints it: up to nine digits of a second, trailing zeros dropped."""
    seconds, rest = divmod(time_ns, NS)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


class Stamper:
    """``created_at`` as bytes; the calendar part is worked out once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._whole = b""

    def __call__(self, time_ns: int) -> bytes:
        """Return the stamp of ``time_ns``, nanoseconds since the epoch."""
        second, rest = divmod(time_ns, NS)
        if second != self._second:
            self._second = second
            self._whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        if not rest:
            return self._whole + b"Z"
        return self._whole + (b".%09d" % rest).rstrip(b"0") + b"Z"


STAMP: Final = Stamper()


@dataclass(frozen=True, slots=True)
class Counters:
    """The numbers of a final line: nanoseconds and tokens."""

    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int

    def as_fields(self) -> dict[str, int]:
        """Return the final line's fields, zeros left out as Ollama does."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


class LineMaker:
    """Makes the lines of one answer.

    Args:
        endpoint: whose shape they have.
        model: the name as the client wrote it.
    """

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._chat = endpoint == "chat"
        self._head = b'{"model":' + go_json(model) + b',"created_at":"'
        if self._chat:
            self._text = b'","message":{"role":"assistant","content":'
            self._thinking = b'","message":{"role":"assistant","content":"","thinking":'
            self._tail = b'},"done":false}\n'
        else:
            self._text = b'","response":'
            self._thinking = b'","response":"","thinking":'
            self._tail = b',"done":false}\n'

    def text(self, part: str, now_ns: int) -> bytes:
        """Return a line with a part of the answer; an empty part occurs at a thinking model's tags."""
        return self._head + STAMP(now_ns) + self._text + go_json(part) + self._tail

    def thinking(self, part: str, now_ns: int) -> bytes:
        """Return a line with a part of the reasoning."""
        return self._head + STAMP(now_ns) + self._thinking + go_json(part) + self._tail

    def call(self, call: Mapping[str, Any], now_ns: int) -> bytes:
        """Return a line with one tool call (chat only: recording chat_tool_call)."""
        calls = b'"","tool_calls":' + go_json([call])
        return self._head + STAMP(now_ns) + self._text + calls + self._tail

    def final(self, reason: str, counters: Counters, context: Sequence[int] | None, now_ns: int) -> bytes:
        """Return the last line."""
        return self.whole(reason, counters, context, now_ns, {}) + b"\n"

    def whole(
        self,
        reason: str | None,
        counters: Counters | None,
        context: Sequence[int] | None,
        now_ns: int,
        said: Mapping[str, Any],
    ) -> bytes:
        """Return the answer as one object without newline: a final line's form, which ``said`` fills.

        Args:
            reason: None for an answer that has no end of its own.
            counters: None for load and unload.
            context: the tokens of prompt and answer; None leaves them out.
            now_ns: when it was made, nanoseconds since the epoch.
            said: ``text``, ``thinking``, ``tool_calls``, where there are any.
        """
        ends: dict[str, Any] = {"done": reason is not None}
        ends |= {"done_reason": reason} if reason is not None else {}
        ends |= {"context": context} if context is not None and not self._chat else {}
        ends |= counters.as_fields() if counters is not None else {}
        return self._head + STAMP(now_ns) + b'",' + go_json(self._said(said) | ends)[1:]

    def _said(self, said: Mapping[str, Any]) -> dict[str, Any]:
        text = said.get("text", "")
        extra = {name: said[name] for name in ("thinking", "tool_calls") if said.get(name)}
        return {"message": {"role": "assistant", "content": text} | extra} if self._chat else {"response": text} | extra
