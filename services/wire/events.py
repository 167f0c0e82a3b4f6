"""What can happen in an answer.

How it can end has its words in ``ends.py``, which this module hands on.

The terminal rule: a log holds exactly one event of :data:`Terminal`, and it is the last one. It is enforced
where events are numbered, in ``proxy/streams/log.py``, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from services.wire.ends import (
    OUTCOMES,
    RULES,
    Code,
    ConnectionEnd,
    FinishReason,
    Outcome,
    Rule,
    Stage,
    outcome_of,
)

__all__ = [  # what is handed on: how an answer can end belongs to what can happen in one
    "OUTCOMES",
    "RULES",
    "Code",
    "ConnectionEnd",
    "FinishReason",
    "Outcome",
    "Rule",
    "Stage",
    "outcome_of",
]


class Phase(StrEnum):
    """What a stream is waiting for: before the first content of a turn, and between two turns."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    LOADING = "loading"
    PREFILL = "prefill"
    WAITING = "waiting"
    RETRYING = "retrying"
    TOOL = "tool"
    APPROVAL = "approval"


class Approval(StrEnum):
    """What became of a call that a person had to approve."""

    GIVEN = "given"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Started:
    """The stream exists; ``resume_window_s`` is how long it goes on while nobody follows it.

    ``tools`` are those of the server that the model is offered; None where none were asked for.
    """

    stream_id: str
    model: str
    resume_window_s: float
    tools: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What the stream waits for; it has no number and is not in the log.

    ``server`` is who of several is asked now; ``name`` and ``call_id`` are a tool's and its call's.
    """

    phase: Phase
    position: int | None = None
    attempt: int | None = None
    server: str | None = None
    name: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """A part of the model's reasoning: content, never empty."""

    content: str


@dataclass(frozen=True, slots=True)
class Token:
    """A part of the answer's text: content, never empty."""

    content: str


ARGUMENTS_DEPTH: Final = 128
"""Deepest arguments of a tool call: what was streamed fits a request's depth (validation.py) as history."""
MAX_SIGNATURE_BYTES: Final = 64 << 10
"""Longest data of one, as JSON."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A provider's seal on what the model thought, after which it is told: no content, and opaque to all but them.

    Who sends the conversation on sends it back, and it reaches that provider alone (request.py, ``extra``).
    """

    provider: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool: content. ``extra`` is the seal on this call, which goes back with it.

    ``runs_here`` is said of one that the server runs, and ``needs_approval`` if a person is asked before.
    """

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    extra: Signature | None = None
    runs_here: bool = False
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered that the server ran, or why it did not run; ``approval`` where a person was asked."""

    call_id: str
    name: str
    ok: bool
    content: str
    duration_ms: float
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model server counted them, never an estimate; None where it did not say.

    ``reasoning_tokens`` are those of the output that were thought, shown or not.
    """

    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The model server's own end of an answer; only this proves that the answer is whole.

    Attributes:
        load_s, prefill_s: as it measured them; None where it did not say.
        fields: its last fields as they came: the reason, and every counter and duration.
    """

    reason: FinishReason
    usage: Usage | None
    load_s: float | None
    prefill_s: float | None
    decode_s: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of a stream went, in milliseconds by the proxy's clock; None where it is not known.

    ``decode_ms`` alone is the model server's own word: what it held back, no clock of ours saw. ``tools_ms`` is how
    long a tool ran or waited and no turn did; None where none were asked for.
    """

    queue_ms: float
    load_ms: float | None
    prefill_ms: float | None
    decode_ms: float | None
    ttft_ms: float | None
    total_ms: float
    tokens_per_s: float | None
    tools_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ServedBy:
    """Who answered, and after how many upstream calls.

    Attributes:
        model: as the one who answered calls it.
        server: its name, where its operator gave it one.
        dropped: options that were asked for and that it does not know.
    """

    provider: str
    model: str
    attempts: int
    server: str | None = None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is over and did not fail.

    ``usage`` is None unless the model server reported it; ``chunks`` (content events) and ``bytes`` (UTF-8 text of
    Thinking and Token) are always exact. ``last_word`` holds the model server's own final fields as they came.
    """

    reason: FinishReason
    usage: Usage | None
    chunks: int
    bytes: int
    timing: Timing
    served_by: ServedBy | None
    skipped_lines: int = 0
    last_word: Mapping[str, Any] = field(default_factory=dict)
    turns: int | None = None  # where tools of the server were asked for


@dataclass(frozen=True, slots=True)
class TriedServer:
    """A model server that did not answer, by its operator's name, and why not, in a word."""

    server: str
    code: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer is over and is not whole; what was shown stays.

    ``retryable`` None means what the code's rule says; ``skipped_lines`` counts what was left out; ``tried`` is what
    became of each of several servers.
    """

    code: Code
    message: str
    stage: Stage | None = None
    retryable: bool | None = None
    skipped_lines: int = 0
    tried: tuple[TriedServer, ...] = ()

    @property
    def may_retry(self) -> bool:
        """Whether asking again may help."""
        return RULES[self.code].retryable if self.retryable is None else self.retryable


Content = Thinking | Token | ToolCall
Terminal = Finished | Failed
Control = Started | Status | Signature | ToolResult | Terminal
"""What is no content: the gateway counts content as the difference of numbers less the frames of these."""
Logged = Started | Content | Signature | ToolResult | Terminal
Event = Content | Control

EVENT_NAMES: Final[Mapping[type[Event], str]] = {
    Started: "start",
    Status: "status",
    Thinking: "thinking",
    Token: "token",
    Signature: "signature",
    ToolCall: "tool_call",
    ToolResult: "tool_result",
    Finished: "done",
    Failed: "error",
}


def reason_of(end: Terminal) -> str:
    """Return the word for ``end`` in metrics and logs: its finish reason or its error code, verbatim."""
    return str(end.reason) if isinstance(end, Finished) else str(end.code)


class ApiError(Exception):
    """A request that ends before its stream: its code says the HTTP status.

    Args:
        failed: what the caller is told.
        retry_after_s: what the Retry-After header says; every 429 and 503 has one.
        close: whether the connection is closed behind the answer.
        param: the field that was asked for and is not offered, if that is why.
    """

    def __init__(
        self, failed: Failed, *, retry_after_s: int | None = None, close: bool = False, param: str | None = None
    ) -> None:
        super().__init__(failed.code)
        self.failed = failed
        self.retry_after_s = retry_after_s
        self.close = close
        self.param = param


def shutting_down(chance: float) -> ApiError:
    """Return the refusal of a new stream while a server drains: in 1 to 3 s, jittered, lest all come back at once.

    Args:
        chance: a random number in [0, 1).
    """
    failed = Failed(Code.SHUTTING_DOWN, "This server is shutting down. Ask again in a moment.")
    return ApiError(failed, retry_after_s=1 + int(3 * chance), close=True)
