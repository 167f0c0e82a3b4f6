"""What foreign languages share: ids, refusals, estimates, the reading of a history."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.dialects import ai_sdk_request, anthropic_request, openai_chat_request, openai_responses_request
from services.dialects.dialect import heartbeat_period_s
from services.dialects.estimate import TOKENS_PER_IMAGE, input_tokens
from services.dialects.foreign import HEARTBEAT_S, Wanted, refusal_head, shown_id
from services.dialects.gathering import Gathering
from services.dialects.ollama import OllamaLines
from services.dialects.openai_chat import OpenAiChunks
from services.dialects.openai_error import refusal
from services.dialects.seed import SeedFrames
from services.wire.events import RULES, ApiError, Code, Failed
from services.wire.native import NativeFrames
from services.wire.request import BadBody, ChatRequest, Message, Tool
from services.wire.validation import Part
from tests.dialects.speech import STREAM_ID, TOLD, wanted

MAY_REPEAT = {
    Code.RATE_LIMITED,
    Code.CONCURRENCY_LIMITED,
    Code.OVERLOADED,
    Code.QUEUE_TIMEOUT,
    Code.SHUTTING_DOWN,
    Code.REQUEST_TIMEOUT,
}


@pytest.mark.parametrize(
    "parse",
    [openai_chat_request.chat, openai_responses_request.responses, anthropic_request.messages, ai_sdk_request.asked],
)
def test_tools_of_the_server_are_refused_by_name(parse: Callable[[bytes], Wanted]) -> None:
    said = {"role": "user", "content": "hi"}
    body = {"model": "m", "messages": [said], "input": "hi", "max_tokens": 5, "server_tools": True}

    with pytest.raises(BadBody, match="server_tools is not offered here") as refused:
        parse(json.dumps(body).encode())

    assert refused.value.param == "server_tools"


def test_a_shown_id_is_the_same_in_a_replay_and_no_key_to_the_stream() -> None:
    first, again = shown_id("chatcmpl-", STREAM_ID), shown_id("chatcmpl-", STREAM_ID)

    assert first == again
    assert STREAM_ID not in first
    assert len({first, shown_id("msg_", STREAM_ID), shown_id("msg_", STREAM_ID, "2"), shown_id("msg_", "x")}) == 4


@pytest.mark.parametrize("code", Code)
def test_a_refusal_is_not_to_be_repeated_unless_it_is_of_the_moment(code: Code) -> None:
    status, headers = refusal_head(ApiError(Failed(code, "words")), "id")

    assert status == RULES[code].status
    assert headers.get("x-should-retry") == (None if code in MAY_REPEAT else "false")
    assert ("Retry-After" in headers) is (status in {429, 503})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.INVALID_REQUEST, "invalid_request_error"),
        (Code.NOT_FOUND, "invalid_request_error"),
        (Code.PAYLOAD_TOO_LARGE, "invalid_request_error"),
        (Code.UNAUTHORIZED, "authentication_error"),
        (Code.MODEL_NOT_ALLOWED, "permission_error"),
        (Code.RATE_LIMITED, "rate_limit_error"),
        (Code.OVERLOADED, "server_error"),
        (Code.UPSTREAM_ERROR, "server_error"),
    ],
)
def test_an_openai_error_has_the_type_of_its_status_and_our_code(code: Code, kind: str) -> None:
    _, _, body = refusal(ApiError(Failed(code, "words")), "id")

    assert json.loads(body) == {"error": {"message": "words", "type": kind, "param": None, "code": code}}


def test_an_openai_error_names_the_field_that_is_not_offered() -> None:
    _, _, body = refusal(ApiError(Failed(Code.INVALID_REQUEST, "words"), param="n"), "id")
    error = json.loads(body)["error"]

    assert (error["param"], error["code"]) == ("n", "unsupported_parameter")


def test_an_estimate_is_a_quarter_of_the_bytes_and_a_thousand_an_image() -> None:
    text, picture = "x" * 4000, base64.b64encode(b"\x89PNG\r\n\x1a\n" * 1000).decode()
    plain = input_tokens(ChatRequest(messages=(Message("user", text),)))

    assert 1000 <= plain <= 1020
    assert input_tokens(ChatRequest(messages=(Message("user", text, images=(picture,) * 2),))) == (
        plain + 2 * TOKENS_PER_IMAGE
    )
    assert (
        input_tokens(ChatRequest(messages=(Message("user", text),), tools=(Tool("clock", "d" * 400),))) >= plain + 100
    )
    assert input_tokens(ChatRequest()) >= 1


def test_a_heartbeat_is_a_comment_where_frames_are_written_and_nothing_where_there_are_none() -> None:
    native = NativeFrames(STREAM_ID, request_id="id", heartbeat_s=10)
    seed = SeedFrames(STREAM_ID, request_id="id", model="m")

    assert native.heartbeat() == seed.heartbeat() == b": hb\n"
    assert Gathering().heartbeat() == OllamaLines("chat", "m", lambda: datetime.now(UTC)).heartbeat() == b""


def test_a_heartbeat_is_never_rarer_than_a_language_bears() -> None:
    chunks = OpenAiChunks(wanted(), TOLD)

    assert heartbeat_period_s(chunks, 10) == 10
    assert heartbeat_period_s(chunks, 60) == HEARTBEAT_S
    assert heartbeat_period_s(NativeFrames("", request_id="", heartbeat_s=60), 60) == 60
    assert heartbeat_period_s(Gathering(), 10) == float("inf")


def lists_in(schema: object) -> Iterator[dict[str, Any]]:
    """Yield the lists that a model of pydantic's reads, at any depth."""
    if isinstance(schema, dict):
        if schema.get("type") == "list":
            yield schema
        for name, inner in schema.items():
            if name not in {"metadata", "serialization"}:  # nothing is read by them
                yield from lists_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from lists_in(inner)


def parts(of: type[Part] = Part) -> Iterator[type[Part]]:
    for part in of.__subclasses__():
        yield part
        yield from parts(part)


def test_every_list_of_a_body_is_read_up_to_its_first_fault() -> None:
    """Else pydantic writes each fault down: eight million wrong items, in 16 MiB, would take 12 GB."""
    ours = {part: list(lists_in(part.__pydantic_core_schema__)) for part in parts() if "services." in part.__module__}

    assert sum(map(len, ours.values())) > 20
    assert [part for part, lists in ours.items() if not all(one.get("fail_fast") for one in lists)] == []
