"""How a failure is told in OpenAI's languages: one object, before a stream and inside it. Pure."""

from typing import Any, Final

import orjson

from services.dialects.dialect import Answer
from services.dialects.foreign import refusal_head
from services.wire import native
from services.wire.event_data import skipped
from services.wire.events import RULES, ApiError, Failed, Finished, FinishReason, Terminal

STOPPED: Final = "The answer was stopped."
_STOPS: Final = frozenset({FinishReason.CANCELLED, FinishReason.ABANDONED})
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_NOT_OFFERED: Final = "unsupported_parameter"
"""OpenAI's code, which clients know how to read, where a field is what is wrong."""


def refusal(refused: ApiError, request_id: str) -> Answer:
    """Return a failure before the stream."""
    status, headers = refusal_head(refused, request_id)
    error = error_of(refused.failed)
    if refused.param is not None:
        error |= {"param": refused.param, "code": _NOT_OFFERED}
    return status, headers, orjson.dumps({"error": error})


def error_of(failed: Failed) -> dict[str, Any]:
    """Return the error object of a failure: the code is ours, the type follows from its HTTP status."""
    return {"message": failed.message, "type": _type_of(RULES[failed.code].status), "param": None, "code": failed.code}


def error_of_end(end: Terminal) -> dict[str, Any] | None:
    """Return the error object of an answer that is not whole; None if it is."""
    if isinstance(end, Failed):
        return {**error_of(end), **skipped(end.skipped_lines)}
    if end.reason in _STOPS:
        stopped = {"message": STOPPED, "type": "server_error", "param": None, "code": end.reason}
        return {**stopped, **skipped(end.skipped_lines)}
    return None


def stopped_answer(end: Finished) -> Answer | None:
    """Return the whole answer's place where it was stopped; None if it was not."""
    error = error_of_end(end)
    if error is None:
        return None
    return 409, {**native.JSON_HEADERS, "x-should-retry": "false"}, orjson.dumps({"error": error})


def _type_of(status: int) -> str:
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
