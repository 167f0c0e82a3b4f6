"""What OpenAI's clients ask in chat completions, and what is refused of it.

Of services/dialects/openai_parts.py and services/dialects/history.py, too.
"""

import base64
import json
from typing import Any, Final

import pytest

from services.dialects.foreign import Wanted
from services.dialects.openai_chat_request import chat
from services.wire import bodies, body_writer
from services.wire.events import ARGUMENTS_DEPTH
from services.wire.request import BadBody, CalledTool, Message, Sampling, Tool
from tests.dialects.speech import nested, offered_by

PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest").decode()
HELLO: Final = [{"role": "user", "content": "hello"}]
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOCK: Final = {"type": "function", "function": {"name": "clock", "description": "Tell it", "parameters": CITY}}
WEATHER: Final = {"type": "function", "function": {"name": "weather"}}
CALL: Final = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"tz":"UTC"}'}}


def asked(**fields: Any) -> Wanted:
    return chat(json.dumps({"model": "m", "messages": HELLO, **fields}).encode())


def refusal(**fields: Any) -> BadBody:
    with pytest.raises(BadBody) as refused:
        asked(**fields)
    return refused.value


def picture(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def test_the_smallest_body_asks_for_a_whole_answer_without_wishes() -> None:
    wanted = asked()

    assert (wanted.stream, wanted.forced_tool, wanted.shows_usage) == (False, None, False)
    assert (wanted.request.model, wanted.request.messages) == ("m", (Message("user", "hello"),))
    assert (wanted.request.think, wanted.request.format, wanted.request.tools) == (None, None, None)


def test_every_wish_that_can_be_had_is_taken() -> None:
    wanted = asked(
        stream=True,
        stream_options={"include_usage": True},
        temperature=0.5,
        top_p=1,
        seed=7,
        stop=["a", "", "b"],
        max_tokens=9,
        tools=[CLOCK],
        tool_choice="auto",
        response_format={"type": "json_object"},
        reasoning_effort="low",
    )
    request = wanted.request

    assert wanted.stream
    assert wanted.shows_usage
    assert request.sampling == Sampling(temperature=0.5, top_p=1.0, seed=7, stop=("a", "b"))
    assert (request.max_output_tokens, request.format, request.think) == (9, "json", "low")
    assert request.tools == (Tool("clock", "Tell it", CITY, "function"),)


def test_unknown_fields_are_ignored_and_null_false_and_empty_ones_are_absent() -> None:
    """SDKs add fields with every release."""
    ignored = {"user": "u", "metadata": {"a": 1}, "store": True, "logit_bias": {"1": 2}, "parallel_tool_calls": False}
    absent = {"n": 1, "logprobs": False, "functions": [], "audio": None, "tools": [], "stop": "", "seed": None}

    assert asked(**ignored, **absent, presence_penalty=1, tool_choice=None, modalities=["text"]) == asked()


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_nothing_said_of_a_field_is_as_if_it_were_not_there(nothing: object) -> None:
    """Whatever its type: programs in front of SDKs write their forms' empty fields."""
    fields = {
        *("stream", "stream_options", "max_completion_tokens", "max_tokens", "temperature", "top_p", "seed", "stop"),
        *("tools", "tool_choice", "response_format", "reasoning_effort", "n", "logprobs", "audio", "functions"),
    }

    assert asked(**dict.fromkeys(fields, nothing)) == asked()
    assert asked(temperature=0, seed=0).request.sampling == Sampling(temperature=0.0, seed=0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": [{"name": "x"}]}, "functions"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        ({"tools": [CLOCK, WEATHER], "tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_is_not_offered_and_would_change_the_answer_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    refused = refusal(**fields)

    assert refused.param == param
    assert param in refused.message


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": None}, "model is required"),
        ({"messages": None}, "messages is required"),
        ({"messages": []}, "messages is required"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
        ({"messages": picture("https://example.org/a.png")}, "messages[0].content[0].image_url.url"),
        ({"messages": picture("data:image/svg+xml;base64,PHN2Zy8+")}, "messages[0].content[0].image_url.url"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url.url"),
        ({"messages": picture(f"data:image/png;base64,{PNG}") * 17}, "at most 16 images"),
        ({"messages": [{"role": "tool", "tool_call_id": "c9", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"max_completion_tokens": 0}, "max_completion_tokens must be at least 1"),
        ({"stop": ["x"] * 17}, "stop must have at most 16"),
        ({"stop": 5}, "stop must be"),
        ({"stop": [5]}, "stop must be"),
        ({"reasoning_effort": "much"}, "reasoning_effort must be one of"),
        ({"reasoning_effort": 3}, "reasoning_effort must be one of"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": "x" * 70_000}}}}, "64 KiB"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}}, "must be a JSON schema"),
        ({"tools": [CLOCK] * 513}, "tools must have at most 512"),
        ({"tool_choice": "required"}, "tool_choice must name one of the tools"),
        ({"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice must name"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"stream": "yes"}, "stream must be true or false"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(fields: dict[str, Any], named: str) -> None:
    refused = refusal(**fields)

    assert named in refused.message
    assert refused.param is None


@pytest.mark.parametrize("arguments", ["{", "[]", "5", '"x"'])
def test_arguments_that_are_no_json_of_an_object_are_a_refusal(arguments: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": arguments}}
    refused = refusal(messages=[{"role": "assistant", "tool_calls": [call]}])

    assert "messages[0].tool_calls[0].function.arguments must be the JSON of an object" in refused.message


@pytest.mark.parametrize("levels", [ARGUMENTS_DEPTH + 1, 300, 900])
def test_arguments_that_are_nested_deeper_than_a_model_may_write_them_are_a_refusal(levels: int) -> None:
    """A body's own depth does not hold what is text in it, and what is deeper than 254 levels could not be sent on."""
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": nested(levels)}}
    refused = refusal(messages=[{"role": "assistant", "tool_calls": [call]}])

    assert "messages[0].tool_calls[0].function.arguments must be nested at most 128 levels deep" in refused.message


def test_arguments_as_deep_as_a_model_may_write_them_fit_the_hop() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": nested(ARGUMENTS_DEPTH)}}
    written = body_writer.written(asked(messages=[{"role": "assistant", "tool_calls": [call]}]).request)

    assert body_writer.written(bodies.hop_chat(written).request) == written


def test_a_history_of_calls_keeps_ids_names_arguments_and_thinking() -> None:
    history = [
        {"role": "developer", "content": "be brief"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"},
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "12"}, {"type": "text", "text": "00"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]

    assert asked(messages=history).request.messages == (
        Message("system", "be brief"),
        Message("assistant", None, "hm", None, (CalledTool("clock", {"tz": "UTC"}, "c1"),)),
        Message("tool", "12\n00", tool_name="clock", tool_call_id="c1"),
        Message("assistant", "no"),
    )


def test_empty_arguments_are_none() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": ""}}
    (message,) = asked(messages=[{"role": "assistant", "tool_calls": [call]}]).request.messages

    assert message.tool_calls == (CalledTool("clock", {}, "c1"),)


@pytest.mark.parametrize("url", [f"data:image/png;base64,{PNG}", f"data:;base64,{PNG}", f"DATA:image/png;BASE64,{PNG}"])
def test_a_picture_in_a_data_url_is_sent_as_base64(url: str) -> None:
    assert asked(messages=picture(url)).request.messages == (Message("user", images=(PNG,)),)


def test_a_picture_s_url_may_stand_alone() -> None:
    content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}]

    assert asked(messages=[{"role": "user", "content": content}]).request.messages[0].images == (PNG,)


@pytest.mark.parametrize(
    ("choice", "offered", "forced"),
    [
        ("none", None, None),
        ("auto", ("clock",), None),
        ("required", None, "clock"),
        ({"type": "function", "function": {"name": "clock"}}, None, "clock"),
        ({"type": "function"}, ("clock",), None),
        ({"type": "allowed_tools", "allowed_tools": {}}, ("clock",), None),
    ],
)
def test_a_forced_tool_is_asked_for_as_a_form_and_the_others_are_offered(
    choice: Any, offered: tuple[str, ...] | None, forced: str | None
) -> None:
    wanted = asked(tools=[CLOCK, {"type": "custom", "custom": {}}], tool_choice=choice)

    assert wanted.forced_tool == forced
    assert wanted.request.format == (CITY if forced else None)
    assert offered_by(wanted.request) == offered


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
    allowed = [{"type": "function", "function": {"name": name}} for name in names] + [{"type": "mcp"}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    wanted = asked(tools=[CLOCK, WEATHER], tool_choice=choice)

    assert wanted.forced_tool == forced
    assert offered_by(wanted.request) == offered


def test_a_forced_tool_without_parameters_is_any_object() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}

    assert asked(tools=[CLOCK, WEATHER], tool_choice=choice).request.format == {"type": "object"}


@pytest.mark.parametrize(
    ("wish", "form"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": CITY, "strict": True}}, CITY),
    ],
)
def test_the_form_of_an_answer(wish: dict[str, Any], form: Any) -> None:
    assert asked(response_format=wish).request.format == form


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "high"), ("max", "high")],
)
def test_an_effort_is_what_our_models_know(effort: str, think: Any) -> None:
    """Not asked, a model does not begin to think: nothing is sent."""
    assert asked(reasoning_effort=effort).request.think == think


def test_the_newer_name_of_the_length_wins() -> None:
    assert asked(max_tokens=5, max_completion_tokens=7).request.max_output_tokens == 7


@pytest.mark.parametrize("most", [2**31 - 1, 2**31, 2**64, 1e300])
def test_a_length_beyond_what_a_model_server_counts_is_capped_in_silence(most: float) -> None:
    request = asked(max_tokens=most).request

    assert request.max_output_tokens == 2**31 - 1
    assert body_writer.written(request)


@pytest.mark.parametrize("schema", [{"type": "any"}, {"type": "object", "description": "x" * (64 << 10)}])
def test_a_forced_tool_whose_parameters_hold_no_answer_is_refused_by_that_name(schema: dict[str, Any]) -> None:
    """The proxy would refuse a `format` that nobody sent; offered, the tool is the model server's to judge."""
    tool = {"type": "function", "function": {"name": "clock", "parameters": schema}}
    refused = refusal(tools=[tool], tool_choice="required")

    assert refused.message.startswith("parameters of the tool that tool_choice forces must be a JSON schema")
    assert offered_by(asked(tools=[tool]).request) == ("clock",)


def test_the_longest_conversation_and_the_most_tools_fit() -> None:
    wanted = asked(messages=HELLO * 10_000, tools=[CLOCK] * 512)

    assert len(wanted.request.messages) == 10_000
    assert "messages must have at most 10000" in refusal(messages=HELLO * 10_001).message
