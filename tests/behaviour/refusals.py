"""What every failure must look like, before the stream and in it, whichever server tells it."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from multidict import CIMultiDict

from services.wire.events import RULES, Code
from tests.reader import Answer

GENERATE: Final = "/api/generate/stream"
SHAPE: Final = {"code", "message", "retryable", "request_id"}
TOLD_BEHIND_A_WAIT: Final = frozenset({429, 503})
UNFIT: Final = re.compile(
    r"Traceback|File \"|\.py\b|aiohttp|127\.0\.0\.1|localhost|\d+\.\d+\.\d+|(?<!\w)/(?!\w* )[\w.]+/|:\d{4,5}\b"
)
MAX_BYTES: Final = 1024


def asking(model: str, **fields: Any) -> dict[str, Any]:
    """A body that both servers take."""
    return {"model": model, "prompt": "hi", **fields}


def parsed(raw: bytes) -> Answer:
    """Return the one answer that a raw exchange brought."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return Answer(int(first.split()[1]), CIMultiDict((name, value) for name, _, value in pairs), body=body)


def refused(answer: Answer, code: Code, *, retryable: bool | None = None) -> Mapping[str, Any]:
    """Assert that ``answer`` is the refusal ``code`` in our shape, and return its error object."""
    error: dict[str, Any] = json.loads(answer.body)["error"]
    check_head(answer, code)
    check_object(error, code, retryable=retryable)

    assert set(json.loads(answer.body)) == {"error"}
    assert error["request_id"] == answer.headers["X-Request-Id"]
    return error


def refused_as_ollama(answer: Answer, code: Code) -> str:
    """Assert that ``answer`` is the refusal ``code`` in Ollama's shape, and return its words."""
    check_head(answer, code)
    words = json.loads(answer.body)["error"]

    assert json.loads(answer.body) == {"error": words}
    assert answer.headers["Sluice-Error-Code"] == code
    assert isinstance(words, str)
    assert words
    assert not UNFIT.search(words)
    return str(words)


def failed_wordless(answer: Answer, code: Code) -> Mapping[str, Any]:
    """Assert that ``answer`` failed before its first word, and return its error object.

    A refusal, or an event: on a slow machine several attempts outlast the second that the headers wait.
    """
    return failed(answer, code) if answer.events else refused(answer, code)


def failed(answer: Answer, code: Code, *, retryable: bool | None = None) -> Mapping[str, Any]:
    """Assert that ``answer`` is a stream that ends in the error event ``code``, and return its error object."""
    last, data = answer.events[-1], answer.data[-1]
    frame = {"type": "error"} if "type" in data else {"token": "", "done": True}
    check_object(data["error"], code, retryable=retryable)

    assert (answer.status, last.type, answer.reason) == (200, "error", code)
    assert {**data, "skipped_lines": 0} == {**frame, "error": data["error"], "skipped_lines": 0}
    assert data["error"]["request_id"] == answer.headers["X-Request-Id"]
    assert answer.ended_cleanly
    return dict(data["error"])


def check_head(answer: Answer, code: Code) -> None:
    """Status, type, size, and Retry-After where a wait is owed."""
    assert answer.status == RULES[code].status
    assert answer.headers["Content-Type"].startswith("application/json")
    assert len(answer.body) <= MAX_BYTES
    assert ("Retry-After" in answer.headers) is (answer.status in TOLD_BEHIND_A_WAIT)
    assert int(answer.headers.get("Retry-After", 1)) >= 1


def check_object(error: Mapping[str, Any], code: Code, *, retryable: bool | None) -> None:
    """Its fields, its words, and whether asking again may help."""
    assert set(error) - {"stage"} == SHAPE
    assert ("stage" in error) is (code is Code.UPSTREAM_TIMEOUT)
    assert error["code"] == code
    assert error["retryable"] is (RULES[code].retryable if retryable is None else retryable)
    assert error["message"]
    assert not UNFIT.search(error["message"])
