import orjson
import pytest
from aiohttp import web

from gateway.errors import DISCONNECTED, failed_by_proxy, named, refused_by_proxy
from services.wire.events import ApiError, Code, Failed, Stage
from services.wire.ids import BadPosition
from services.wire.request import BadBody


def refusal(**error: object) -> bytes:
    return orjson.dumps({"error": error})


@pytest.mark.parametrize("code", Code)
def test_a_proxy_s_refusal_means_the_same_here(code: Code) -> None:
    body = refusal(code=code, message="words", retryable=True, request_id="the-proxy-s-own", stage="idle")

    refused = refused_by_proxy({"retry-after": "7"}, body)

    assert refused.failed == Failed(code, "words", Stage.IDLE, retryable=True)
    assert refused.retry_after_s == 7


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"error":"words"}', refusal(), refusal(code="later"), refusal(code=7), b"<html>"]
)
def test_what_is_no_refusal_of_a_proxy_is_a_proxy_that_broke_off(body: bytes) -> None:
    assert refused_by_proxy({}, body).failed == DISCONNECTED


@pytest.mark.parametrize("header", ["", "soon", "-1", "1.5", "\u0661"])
def test_a_retry_after_that_is_no_number_is_none(header: str) -> None:
    refused = refused_by_proxy({"retry-after": header}, refusal(code="overloaded", message="words"))

    assert refused.retry_after_s is None


@pytest.mark.parametrize("stage", [None, "", "later", 7])
def test_an_unknown_stage_is_none(stage: object) -> None:
    assert failed_by_proxy({"code": "upstream_timeout", "stage": stage}).stage is None


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ApiError(DISCONNECTED), Code.UPSTREAM_DISCONNECTED),
        (BadBody("Message is required"), Code.INVALID_REQUEST),
        (BadPosition("A position is a number, from 0."), Code.INVALID_REQUEST),
        (web.HTTPRequestEntityTooLarge(1, 2), Code.PAYLOAD_TOO_LARGE),
        (web.HTTPMisdirectedRequest(), Code.MISDIRECTED),
    ],
)
def test_every_failure_before_a_stream_has_its_name(raised: Exception, code: Code) -> None:
    refused = named(raised)

    assert refused is not None
    assert refused.failed.code is code


def test_a_bug_has_no_name() -> None:
    assert named(RuntimeError("a bug")) is None
