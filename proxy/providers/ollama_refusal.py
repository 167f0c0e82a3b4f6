"""How Ollama fails: its error lines, and its answers with another status than 200. Pure.

Words are taken from the ``error`` of a JSON object alone: what stands in between, a CDN or a web server, answers with
pages of its own, whose words are not the model server's.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from proxy.providers.adapter import AttemptFailed
from proxy.providers.key_check import KeyCheck, judged, names_in
from proxy.providers.no_answer import NO_ANSWER
from proxy.providers.scrubbing import scrubbed
from services.wire import json_text
from services.wire.events import Code, Failed

_TOLD: Final = {400: Code.INVALID_REQUEST, 404: Code.MODEL_NOT_FOUND}
"""What Ollama means by these, if it was Ollama who said them."""
_SHAPE: Final = frozenset({"error", "Status", "StatusCode", "signin_url"})
"""All keys of Ollama's own errors; a web framework's have others (`detail`, `path`, `timestamp`) beside `error`."""
_IN_VAIN: Final = re.compile(
    r"""
      tool\ call\ arguments\b.*\bunexpected\ end\ of\ JSON     # the call was cut, by num_predict or a full context
    | \b(?:process|runner)\ has\ terminated                    # while it loaded: later it is "unexpected EOF"
    | \bwaiting\ for\ .*\bto\ start\b
    | \brequires\ more\ system\ memory\b
    | \b(?:failed|unable|error|cannot)\ (?:to\ )?load(?:ing)?\b    # a file or a tensor of the model
    | \bunknown\ model\ architecture\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What the same request meets again: a tool call cut short, and a model that cannot be loaded."""
_BUSY: Final = Failed(
    Code.UPSTREAM_UNAVAILABLE, "AI unavailable. The model server is busy or not ready; ask again later."
)


def failed_by(error: object, asked: str | None) -> Failed:
    """Return the failure that an error line reports.

    Args:
        asked: the model's name as it was asked for, which may be told.
    """
    words = scrubbed(error, asked)
    return _failed(words or "The model server failed.")


def refusal(status: int, headers: Mapping[str, str], body: bytes, asked: str | None) -> AttemptFailed:
    """Return what an answer with another status than 200 means."""
    if status in {429, 502, 503}:
        return AttemptFailed(_BUSY, str(status), wait_s=_retry_after_s(headers))
    answer = _object_in(body)
    words = scrubbed(answer.get("error"), asked)
    if status in _TOLD and words and isinstance(answer["error"], str) and answer.keys() <= _SHAPE:
        return AttemptFailed(Failed(_TOLD[status], words), str(status), again=False, next=status != 400)
    failed = _failed(words or f"The model server answered {status}.")
    if status == 500:
        return AttemptFailed(failed, "500", again=failed.may_retry, wait_s=_retry_after_s(headers))
    return AttemptFailed(replace(failed, retryable=status >= 500 and failed.may_retry), "other", again=False)


def of_passed(status: int, headers: Mapping[str, str], body: bytes, asked: str | None) -> AttemptFailed | None:
    """Return what is wrong with an answer that is passed through; None if it may be: an object of JSON under 200."""
    if status != 200:
        return refusal(status, headers, body, asked)
    return None if _object_in(body) else AttemptFailed(NO_ANSWER, "other", again=False)


def _failed(message: str) -> Failed:
    return Failed(Code.UPSTREAM_ERROR, message, retryable=False if _IN_VAIN.search(message) else None)


def _object_in(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json_text.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    given = headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 10 else None


def checked(status: int, body: bytes) -> KeyCheck:
    """Return what the answer to a check has shown."""
    return judged(status, None, names_in(_object_in(body), "models", "name"))
