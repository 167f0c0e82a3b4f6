"""Every way in which an answer can end, or a request for one be refused.

The one vocabulary of ends: a ``reason`` in a frame, a metric label or a log line is a :class:`FinishReason`,
a :class:`ConnectionEnd` or a :class:`Code`, verbatim. PROTOCOL.md's tables are held to this file by a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FinishReason(StrEnum):
    """How an answer that did not fail came to its end."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


class ConnectionEnd(StrEnum):
    """How a connection may end while its answer goes on: never in a frame."""

    CLIENT_GONE = "client_gone"
    SLOW_CLIENT = "slow_client"
    HANDED_OVER = "handed_over"


class Stage(StrEnum):
    """Which limit an ``upstream_timeout`` ran into."""

    CONNECT = "connect"
    FIRST_TOKEN = "first_token"  # noqa: S105  a stage, not a password
    IDLE = "idle"
    TOTAL = "total"


class Code(StrEnum):
    """The name of a failure; :data:`RULES` says what follows from it."""

    INVALID_REQUEST = "invalid_request"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    REQUEST_TIMEOUT = "request_timeout"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISDIRECTED = "misdirected"
    STREAM_GONE = "stream_gone"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"
    OVERLOADED = "overloaded"
    QUEUE_TIMEOUT = "queue_timeout"
    SHUTTING_DOWN = "shutting_down"
    STORE_UNAVAILABLE = "store_unavailable"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_DISCONNECTED = "upstream_disconnected"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    UPSTREAM_UNAUTHORIZED = "upstream_unauthorized"
    UPSTREAM_MALFORMED = "upstream_malformed"
    UPSTREAM_ERROR = "upstream_error"
    INTERNAL = "internal"


class Outcome(StrEnum):
    """Whose doing an end was, for the log lines of both servers; :func:`outcome_of` says it of every end."""

    OK = "ok"
    CLIENT = "client"
    SHED = "shed"
    UPSTREAM = "upstream"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from a code: the HTTP status before the stream, whether asking again may help, whose doing it is."""

    status: int
    retryable: bool
    outcome: Outcome


RULES: Final[Mapping[Code, Rule]] = {
    Code.INVALID_REQUEST: Rule(400, retryable=False, outcome=Outcome.CLIENT),
    Code.PAYLOAD_TOO_LARGE: Rule(413, retryable=False, outcome=Outcome.CLIENT),
    Code.UNSUPPORTED_MEDIA_TYPE: Rule(415, retryable=False, outcome=Outcome.CLIENT),
    Code.REQUEST_TIMEOUT: Rule(408, retryable=True, outcome=Outcome.CLIENT),
    Code.UNAUTHORIZED: Rule(401, retryable=False, outcome=Outcome.CLIENT),
    Code.FORBIDDEN: Rule(403, retryable=False, outcome=Outcome.CLIENT),
    Code.NOT_FOUND: Rule(404, retryable=False, outcome=Outcome.CLIENT),
    Code.METHOD_NOT_ALLOWED: Rule(405, retryable=False, outcome=Outcome.CLIENT),
    Code.MISDIRECTED: Rule(421, retryable=False, outcome=Outcome.CLIENT),
    Code.STREAM_GONE: Rule(410, retryable=False, outcome=Outcome.CLIENT),
    Code.MODEL_NOT_FOUND: Rule(404, retryable=False, outcome=Outcome.CLIENT),
    Code.MODEL_NOT_ALLOWED: Rule(403, retryable=False, outcome=Outcome.CLIENT),
    Code.IDEMPOTENCY_CONFLICT: Rule(409, retryable=False, outcome=Outcome.CLIENT),
    Code.CONFLICT: Rule(409, retryable=False, outcome=Outcome.CLIENT),
    Code.RATE_LIMITED: Rule(429, retryable=True, outcome=Outcome.CLIENT),
    Code.CONCURRENCY_LIMITED: Rule(429, retryable=True, outcome=Outcome.SHED),
    Code.OVERLOADED: Rule(503, retryable=True, outcome=Outcome.SHED),
    Code.QUEUE_TIMEOUT: Rule(503, retryable=True, outcome=Outcome.SHED),
    Code.SHUTTING_DOWN: Rule(503, retryable=True, outcome=Outcome.SHED),
    Code.STORE_UNAVAILABLE: Rule(503, retryable=True, outcome=Outcome.INTERNAL),
    Code.UPSTREAM_UNAVAILABLE: Rule(503, retryable=True, outcome=Outcome.UPSTREAM),
    Code.UPSTREAM_TIMEOUT: Rule(504, retryable=True, outcome=Outcome.UPSTREAM),
    Code.UPSTREAM_DISCONNECTED: Rule(502, retryable=True, outcome=Outcome.UPSTREAM),
    Code.UPSTREAM_TRUNCATED: Rule(502, retryable=True, outcome=Outcome.UPSTREAM),
    Code.UPSTREAM_UNAUTHORIZED: Rule(502, retryable=False, outcome=Outcome.UPSTREAM),
    Code.UPSTREAM_MALFORMED: Rule(502, retryable=False, outcome=Outcome.UPSTREAM),
    Code.UPSTREAM_ERROR: Rule(502, retryable=True, outcome=Outcome.UPSTREAM),
    Code.INTERNAL: Rule(500, retryable=False, outcome=Outcome.INTERNAL),
}
OUTCOMES: Final[Mapping[str, Outcome]] = {
    **dict.fromkeys(FinishReason, Outcome.OK),
    FinishReason.CANCELLED: Outcome.CLIENT,
    FinishReason.ABANDONED: Outcome.CLIENT,
    **dict.fromkeys(ConnectionEnd, Outcome.CLIENT),
    **{code: rule.outcome for code, rule in RULES.items()},
}
"""Whose doing each end was."""


def outcome_of(reason: str) -> Outcome:
    """Return whose doing an end was; a word that we do not know came from the server that was asked."""
    return OUTCOMES.get(reason, Outcome.UPSTREAM)
