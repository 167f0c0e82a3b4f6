"""How Anthropic refuses: ``{"type": "error", "error": {"type", "message"}}``. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from proxy.providers.adapter import AttemptFailed, Question
from proxy.providers.anthropic_request import PARAMETERS
from proxy.providers.event_stream import object_in
from proxy.providers.key_check import KeyCheck, judged, names_in
from proxy.providers.refusals import Complaint, failed_in_stream
from proxy.providers.refusals import refusal as refusal_by

_STATUS_OF: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error in a stream, which came under 200, would have been as a status; any other is 500."""
_SPENT: Final = re.compile(r"\bcredit balance\b|\bspend(?:ing)? limit\b|\busage limits?\b", re.IGNORECASE)
"""A 400 that is a bill."""
_PARAMETER: Final = re.compile(
    r"^`?(?P<name>[a-z_]+)(?:\.[\w.]+)?`?:? .*(?:not permitted|not supported|deprecated|may only be set|cannot)",
    re.ASCII | re.IGNORECASE,
)
"""``temperature: Extra inputs are not permitted``; "`temperature` is deprecated for this model.\""""


def refusal(status: int, headers: Mapping[str, str], body: bytes, question: Question) -> AttemptFailed:
    """Return what an answer with another status than 200 means."""
    error = (object_in(body) or {}).get("error")
    return refusal_by(status, headers, complaint_of(error) if isinstance(error, dict) else None, question)


def failed_by(error: object, question: Question) -> AttemptFailed:
    """Return what an error in the stream means."""
    said = error if isinstance(error, dict) else {}
    kind = said.get("type")
    status = _STATUS_OF.get(kind, 500) if isinstance(kind, str) else 500
    return failed_in_stream(status, complaint_of(said), question)


def checked(status: int, body: bytes) -> KeyCheck:
    """Return what the answer to a check of the key has shown."""
    answer = object_in(body) or {}
    error = answer.get("error")
    return judged(status, complaint_of(error) if isinstance(error, dict) else None, names_in(answer, "data", "id"))


def complaint_of(error: Mapping[str, object]) -> Complaint:
    """Return what an ``error`` says."""
    message = error.get("message")
    words = message if isinstance(message, str) else ""
    parameter = _PARAMETER.match(words)
    return Complaint(
        words,
        is_quota=error.get("type") == "billing_error" or _SPENT.search(words) is not None,
        is_key=error.get("type") == "authentication_error",
        without=parameter["name"] if parameter and parameter["name"] in PARAMETERS else None,
    )
