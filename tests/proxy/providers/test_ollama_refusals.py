"""How Ollama fails with another status than 200 (`proxy/providers/ollama_refusal.py`)."""

import orjson
import pytest

from proxy.providers import ollama_refusal
from proxy.providers.adapter import Question
from proxy.providers.no_answer import NO_ANSWER
from proxy.providers.ollama import OllamaAdapter
from services.wire.events import Code, Failed
from services.wire.request import ChatRequest

ADAPTER = OllamaAdapter(Question(ChatRequest(model="m"), "m"))


@pytest.mark.parametrize(
    ("status", "code", "why", "again", "retryable"),
    [
        (404, Code.MODEL_NOT_FOUND, "404", False, False),
        (400, Code.INVALID_REQUEST, "400", False, False),
        (429, Code.UPSTREAM_UNAVAILABLE, "429", True, True),
        (502, Code.UPSTREAM_UNAVAILABLE, "502", True, True),
        (503, Code.UPSTREAM_UNAVAILABLE, "503", True, True),
        (500, Code.UPSTREAM_ERROR, "500", True, True),
        (504, Code.UPSTREAM_ERROR, "other", False, True),
        (302, Code.UPSTREAM_ERROR, "other", False, False),
        (401, Code.UPSTREAM_ERROR, "other", False, False),
        (403, Code.UPSTREAM_ERROR, "other", False, False),
        (499, Code.UPSTREAM_ERROR, "other", False, False),
        (204, Code.UPSTREAM_ERROR, "other", False, False),
    ],
)
def test_the_table_of_refusals(status: int, code: Code, why: str, *, again: bool, retryable: bool) -> None:
    """U9, U10, U20: another 4xx, and a redirect, are never repeated."""
    refusal = ADAPTER.refused(status, {}, b'{"error":"it says so"}')

    assert (refusal.failed.code, refusal.why, refusal.again) == (code, why, again)
    assert refusal.failed.may_retry is retryable
    assert ("it says so" in refusal.failed.message) is (code is not Code.UPSTREAM_UNAVAILABLE)


def test_where_no_model_is_installed_the_refusal_says_how_to_install_one() -> None:
    adapter = OllamaAdapter(Question(ChatRequest(model="m"), "m"), none_installed=True)
    failed = adapter.refused(404, {}, b'{"error":"model \'llama3.2\' not found"}').failed

    assert failed.code is Code.MODEL_NOT_FOUND
    assert failed.message == "No model is installed. Install one: `ollama pull llama3.2`."


PAGES: dict[str, bytes] = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "a page": b"<html><head><title>504 Gateway Time-out</title></head>\r\n<body>nginx</body></html>",
    "a word": b"404 page not found",
    "a text as JSON": b'"no such route"',
    "a list": b'["no"]',
    "an object without an error": b'{"detail":"Not Found"}',
    "an object with a message alone": b'{"message":"no Route matched"}',
    "an error without words": b'{"error":7}',
    "an error that is null": b'{"error":null}',
    "an error that is a page": b'{"error":"<!DOCTYPE html><html><body>no</body></html>"}',
    "half an object": b'{"error":"cut',
}


@pytest.mark.parametrize("status", [302, 400, 401, 404, 418, 500, 504])
@pytest.mark.parametrize("name", PAGES)
def test_what_a_web_server_says_is_not_the_model_server_s_word(name: str, status: int) -> None:
    """What stands in between has pages of its own: a CDN's 404 says nothing of a model."""
    failed = ADAPTER.refused(status, {}, PAGES[name]).failed

    assert (failed.code, failed.message) == (Code.UPSTREAM_ERROR, f"The model server answered {status}.")
    assert failed.may_retry is (status >= 500)


FOREIGN: dict[str, tuple[bytes, str]] = {
    "an object's message": (b'{"error":{"message":"no such route","type":"invalid_request_error"}}', "no such route"),
    "a web framework's": (b'{"timestamp":1,"status":404,"error":"Not Found","path":"/api/chat"}', "Not Found"),
}


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("name", FOREIGN)
def test_only_ollama_s_own_shape_says_that_there_is_no_such_model_or_that_the_request_is_wrong(
    name: str, status: int
) -> None:
    body, words = FOREIGN[name]

    refusal = ADAPTER.refused(status, {}, body)

    assert (refusal.failed.code, refusal.failed.message) == (Code.UPSTREAM_ERROR, words)
    assert (refusal.again, refusal.failed.may_retry) == (False, False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"model \'m\' not found"}',
        b'{"StatusCode":404,"Status":"404 Not Found","error":"model \'m\' not found"}',
        b'{"error":"{\\"error\\":{\\"code\\":404,\\"message\\":\\"model \'m\' not found\\"}}"}',
    ],
)
def test_ollama_s_own_shapes_are_known(body: bytes) -> None:
    assert ADAPTER.refused(404, {}, body).failed == Failed(Code.MODEL_NOT_FOUND, "model 'm' not found")


@pytest.mark.parametrize("words", ["llama-server process has terminated: exit status 1", "unable to load model"])
def test_a_load_that_failed_is_not_tried_again(words: str) -> None:
    refusal = ADAPTER.refused(500, {}, orjson.dumps({"error": words}))

    assert (refusal.again, refusal.failed.may_retry, refusal.failed.message) == (False, False, words)


def test_the_asked_model_s_name_is_told_in_a_refusal() -> None:
    name = "hf.co/someone/tiny-gguf:Q4_0"
    adapter = OllamaAdapter(Question(ChatRequest(model=name), name))

    failed = adapter.refused(404, {}, b'{"error":"model \'hf.co/someone/tiny-gguf:Q4_0\' not found"}').failed

    assert failed.message == "model 'hf.co/someone/tiny-gguf:Q4_0' not found"


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("86400", 86400.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("9" * 400, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_obeyed_where_it_is_a_number_of_seconds(status: int, header: str, wait_s: float | None) -> None:
    assert ADAPTER.refused(status, {"retry-after": header}, b"").wait_s == wait_s


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b'{"models":[]}', None),
        (200, b"<html>sign in</html>", NO_ANSWER.message),
        (200, b"[1]", NO_ANSWER.message),
        (404, b'{"error":"model \'m\' not found"}', "model 'm' not found"),
    ],
)
def test_an_answer_that_is_passed_through_is_an_object_under_200_or_a_refusal(
    status: int, body: bytes, message: str | None
) -> None:
    refused = ollama_refusal.of_passed(status, {}, body, "m")

    assert (refused and refused.failed.message) == message
