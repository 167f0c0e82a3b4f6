"""How Gemini refuses: ``{"error": {"code", "message", "status", "details"}}``, sometimes inside a list. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.providers.adapter import AttemptFailed, Question
from proxy.providers.event_stream import object_in
from proxy.providers.key_check import KeyCheck, judged, names_in
from proxy.providers.refusals import Complaint, failed_in_stream
from proxy.providers.refusals import refusal as refusal_by
from proxy.providers.retry_after import duration_s

_BAD_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
_PER_DAY: Final = "PerDay"
"""In the id of a quota that does not come back in a minute."""
_PRECONDITION: Final = "FAILED_PRECONDITION"
"""A 400 that is about where we are, or who pays: nothing of the request would change it."""
_MODELS: Final = "models/"


def refusal(status: int, headers: Mapping[str, str], body: bytes, question: Question) -> AttemptFailed:
    """Return what an answer with another status than 200 means."""
    error = (object_in(body) or {}).get("error")
    if not isinstance(error, dict):
        return refusal_by(status, headers, None, question)
    return refusal_by(403 if _is_precondition(status, error) else status, headers, complaint_of(error), question)


def failed_by(error: object, question: Question) -> AttemptFailed:
    """Return what an error in the stream means."""
    said = error if isinstance(error, dict) else {}
    code = said.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return failed_in_stream(403 if _is_precondition(status, said) else status, complaint_of(said), question)


def checked(status: int, body: bytes) -> KeyCheck:
    """Return what the answer to a check of the key has shown."""
    answer = object_in(body) or {}
    error = answer.get("error")
    names = (name.removeprefix(_MODELS) for name in names_in(answer, "models", "name"))
    return judged(status, complaint_of(error) if isinstance(error, dict) else None, names)


def complaint_of(error: Mapping[str, Any]) -> Complaint:
    """Return what an ``error`` says: much of it stands in its details."""
    message, details = error.get("message"), list(_details(error))
    reasons = {reason for one in details if isinstance(reason := one.get("reason"), str)}
    quotas = [quota for one in details for quota in _quotas(one)]
    delays = [delay for one in details if isinstance(delay := one.get("retryDelay"), str)]
    return Complaint(
        message if isinstance(message, str) else "",
        is_key=bool(reasons & _BAD_KEY),
        is_quota=any(_PER_DAY in quota for quota in quotas),
        wait_s=next((wait for delay in delays if (wait := duration_s(delay)) is not None), None),
    )


def _is_precondition(status: int, error: Mapping[str, Any]) -> bool:
    return status == 400 and error.get("status") == _PRECONDITION


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    return (one for one in details if isinstance(one, dict)) if isinstance(details, list) else iter(())


def _quotas(detail: Mapping[str, Any]) -> Iterator[str]:
    violations = detail.get("violations")
    for one in violations if isinstance(violations, list) else ():
        if isinstance(one, dict) and isinstance(quota := one.get("quotaId"), str):
            yield quota
