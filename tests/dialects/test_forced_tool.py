"""A forced tool's arguments, written as text, become its one call."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from services.dialects import forced_tool
from services.dialects.forced_tool import ANY_TOOL, ForcedTool, forced
from services.dialects.gathering import Gathering, calls_of
from services.dialects.openai_chat import OpenAiChunks
from services.wire.events import (
    ARGUMENTS_DEPTH,
    ApiError,
    Code,
    Failed,
    FinishReason,
    Phase,
    Status,
    Thinking,
    Token,
    ToolResult,
)
from services.wire.native import Numbered
from services.wire.request import BadBody, Tool
from tests.dialects.speech import STARTED, TOLD, data_of, ended, nested, wanted

CLOCK, WEATHER = Tool("clock"), Tool("weather")


def chunked() -> ForcedTool:
    return ForcedTool(OpenAiChunks(wanted(shows_usage=False), TOLD), "clock")


def written(text: str, reason: FinishReason = FinishReason.STOP) -> list[Numbered]:
    return [(1, STARTED), (2, Thinking("hm")), (3, Token(text[:3])), (4, Token(text[3:])), (5, ended(reason))]


@pytest.mark.parametrize("text", ['{"tz":"UTC"}', ' {"tz": "UTC"}\n'])
def test_the_text_becomes_one_call_and_the_answer_ends_with_it(text: str) -> None:
    said = data_of(chunked().frames(written(text)))
    choices = [chunk["choices"][0] for chunk in said]
    (call,) = choices[2]["delta"]["tool_calls"]

    assert [choice["delta"].keys() for choice in choices] == [
        {"role", "content"},
        {"reasoning_content"},
        {"tool_calls"},
        set(),
    ]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("clock", {"tz": "UTC"})
    assert call["id"].startswith("call_")
    assert choices[-1]["finish_reason"] == "tool_calls"


def test_arguments_that_were_cut_by_the_length_are_no_call() -> None:
    """A known bug of others: a truncated call is executed."""
    last = data_of(chunked().frames(written('{"tz":"U', FinishReason.LENGTH)))[-1]

    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]


@pytest.mark.parametrize("text", [nested(ARGUMENTS_DEPTH + 1), nested(300), "[" * 2000], ids=["129", "300", "2000"])
def test_arguments_that_are_too_deep_to_be_sent_back_are_a_failure_in_a_stream_and_in_a_whole_answer(text: str) -> None:
    last = data_of(chunked().frames(written(text)))[-1]
    gathering = Gathering()
    ForcedTool(gathering, "clock").frames(written(text))

    assert last["error"]["code"] == "upstream_error"
    with pytest.raises(ApiError, match="upstream_error"):
        gathering.finished()


def test_arguments_as_deep_as_any_tool_s_are_a_call() -> None:
    last = data_of(chunked().frames(written(nested(ARGUMENTS_DEPTH))))[-1]

    assert last["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("text", ["I cannot", "[1]", ""])
def test_text_that_is_no_object_is_a_failure(text: str) -> None:
    last = data_of(chunked().frames(written(text)))[-1]

    assert last["error"]["code"] == "upstream_error"


def test_a_failure_passes_as_it_is() -> None:
    last = data_of(chunked().frames([(1, STARTED), (2, Token("{")), (3, Failed(Code.UPSTREAM_TRUNCATED, "w"))]))[-1]

    assert last["error"]["code"] == "upstream_truncated"


def test_arguments_without_an_end_are_not_kept_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forced_tool, "GATHERED_BYTES", 10)
    last = data_of(chunked().frames(written('{"tz":"a long way"}')))[-1]

    assert last["error"]["code"] == "upstream_error"
    assert "too long" in last["error"]["message"]


def test_a_whole_answer_is_gathered_through_it() -> None:
    gathering = Gathering()
    ForcedTool(gathering, "clock").frames(written('{"tz":"UTC"}'))

    assert [call.arguments for call in calls_of(gathering.events)] == [{"tz": "UTC"}]
    assert gathering.finished().reason is FinishReason.TOOL_CALLS


def test_what_is_no_text_passes() -> None:
    dialect = chunked()
    dialect.open(STARTED)

    assert dialect.status(Status(Phase.LOADING)) == b""
    assert dialect.heartbeat() == b": hb\n"
    assert dialect.frames([(2, ToolResult("c", "clock", ok=True, content="", duration_ms=1))]) == b""
    assert b"reasoning_content" in dialect.text(Thinking, 2, "hm")


@pytest.mark.parametrize(
    ("tools", "name", "tool"),
    [([CLOCK], ANY_TOOL, CLOCK), ([CLOCK, WEATHER], "weather", WEATHER)],
)
def test_one_tool_can_be_forced(tools: Sequence[Tool], name: str, tool: Tool) -> None:
    assert forced(tools, name, "tool_choice") is tool


@pytest.mark.parametrize(
    ("tools", "name", "param"),
    [([CLOCK, WEATHER], ANY_TOOL, "tool_choice"), ([CLOCK], "weather", None), ([], ANY_TOOL, None)],
)
def test_one_of_several_or_of_none_cannot(tools: Sequence[Tool], name: str, param: Any) -> None:
    with pytest.raises(BadBody, match="tool_choice") as refused:
        forced(tools, name, "tool_choice")

    assert refused.value.param == param
