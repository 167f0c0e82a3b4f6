"""Anthropic's request JSON: what clients that exist send, what is left out of it, and what is refused."""

import json
from typing import Any

import pytest

from services.dialects import anthropic_request
from services.dialects.anthropic import ThinkingSeal
from services.dialects.foreign import Wanted
from services.wire.bodies import MAX_HOP_MESSAGES, MAX_HOP_TOOLS
from services.wire.request import BadBody, CalledTool, ChatRequest, Message, Sampling, Tool

PNG = "iVBORw0KGgoAAAANSUhEUg=="
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOCK = {"name": "clock", "description": "Tell the time", "input_schema": CITY}
CALLED = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "c1", "name": "clock", "input": {"city": "Bath"}}],
}
THE_CALL = CalledTool("clock", {"city": "Bath"}, "c1")
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def user(*blocks: object) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def result(content: object = "12:00", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "c1", "content": content, **more}


def wanted(*messages: dict[str, Any], **more: Any) -> Wanted:
    body = {"model": "m", "max_tokens": 50, "messages": messages or [{"role": "user", "content": "hi"}], **more}
    return anthropic_request.messages(json.dumps(body).encode())


def asked(*messages: dict[str, Any], **more: Any) -> ChatRequest:
    return wanted(*messages, **more).request


def refused(*messages: dict[str, Any], **more: Any) -> str:
    with pytest.raises(BadBody) as caught:
        wanted(*messages, **more)
    return caught.value.message


def test_the_least_that_can_be_asked_is_asked_as_it_is() -> None:
    """ollama#15287: who does not ask for thinking gets none. A stream has to be asked for."""
    assert wanted() == Wanted(
        request=ChatRequest(model="m", messages=(Message("user", "hi"),), think=False, max_output_tokens=50),
        stream=False,
    )


def test_what_is_not_known_here_and_what_is_null_is_as_if_it_were_not_there() -> None:
    unknown: dict[str, Any] = {
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "container": None,
        "mcp_servers": [],
        "new": 1,
    }
    marked = user({**text("hi"), "cache_control": {"type": "ephemeral"}})

    assert wanted(marked, **unknown, tools=None, tool_choice=None, thinking=None, stop_sequences=[]) == wanted()


@pytest.mark.parametrize("nothing", [None, False, "", [], {}])
def test_nothing_said_of_a_field_is_as_if_it_were_not_there(nothing: object) -> None:
    sampling = ("temperature", "top_p", "top_k", "stop_sequences")
    fields = {*sampling, "system", "stream", "tools", "tool_choice", "thinking", "output_config"}

    assert wanted(**dict.fromkeys(fields, nothing)) == wanted()


def test_the_answer_is_sampled_as_it_is_wished() -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END", ""]}

    assert asked(**sampling).sampling == Sampling(temperature=0.5, top_p=0.9, top_k=40, stop=("END",))


@pytest.mark.parametrize(
    "system",
    ["Be brief\nand kind", [text("Be brief"), text("and kind")]],
    ids=["text", "blocks"],
)
def test_the_system_prompt_is_the_first_turn(system: object) -> None:
    assert asked(system=system).messages == (Message("system", "Be brief\nand kind"), Message("user", "hi"))


def test_claude_code_s_billing_line_is_not_part_of_the_prompt() -> None:
    """It changes with each turn, and would spoil the model server's prefix cache."""
    billing = text("x-anthropic-billing-header: cc_version=2.1; cch=1f2e3;")

    assert asked(system=[billing, text("Be brief")]) == asked(system="Be brief")
    assert asked(system=[billing]) == asked()


def test_a_turn_of_the_system_may_stand_anywhere() -> None:
    assert asked(user(text("hi")), {"role": "system", "content": "Be brief"}).messages[1] == Message(
        "system", "Be brief"
    )


def test_text_and_pictures_of_a_turn_are_one_turn() -> None:
    assert asked(user(text("What"), PICTURE, text("is it?"))).messages == (
        Message("user", "What\nis it?", images=(PNG,)),
    )


def test_a_tool_s_result_is_a_turn_of_its_own_with_the_tool_s_name() -> None:
    messages = asked(user(text("when?")), CALLED, user(result(), text("And now?"))).messages

    assert messages[1:] == (
        Message("assistant", "", tool_calls=(THE_CALL,)),
        Message("tool", "12:00", tool_name="clock", tool_call_id="c1"),
        Message("user", "And now?"),
    )


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (result([text("12"), text("00"), PICTURE]), Message("tool", "12\n00", images=(PNG,))),
        (result("no clock", is_error=True), Message("tool", "Error: no clock")),
        (result(None), Message("tool", "")),
        (result([{"type": "tool_reference", "tool_name": "x"}]), Message("tool", "")),
    ],
    ids=["blocks", "error", "nothing", "unknown"],
)
def test_a_result_is_text_and_pictures(block: dict[str, Any], told: Message) -> None:
    got = asked(CALLED, user(block)).messages[1]

    assert (got.content, got.images) == (told.content, told.images)


def test_thinking_that_is_ours_goes_back_to_the_model() -> None:
    """9router#2193, dirge#821: a tool loop keeps what was thought."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": ThinkingSeal("hm").signature}
    turn = {"role": "assistant", "content": [thinking, text("So"), *CALLED["content"]]}

    assert asked(turn).messages == (Message("assistant", "So", "hm", tool_calls=(THE_CALL,)),)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "hm", "signature": "of another server"},
        {"type": "thinking", "thinking": "hm!", "signature": ThinkingSeal("hm").signature},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]},
    ],
    ids=lambda block: block["type"],
)
def test_what_another_server_thought_or_did_is_left_out(block: dict[str, Any]) -> None:
    assert asked({"role": "assistant", "content": [block, text("So")]}).messages == (Message("assistant", "So"),)


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "high"),
        ({"output_config": {"effort": "max"}}, False),
    ],
)
def test_the_model_thinks_if_it_is_asked_to(fields: dict[str, Any], think: bool | str) -> None:
    assert asked(**fields).think == think


def test_tools_that_the_client_runs_are_offered_and_those_of_a_server_of_theirs_are_not() -> None:
    tools = [CLOCK, {"type": "custom", "name": "bell"}, {"type": "web_search_20250305", "name": "web_search"}]

    got = wanted(tools=tools)

    assert got.dropped == ("tools",)
    assert got.request.tools == (
        Tool("clock", "Tell the time", CITY, "function"),
        Tool("bell", None, None, "function"),
    )


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "clock"}])
def test_one_forced_tool_is_asked_for_as_the_form_of_its_arguments(choice: dict[str, str]) -> None:
    """The AI SDK and LangChain make every structured output so."""
    got = wanted(tools=[CLOCK], tool_choice=choice)

    assert (got.forced_tool, got.request.format, got.request.tools) == ("clock", CITY, None)


@pytest.mark.parametrize(("choice", "offers"), [("auto", True), ("none", False)])
def test_a_model_that_is_free_to_call_is_offered_the_tools(choice: str, offers: bool) -> None:
    got = wanted(tools=[CLOCK], tool_choice={"type": choice})

    assert (got.forced_tool, got.request.tools is not None) == (None, offers)


def test_a_schema_is_the_form_of_the_answer() -> None:
    assert asked(output_config={"format": {"type": "json_schema", "schema": CITY}}).format == CITY
    assert asked(output_config={"format": {"type": "json_schema"}}).format == "json"
    assert asked(output_config={"format": {}}).format is None


def test_to_count_tokens_no_length_is_needed() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

    assert anthropic_request.counted(json.dumps(body).encode()).messages == (Message("user", "hi"),)


def test_a_length_beyond_what_a_model_server_counts_is_capped_in_silence() -> None:
    assert asked(user(text("hi")), max_tokens=2**31).max_output_tokens == 2**31 - 1


def test_an_agent_s_long_history_and_many_tools_are_taken() -> None:
    many = [CLOCK | {"name": f"clock{number}"} for number in range(MAX_HOP_TOOLS)]

    assert len(asked(*[user(text("hi"))] * MAX_HOP_MESSAGES).messages) == MAX_HOP_MESSAGES
    assert len(asked(tools=many).tools or ()) == MAX_HOP_TOOLS


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": None}, "model is required"),
        ({"max_tokens": None}, "max_tokens is required"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"messages": []}, "messages is required"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role must be 'user', 'assistant' or 'system'"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content must be a string or a list of blocks"),
        ({"messages": [user(5)]}, "messages[0].content[0] must be an object with a type"),
        ({"messages": [user({"type": 5})]}, "messages[0].content[0] must be an object with a type"),
        ({"messages": [user(result())]}, "tool_use_id of a tool_result must be the id of a call in an earlier message"),
        ({"messages": [user(text("hi"))] * (MAX_HOP_MESSAGES + 1)}, "messages must have at most 10000 items"),
        ({"messages": [user(*[PICTURE] * 17)]}, "messages must have at most 16 images together"),
        ({"tools": [{"description": "x"}]}, "tools[0].custom.name is required"),
        ({"tools": [5]}, "tools[0].custom must be an object"),
        ({"tools": [CLOCK, {"name": "bell"}], "tool_choice": {"type": "any"}}, "tool_choice cannot force"),
        ({"tools": [CLOCK], "tool_choice": {"type": "tool", "name": "bell"}}, "tool_choice must name one of the tools"),
        ({"stop_sequences": ["x"] * 17}, "stop_sequences must have at most 16 items"),
        (
            {"output_config": {"format": {"schema": {"type": "city"}}}},
            "output_config.format.schema must be a JSON schema",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_that_cannot_be_answered_is_refused_by_the_field(fields: dict[str, Any], words: str) -> None:
    assert refused(**fields).startswith(words)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"type": "image", "source": {"type": "url", "url": "http://x/y.png"}}, "image.source.type must be 'base64'"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "image.source.type must be 'base64'"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/svg+xml", "data": "PHN2Zz4="}},
            "image.source.data must be the plain base64 of a PNG, JPEG, WebP or GIF image",
        ),
        ({"type": "document", "source": {}}, "document cannot be read by the models here: send its text"),
        ({"type": "search_result"}, "document cannot be read by the models here: send its text"),
        ({"type": "tool_use", "id": "c", "name": "f", "input": "{"}, "tool_use.input must be an object"),
    ],
    ids=["URL", "file", "SVG", "document", "search", "arguments"],
)
def test_a_block_that_no_model_here_can_see_is_refused(block: dict[str, Any], words: str) -> None:
    assert refused(user(block)) == f"messages[0].content[0].{words}"
