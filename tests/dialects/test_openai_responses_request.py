"""What OpenAI's clients ask in responses, and what is refused of it."""

import json
from typing import Any, Final

import pytest

from services.dialects.foreign import Wanted
from services.dialects.openai_responses_request import responses
from services.wire.request import BadBody, CalledTool, Message, Sampling, Tool
from tests.dialects.speech import nested, offered_by
from tests.dialects.test_openai_chat_request import CITY, PNG

CLOCK: Final = {"type": "function", "name": "clock", "description": "Tell it", "parameters": CITY, "strict": True}
WEATHER: Final = {"type": "function", "name": "weather"}
SEARCH: Final = {"type": "web_search"}


def asked(**fields: Any) -> Wanted:
    return responses(json.dumps({"model": "m", "input": "hello", **fields}).encode())


def call(number: int, name: str = "clock") -> dict[str, Any]:
    return {"type": "function_call", "call_id": f"c{number}", "name": name, "arguments": '{"tz":"UTC"}', "id": "fc_1"}


def test_an_item_whose_type_is_null_is_a_message() -> None:
    assert asked(input=[{"type": None, "role": "user", "content": "hi"}]).request.messages == (Message("user", "hi"),)


def test_text_is_one_message_and_instructions_stand_in_front() -> None:
    wanted = asked(instructions="be brief")

    assert wanted.request.messages == (Message("system", "be brief"), Message("user", "hello"))
    assert (wanted.stream, wanted.forced_tool, wanted.dropped) == (False, None, ())


def test_every_wish_that_can_be_had_is_taken() -> None:
    wanted = asked(
        stream=True,
        temperature=0.5,
        top_p=1,
        max_output_tokens=16,
        tools=[CLOCK],
        tool_choice="auto",
        reasoning={"effort": "minimal", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "x", "schema": CITY}, "verbosity": "low"},
    )
    request = wanted.request

    assert wanted.stream
    assert request.sampling == Sampling(temperature=0.5, top_p=1.0)
    assert (request.max_output_tokens, request.format, request.think) == (16, CITY, "low")
    assert request.tools == (Tool("clock", "Tell it", CITY, "function"),)


def test_unknown_fields_are_ignored_and_null_false_and_empty_ones_are_absent() -> None:
    ignored = {"store": True, "include": ["x"], "metadata": {}, "truncation": "auto", "prompt_cache_key": "x"}
    absent: dict[str, Any] = {
        "previous_response_id": None,
        "background": False,
        "tools": [],
        "text": {},
        "reasoning": {},
    }

    assert asked(**ignored, **absent, tool_choice=None) == asked()


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_nothing_said_of_a_field_is_as_if_it_were_not_there(nothing: object) -> None:
    fields = {
        *("instructions", "stream", "max_output_tokens", "temperature", "top_p", "tools", "tool_choice", "reasoning"),
        *("text", "previous_response_id", "conversation", "background", "prompt"),
    }

    assert asked(**dict.fromkeys(fields, nothing)) == asked()


@pytest.mark.parametrize(
    ("mode", "names", "offered", "forced"),
    [
        ("auto", ["weather", "nobody"], ("weather",), None),
        ("auto", ["nobody"], None, None),
        ("required", ["clock"], None, "clock"),
    ],
)
def test_of_the_tools_those_are_offered_that_are_allowed(
    mode: str, names: list[str], offered: tuple[str, ...] | None, forced: str | None
) -> None:
    allowed = [{"type": "function", "name": name} for name in names] + [{"type": "mcp"}]
    choice = {"type": "allowed_tools", "mode": mode, "tools": allowed}
    wanted = asked(tools=[CLOCK, WEATHER], tool_choice=choice)

    assert wanted.forced_tool == forced
    assert offered_by(wanted.request) == offered


def test_a_history_of_items_is_a_conversation() -> None:
    history = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "be"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "see"}, picture(PNG)]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look"}]},
        call(1),
        call(2, "weather"),
        {"type": "function_call_output", "call_id": "c1", "output": "12:00"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
        call(3),
        {"type": "web_search_call", "id": "ws_1", "action": {"query": "x"}},
        {"type": "computer_call_output", "output": {"type": "x"}},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    arguments = {"tz": "UTC"}

    assert asked(input=history).request.messages == (
        Message("system", "be"),
        Message("user", "see", images=(PNG,)),
        Message(
            "assistant",
            "I look",
            tool_calls=(CalledTool("clock", arguments, "c1"), CalledTool("weather", arguments, "c2")),
        ),
        Message("tool", "12:00", tool_name="clock", tool_call_id="c1"),
        Message("tool", "sun", tool_name="weather", tool_call_id="c2"),
        Message("assistant", tool_calls=(CalledTool("clock", arguments, "c3"),)),
        Message("assistant", "no"),
    )


def picture(data: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}


def test_a_history_may_begin_with_a_call() -> None:
    assert [message.role for message in asked(input=[call(1)]).request.messages] == ["assistant"]


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "background", "prompt"])
def test_what_would_have_to_be_stored_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadBody, match="store:false") as refused:
        asked(**{name: "x"})

    assert refused.value.param == name


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": None}, "model is required"),
        ({"input": None}, "input is required"),
        ({"input": []}, "input is required"),
        ({"input": 5}, "input must be a list"),
        ({"input": [5]}, r"input\[0\] must be an object"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "store:false"),
        ({"input": [{"type": "riddle"}]}, r"input\[0\].type must be one of"),
        ({"input": [{"role": "wizard", "content": "x"}]}, r"input\[0\].role must be"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, r"input\[0\].content\[0\].type must be"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "must be a data: URL"),
        ({"input": [{"role": "user", "content": [picture(PNG)] * 17}]}, "at most 16 images"),
        ({"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]}, r"input\[0\].call_id"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, r"input\[0\].call_id"),
        ({"input": [{**call(1), "name": ""}]}, r"input\[0\] must have name and call_id"),
        ({"input": [{**call(1), "call_id": None}]}, r"input\[0\] must have name and call_id"),
        ({"input": [{**call(1), "arguments": "{"}]}, r"input\[0\].arguments must be the JSON"),
        ({"input": [{**call(1), "arguments": nested(300)}]}, r"input\[0\].arguments must be nested at most 128"),
        ({"input": [{"type": [], "role": "user", "content": "x"}]}, r"input\[0\].type must be a string"),
        ({"input": [{"type": {"a": 1}, "role": "user", "content": "x"}]}, r"input\[0\].type must be a string"),
        ({"text": {"format": {"type": []}}}, "text.format.type must be"),
        ({"text": {"format": {"type": {"a": 1}}}}, "text.format.type must be"),
        ({"text": {"format": "json_object"}}, "text.format must be an object"),
        ({"max_output_tokens": 0}, "max_output_tokens must be at least 1"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort must be one of"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type must be"),
        ({"tools": [{"type": "function"}]}, "tools must have names"),
        ({"tools": [CLOCK, WEATHER], "tool_choice": "required"}, "tool_choice cannot force"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadBody, match=named):
        asked(**fields)


def test_a_length_beyond_what_a_model_server_counts_is_capped_in_silence() -> None:
    assert asked(max_output_tokens=2**31).request.max_output_tokens == 2**31 - 1


@pytest.mark.parametrize(
    ("choice", "offered", "forced"),
    [
        ("none", None, None),
        ("auto", ("clock",), None),
        ("required", None, "clock"),
        ({"type": "function", "name": "clock"}, None, "clock"),
        ({"type": "allowed_tools", "tools": []}, ("clock",), None),
    ],
)
def test_a_forced_tool_is_asked_for_as_a_form_and_hosted_ones_are_dropped_and_said(
    choice: Any, offered: tuple[str, ...] | None, forced: str | None
) -> None:
    wanted = asked(tools=[CLOCK, SEARCH], tool_choice=choice)

    assert (wanted.forced_tool, wanted.dropped) == (forced, ("tools",))
    assert wanted.request.format == (CITY if forced else None)
    assert offered_by(wanted.request) == offered


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ({}, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, "json"),
        ({"format": {"type": "json_schema", "name": "x", "schema": CITY}}, CITY),
    ],
)
def test_the_form_of_an_answer(text: dict[str, Any], form: Any) -> None:
    assert asked(text=text).request.format == form
