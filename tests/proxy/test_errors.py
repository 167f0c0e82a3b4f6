import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.errors import answer
from services.http import edge
from services.wire.events import RULES, ApiError, Code, Failed
from services.wire.request import BadBody

OURS = ["/api/chat/stream", "/api/generate/stream", "/api/streams/x", "/api/followers/x", "/health", "/readyz"]
OLLAMAS = ["/api/chat", "/api/generate", "/api/tags", "/api/ps", "/api/version", "/api/show", "/api/pull", "/nothing"]


def asked(path: str) -> web.Request:
    request = make_mocked_request("POST", path)
    request[edge.REQUEST_ID] = "request-1"
    return request


@pytest.mark.parametrize("path", OURS)
def test_on_our_routes_a_failure_has_our_shape(path: str) -> None:
    answered = answer(ApiError(Failed(Code.OVERLOADED, "words"), retry_after_s=3), asked(path))

    assert answered is not None
    status, headers, body = answered
    assert (status, headers["Retry-After"]) == (503, "3")
    assert orjson.loads(body) == {
        "error": {"code": "overloaded", "message": "words", "retryable": True, "request_id": "request-1"}
    }


@pytest.mark.parametrize("path", OLLAMAS)
def test_on_ollama_s_routes_a_failure_has_ollama_s_shape_and_our_code_in_a_header(path: str) -> None:
    answered = answer(ApiError(Failed(Code.OVERLOADED, "words"), retry_after_s=3), asked(path))

    assert answered is not None
    status, headers, body = answered
    assert (status, headers["Retry-After"], headers["Sluice-Error-Code"]) == (503, "3", "overloaded")
    assert orjson.loads(body) == {"error": "words"}


@pytest.mark.parametrize("code", Code)
def test_every_code_has_its_status_in_both_shapes(code: Code) -> None:
    answers = [answer(ApiError(Failed(code, "words")), asked(path)) for path in (OURS[0], OLLAMAS[0])]

    assert [one and one[0] for one in answers] == [RULES[code].status] * 2


def test_a_bad_body_says_what_is_wrong_with_it() -> None:
    answered = answer(BadBody("Message is required"), asked("/api/chat/stream"))

    assert answered is not None
    assert answered[0] == 400
    assert orjson.loads(answered[2])["error"]["message"] == "Message is required"


def test_a_bug_is_not_answered_here() -> None:
    assert answer(RuntimeError("a bug"), asked("/api/chat")) is None
