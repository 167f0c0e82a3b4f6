"""The AI SDK's request JSON: what `useChat` sends, part by part, and what is refused."""

import json
from typing import Any

import pytest

from services.dialects import ai_sdk_request
from services.dialects.foreign import Wanted
from services.wire.bodies import MAX_HOP_MESSAGES
from services.wire.hop import Chat
from services.wire.request import BadBody, CalledTool, ChatRequest, Message, Sampling, Tool

PNG = "iVBORw0KGgoAAAANSUhEUg=="
PICTURE = {"type": "file", "mediaType": "image/png", "url": f"data:image/png;base64,{PNG}"}
STEP = {"type": "step-start"}
CALLED = {"type": "dynamic-tool", "toolName": "clock", "toolCallId": "c1", "input": {"tz": "UTC"}}
THE_CALL = CalledTool("clock", {"tz": "UTC"}, "c1")
THE_RESULT = Message("tool", "12:00", tool_name="clock", tool_call_id="c1")
DONE = {**CALLED, "state": "output-available", "output": "12:00"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said, "state": "done"}


def message(role: str, *parts: object, **more: Any) -> dict[str, Any]:
    return {"role": role, "parts": list(parts), **more}


def wanted(*messages: dict[str, Any], **more: Any) -> Wanted:
    body = {"id": "", "messages": messages or [message("user", text("hi"))], "trigger": "submit-message", **more}
    return ai_sdk_request.asked(json.dumps(body).encode())


def turns(*messages: dict[str, Any], **more: Any) -> tuple[Message, ...]:
    request = wanted(*messages, **more).request
    assert isinstance(request, ChatRequest)
    return request.messages


def test_the_least_that_a_page_sends_asks_the_default_model_without_thinking() -> None:
    assert wanted() == Wanted(request=ChatRequest(messages=(Message("user", "hi"),), think=False), stream=True)


def test_what_the_page_s_body_adds_are_fields_of_our_own_json() -> None:
    clock = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    options = {"temperature": 0.5, "num_predict": 9}

    got = wanted(model="m", think="low", system="Be brief", options=options, tools=[clock], format="json", unknown=1)

    assert got.request == ChatRequest(
        model="m",
        messages=(Message("system", "Be brief"), Message("user", "hi")),
        think="low",
        format="json",
        sampling=Sampling(temperature=0.5),
        max_output_tokens=9,
        tools=(Tool("clock", None, {"type": "object"}, "function"),),
    )


def test_parts_of_the_user_are_text_and_pictures() -> None:
    parts = [
        text("What"),
        PICTURE,
        {"type": "data-weather", "data": {}},
        {"type": "source-url", "url": "x"},
        text("is it?"),
    ]

    assert turns(message("user", *parts)) == (Message("user", "What\nis it?", images=(PNG,)),)


def test_a_message_of_the_system_is_a_turn() -> None:
    assert turns(message("system", text("Be brief"))) == (Message("system", "Be brief"),)


@pytest.mark.parametrize(
    "part",
    [DONE, {name: value for name, value in DONE.items() if name != "toolName"} | {"type": "tool-clock"}],
    ids=["dynamic", "typed"],
)
def test_a_call_with_its_result_is_a_call_and_a_turn_of_the_tool(part: dict[str, Any]) -> None:
    said = message("assistant", STEP, {"type": "reasoning", "text": "hm"}, text("Wait"), part, STEP, text("Noon"))

    assert turns(said) == (
        Message("assistant", "Wait", "hm", tool_calls=(THE_CALL,)),
        THE_RESULT,
        Message("assistant", "Noon"),
    )


def test_what_is_said_behind_a_result_is_said_after_it() -> None:
    """A page that stored its messages may have left the marks of the steps out."""
    assert turns(message("assistant", DONE, text("Noon"))) == (
        Message("assistant", "", tool_calls=(THE_CALL,)),
        THE_RESULT,
        Message("assistant", "Noon"),
    )


def test_calls_of_one_question_stay_together() -> None:
    other = {**DONE, "toolCallId": "c2", "output": {"hour": 12}}

    first, second, third = turns(message("assistant", STEP, DONE, other))

    assert [call.call_id for call in first.tool_calls or ()] == ["c1", "c2"]
    assert (second, third.content, third.tool_call_id) == (THE_RESULT, '{"hour":12}', "c2")


def test_a_call_that_failed_gives_its_error_s_text() -> None:
    failed = {**CALLED, "state": "output-error", "errorText": "no clock"}

    assert turns(message("assistant", failed))[1].content == "no clock"


@pytest.mark.parametrize("state", ["input-streaming", "input-available", "approval-requested", "output-denied"])
def test_a_call_without_a_result_is_left_out(state: str) -> None:
    """A model server would wait for what never came."""
    assert turns(message("assistant", text("So"), {**CALLED, "state": state})) == (Message("assistant", "So"),)


def test_a_call_without_arguments_has_none() -> None:
    assert turns(message("assistant", {**DONE, "input": None}))[0].tool_calls == (CalledTool("clock", {}, "c1"),)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a1B2_c3-d4E5f6G7", True), ("x" * 128, True), ("x" * 15, False), ("x" * 129, False), ("x" * 16 + "/", False)],
)
def test_a_chat_is_come_back_to_by_an_id_that_is_hard_to_guess(given: str, kept: bool) -> None:
    assert wanted(id=given).chat == (Chat(given) if kept else None)


def test_a_page_that_comes_back_says_so() -> None:
    assert wanted(on_disconnect="continue").on_disconnect == "continue"


@pytest.mark.parametrize(("role", "goes_on"), [("assistant", "m2"), ("user", "")])
def test_an_assistant_s_message_that_is_the_last_goes_on(role: str, goes_on: str) -> None:
    """A page that comes back has to be told the same id, which it does not say again."""
    messages = [message("user", text("hi"), id="u1"), message(role, text("So"), id="m2")]

    got = wanted(*messages, id="c" * 16)

    assert (got.message_id, got.chat) == (goes_on, Chat("c" * 16, goes_on))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"messages": []}, "messages is required"),
        ({"messages": [message("tool")]}, "messages[0].role must be 'system', 'user' or 'assistant'"),
        ({"messages": [message("user", 5)]}, "messages[0].parts[0] must be an object with a type"),
        ({"messages": [message("user", {"type": 5})]}, "messages[0].parts[0] must be an object with a type"),
        (
            {"messages": [message("user", text("hi"))] * (MAX_HOP_MESSAGES + 1)},
            "messages must have at most 10000 items",
        ),
        ({"messages": [message("user", *[PICTURE] * 17)]}, "messages must have at most 16 images together"),
        (
            {"messages": [message("user", {"type": "file", "url": "http://x/y.png"})]},
            "url of a file part must be a data:",
        ),
        ({"messages": [message("assistant", {**DONE, "input": "{"})]}, "input of a tool part must be an object"),
        ({"on_disconnect": "stay"}, "on_disconnect must be 'cancel' or 'continue'"),
        ({"options": 5}, "options must be an object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_body_that_cannot_be_answered_is_refused_by_the_field(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadBody) as caught:
        wanted(**fields)

    assert caught.value.message.startswith(words)
