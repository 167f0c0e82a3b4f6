import orjson
import pytest

from proxy.providers.ollama import OllamaAdapter
from services.wire.chat import Kind, ModelRequest
from services.wire.events import Code

ADAPTER = OllamaAdapter(ModelRequest("chat", {"model": "m", "messages": []}))


@pytest.mark.parametrize(("kind", "path"), [("chat", "/api/chat"), ("generate", "/api/generate")])
def test_the_model_server_is_always_asked_for_a_stream(kind: Kind, path: str) -> None:
    request = ModelRequest(kind, {"model": "m", "prompt": "hi"}, stream=False)

    question = OllamaAdapter(request).question()

    assert question.path == path
    assert orjson.loads(question.body) == {"model": "m", "prompt": "hi", "stream": True}


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
    adapter = OllamaAdapter(ModelRequest("chat", {"model": "m"}), none_installed=True)
    failed = adapter.refused(404, {}, b'{"error":"model \'llama3.2\' not found"}').failed

    assert failed.code is Code.MODEL_NOT_FOUND
    assert failed.message == "No model is installed. Install one: `ollama pull llama3.2`."


@pytest.mark.parametrize("status", [400, 404, 500, 504])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b"[]"])
def test_a_refusal_without_words_gets_ours(status: int, body: bytes) -> None:
    assert len(ADAPTER.refused(status, {}, body).failed.message) > 0


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
