"""What refusals mean, by status and body.

`proxy/providers/refusals.py`, `proxy/providers/openai_refusal.py`, `proxy/providers/anthropic_refusal.py`,
`proxy/providers/gemini_refusal.py`
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from proxy.providers.adapter import AttemptFailed
from proxy.providers.kinds import PROVIDERS
from services.wire.events import Code
from tests.proxy.providers.cloud_speech import CLOUDS, question

UNAVAILABLE, UNAUTHORIZED = Code.UPSTREAM_UNAVAILABLE, Code.UPSTREAM_UNAUTHORIZED
INVALID, ERROR, NO_MODEL = Code.INVALID_REQUEST, Code.UPSTREAM_ERROR, Code.MODEL_NOT_FOUND
TIMEOUT = Code.UPSTREAM_TIMEOUT


def of_openai(message: str = "it says so", **fields: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, "param": None, **fields}})


def of_anthropic(message: str = "it says so", kind: str = "api_error") -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def of_gemini(message: str = "it says so", status: str = "", details: Any = ()) -> bytes:
    return orjson.dumps({"error": {"code": 400, "message": message, "status": status, "details": details}})


BODIES: dict[str, Callable[..., bytes]] = {
    "openai": of_openai,
    "groq": of_openai,
    "anthropic": of_anthropic,
    "gemini": of_gemini,
}


def refused(
    provider: str, status: int, body: bytes, headers: dict[str, str] | None = None, **fields: Any
) -> AttemptFailed:
    return PROVIDERS[provider].adapter(question(**fields)).refused(status, headers or {}, body)


# --- what a status means to all of them: code, word, again, next
STATUSES: dict[int, tuple[Code, str, bool, bool]] = {
    400: (INVALID, "400", False, False),
    401: (UNAUTHORIZED, "401", False, True),
    402: (UNAVAILABLE, "quota", False, True),
    403: (UNAUTHORIZED, "403", False, True),
    404: (NO_MODEL, "404", False, True),
    408: (TIMEOUT, "error", True, True),
    409: (ERROR, "error", True, True),
    413: (INVALID, "400", False, False),
    415: (INVALID, "400", False, False),
    418: (ERROR, "error", False, True),
    422: (INVALID, "400", False, False),
    429: (UNAVAILABLE, "429", True, True),
    498: (UNAVAILABLE, "429", True, True),
    **dict.fromkeys((500, 502, 503, 520, 522, 524, 529), (ERROR, "5xx", True, True)),
    504: (TIMEOUT, "5xx", True, True),
    302: (ERROR, "error", False, True),
    501: (ERROR, "error", False, True),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("provider", CLOUDS)
def test_the_table_of_statuses(provider: str, status: int) -> None:
    refusal = refused(provider, status, BODIES[provider]())

    assert (refusal.failed.code, refusal.why, refusal.again, refusal.next) == STATUSES[status]
    kept = refusal.failed.code not in {UNAVAILABLE, UNAUTHORIZED}
    assert (refusal.failed.message == "it says so") is kept


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("provider", CLOUDS)
def test_the_words_of_a_refused_key_are_never_passed_on(provider: str, status: int) -> None:
    message = refused(
        provider, status, BODIES[provider]("Incorrect API key provided: sk-abcdefgh12345678")
    ).failed.message

    assert "key" in message
    assert "sk-" not in message


@pytest.mark.parametrize("provider", CLOUDS)
def test_no_piece_of_our_key_is_in_any_words(provider: str) -> None:
    key = "sk-proj-abcdefgh12345678"

    message = refused(
        provider, 400, BODIES[provider](f"no {key[3:14]} and {key} but {key[:7]}"), key=key
    ).failed.message

    assert message == "no … and … but sk-proj"


# --- what a body adds
SAYS: dict[str, tuple[str, int, bytes, tuple[Code, str, bool, bool]]] = {
    "OpenAI's quota": ("openai", 429, of_openai(code="insufficient_quota"), (UNAVAILABLE, "quota", False, True)),
    "OpenAI's limit": ("openai", 429, of_openai(code="rate_limit_exceeded"), (UNAVAILABLE, "429", True, True)),
    "a key in a 400": ("openai", 400, of_openai(code="invalid_api_key"), (UNAUTHORIZED, "401", False, True)),
    "no model in a 400": ("groq", 400, of_openai(code="model_decommissioned"), (NO_MODEL, "404", False, True)),
    "too long": ("openai", 400, of_openai(code="context_length_exceeded"), (INVALID, "400", False, False)),
    "Groq's limit as a 413": ("groq", 413, of_openai(code="rate_limit_exceeded"), (UNAVAILABLE, "429", True, True)),
    "Groq's model called badly": ("groq", 400, of_openai(code="tool_use_failed"), (INVALID, "400", True, True)),
    "Anthropic's bill": (
        "anthropic",
        400,
        of_anthropic("Your credit balance is too low to access the API.", "invalid_request_error"),
        (UNAVAILABLE, "quota", False, True),
    ),
    "Anthropic's limit of spending": (
        "anthropic",
        400,
        of_anthropic("You have reached your specified API usage limits.", "invalid_request_error"),
        (UNAVAILABLE, "quota", False, True),
    ),
    "Anthropic's too long": (
        "anthropic",
        400,
        of_anthropic("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
        (INVALID, "400", False, False),
    ),
    "Gemini's bad key": (
        "gemini",
        400,
        of_gemini(status="INVALID_ARGUMENT", details=[{"@type": "…ErrorInfo", "reason": "API_KEY_INVALID"}]),
        (UNAUTHORIZED, "401", False, True),
    ),
    "Gemini's region": ("gemini", 400, of_gemini(status="FAILED_PRECONDITION"), (UNAUTHORIZED, "403", False, True)),
    "Gemini's day": (
        "gemini",
        429,
        of_gemini(details=[{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]),
        (UNAVAILABLE, "quota", False, True),
    ),
    "Gemini's minute, in a list": (
        "gemini",
        429,
        b"[" + of_gemini(details=[{"violations": [7, {"quotaId": "RequestsPerMinute"}]}, {"retryDelay": "3s"}]) + b"]",
        (UNAVAILABLE, "429", True, True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAYS)
def test_a_body_says_more_than_its_status(name: str) -> None:
    provider, status, body, expected = SAYS[name]

    refusal = refused(provider, status, body)

    assert (refusal.failed.code, refusal.why, refusal.again, refusal.next) == expected


@pytest.mark.parametrize(
    ("provider", "body", "without"),
    [
        ("openai", of_openai(code="unsupported_parameter", param="max_tokens"), "max_tokens"),
        ("openai", of_openai(code="unsupported_value", param="temperature"), "temperature"),
        ("openai", of_openai(code="unsupported_value", param="stream_options.include_usage"), "stream_options"),
        ("openai", of_openai(code="unsupported_value", param="messages[0].role"), None),
        ("openai", of_openai(code="invalid_value", param="temperature"), None),
        ("anthropic", of_anthropic("temperature: Extra inputs are not permitted"), "temperature"),
        ("anthropic", of_anthropic("`top_p` is deprecated for this model."), "top_p"),
        ("anthropic", of_anthropic("thinking.type: adaptive is not supported on this model"), "thinking"),
        ("anthropic", of_anthropic("messages.0.content: Extra inputs are not permitted"), None),
        ("anthropic", of_anthropic("max_tokens: 99 is too large"), None),
    ],
)
def test_a_refused_parameter_is_left_out_once(provider: str, body: bytes, without: str | None) -> None:
    first = refused(provider, 400, body)
    second = refused(provider, 400, body, without=frozenset({without} if without else ()))

    assert (first.without, first.next, first.failed.code) == (without, without is not None, INVALID)
    assert (second.without, second.next) == (None, False)


def test_groq_is_asked_once_more_without_the_words_for_reasoning_that_it_refused() -> None:
    body = of_openai("`reasoning_format` is not supported with this model")

    first = refused("groq", 400, body, model="qwen3-32b")
    second = refused("groq", 400, body, model="qwen3-32b", without=frozenset({"reasoning_format"}))

    assert (first.without, first.next, second.without, second.next) == ("reasoning_format", True, None, False)
    assert refused("groq", 400, body, model="llama-3.3-70b-versatile").without is None
    assert refused("groq", 400, of_openai("bad schema"), model="qwen3-32b").without is None


# --- what is not theirs
PAGES: dict[str, bytes] = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "a page": b"<html><head><title>504 Gateway Time-out</title></head>\r\n<body>nginx</body></html>",
    "a page of a CDN": b'<!DOCTYPE html><!--[if lt IE 7]> <html class="no-js"> <![endif]-->',
    "a word": b"upstream connect error",
    "a text as JSON": b'"no such route"',
    "a list": b'["no"]',
    "an empty list": b"[]",
    "an empty object": b"{}",
    "an object without an error": b'{"detail":"Not Found"}',
    "an object with a message alone": b'{"message":"no Route matched"}',
    "an error that is null": b'{"error":null}',
    "an error that is false": b'{"error":false}',
    "half an object": b'{"error":{"message":"cut',
    "a number": b"500",
}


@pytest.mark.parametrize("status", [400, 404, 418, 500, 504])
@pytest.mark.parametrize("provider", CLOUDS)
@pytest.mark.parametrize("name", PAGES)
def test_what_stands_in_between_says_nothing_of_the_request_or_the_model(name: str, provider: str, status: int) -> None:
    """PromptFuzz#42, coreply#18: a body that was no object broke the client."""
    refusal = refused(provider, status, PAGES[name])

    assert refusal.failed.code is (TIMEOUT if status == 504 else ERROR)
    assert refusal.failed.message == f"The model server answered {status}."
    assert (refusal.again, refusal.next, refusal.failed.may_retry) == (True, True, status >= 500)


@pytest.mark.parametrize("provider", CLOUDS)
@pytest.mark.parametrize(
    "error", [{"message": 7}, {"message": None, "code": [], "type": {}}, {"message": "<html><body>no</body></html>"}]
)
def test_an_error_of_a_strange_form_is_an_error_all_the_same(provider: str, error: Any) -> None:
    refusal = refused(provider, 500, orjson.dumps({"type": "error", "error": error}))

    assert (refusal.failed.code, refusal.failed.message) == (ERROR, "The model server answered 500.")


def test_words_alone_are_an_error_in_openai_s_school() -> None:
    assert refused("openai", 500, b'{"error":"it broke"}').failed.message == "it broke"


@pytest.mark.parametrize("provider", CLOUDS)
def test_a_wait_is_told_with_a_limit_and_with_a_failure(provider: str) -> None:
    headers = {"retry-after": "7"}

    assert refused(provider, 429, BODIES[provider](), headers).wait_s == 7.0
    assert refused(provider, 503, BODIES[provider](), headers).wait_s == 7.0
    assert refused(provider, 429, BODIES[provider]("Please try again in 7.66s. Visit")).wait_s == 7.66
    assert refused(provider, 429, b"").wait_s is None
