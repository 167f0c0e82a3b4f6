"""How servers of OpenAI's school refuse: by ``{"error": {"message", "type", "param", "code"}}``, or nearly. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from proxy.providers.adapter import AttemptFailed, Question
from proxy.providers.event_stream import object_in
from proxy.providers.key_check import KeyCheck, judged, names_in
from proxy.providers.openai_request import PARAMETERS
from proxy.providers.refusals import Complaint, failed_in_stream
from proxy.providers.refusals import refusal as refusal_by

_UNSUPPORTED: Final = frozenset({"unsupported_parameter", "unsupported_value"})
_QUOTA: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_NO_MODEL: Final = frozenset({"model_not_found", "model_decommissioned", "model_not_active"})
_RATE: Final = frozenset({"rate_limit_exceeded", "rate_limit_error"})
_STATUS_OF: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout": 504,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error in a stream, which came under 200, would have been as a status; any other is 500."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, question: Question) -> AttemptFailed:
    """Return what an answer with another status than 200 means."""
    error = (object_in(body) or {}).get("error")
    return refusal_by(status, headers, complaint_of(error) if error else None, question)


def failed_by(error: object, question: Question) -> AttemptFailed:
    """Return what an error in the stream means."""
    return failed_in_stream(status_of(error), complaint_of(error), question)


def checked(status: int, body: bytes) -> KeyCheck:
    """Return what the answer to a check of the key has shown."""
    answer = object_in(body) or {}
    error = answer.get("error")
    return judged(status, complaint_of(error) if error else None, names_in(answer, "data", "id"))


def complaint_of(error: object) -> Complaint:
    """Return what an ``error`` says; some servers put words there alone."""
    if not isinstance(error, dict):
        return Complaint(error if isinstance(error, str) else "")
    words = {word for name in ("code", "type") if isinstance(word := error.get(name), str)}
    parameter = _parameter(error)
    return Complaint(
        error["message"] if isinstance(error.get("message"), str) else "",
        is_quota=bool(words & _QUOTA),
        is_key="invalid_api_key" in words,
        is_model=bool(words & _NO_MODEL),
        is_rate=bool(words & _RATE),
        is_chance="tool_use_failed" in words,
        without=parameter if words & _UNSUPPORTED and parameter in PARAMETERS else None,
    )


def status_of(error: object) -> int:
    """Return the status that an error in the stream stands for."""
    if not isinstance(error, dict):
        return 500
    code = error.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return code
    return next(
        (_STATUS_OF[word] for word in (code, error.get("type")) if isinstance(word, str) and word in _STATUS_OF), 500
    )


def _parameter(error: Mapping[str, Any]) -> str:
    """Return the parameter that is complained of, the outermost where it is nested."""
    parameter = error.get("param")
    return parameter.partition(".")[0] if isinstance(parameter, str) else ""
