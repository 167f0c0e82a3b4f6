"""The rules between a request's fields, and any object at all: through every reader of bodies."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import bodies
from services.wire.request import (
    Asked,
    BadBody,
    ChatRequest,
    GenerateRequest,
    Message,
    ModelRequest,
    NextTurn,
    Sampling,
    Wishes,
    demand_content,
    idempotency_key,
)
from tests.wire.requests import (
    CALL,
    GATEWAY_ROUTES,
    NOT_OFFERED,
    OPTIONS_NOT_OFFERED,
    PNG,
    PROXY_ROUTES,
    ROUTES,
    TOOL,
    full_body,
    read,
    sent,
)

USER = {"role": "user", "content": "hi"}


def asked(route: str, **fields: object) -> Asked[ModelRequest]:
    return read(route, fields)


def gateway_chat(**fields: object) -> Asked[ModelRequest]:
    return bodies.gateway_chat(json.dumps(fields).encode())


def refusal_of(route: str, **fields: object) -> str:
    with pytest.raises(BadBody) as refusal:
        read(route, fields)
    return refusal.value.message


def test_message_stands_for_one_message_of_the_user() -> None:
    request, wishes = gateway_chat(message="hi")

    assert request == ChatRequest(messages=(Message("user", "hi"),))
    assert (wishes.on_disconnect, wishes.conversation_id) == ("cancel", None)


def test_system_goes_in_front_of_the_messages() -> None:
    system = {"role": "system", "content": "be brief"}

    assert sent(gateway_chat(message="hi", system="be brief")) == {"messages": [system, USER]}
    assert sent(gateway_chat(messages=[USER], system="be brief")) == {"messages": [system, USER]}


def test_an_empty_system_is_no_message() -> None:
    assert sent(gateway_chat(message="hi", system="")) == {"messages": [USER]}


def test_the_fields_between_client_and_gateway_stay_there() -> None:
    asked = gateway_chat(message="hi", on_disconnect="continue", conversation_id="c_8f.~-", stream=True)

    assert sent(asked) == {"messages": [USER]}
    turn = NextTurn("c_8f.~-", "hi")
    assert asked.wishes == Wishes(stream=True, on_disconnect="continue", conversation_id="c_8f.~-", turn=turn)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"message": ""},
        {"message": None},
        {"messages": []},
        {"messages": None},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": "", "images": []}]},
        {"messages": [{"role": "system", "content": "be brief"}, {"role": "assistant", "content": "hi"}]},
        {"system": "be brief"},
        {"model": "m", "tools": [TOOL]},
    ],
    ids=str,
)
def test_a_chat_in_which_the_user_says_nothing_is_refused_at_the_gateway(fields: dict[str, Any]) -> None:
    assert refusal_of("gateway chat", **fields) == "Message is required"


@pytest.mark.parametrize("said", [{"content": " "}, {"images": [PNG]}], ids=["text", "picture"])
def test_text_or_a_picture_of_the_user_is_enough(said: dict[str, Any]) -> None:
    assert sent(gateway_chat(messages=[{"role": "user", **said}]))["messages"] == [{"role": "user", **said}]


@pytest.mark.parametrize("prompt", [{}, {"prompt": ""}, {"prompt": None}], ids=str)
def test_an_empty_prompt_is_no_order_to_load_the_model_at_the_gateway(prompt: dict[str, Any]) -> None:
    assert refusal_of("gateway generate", model="m", images=[PNG], **prompt) == "Prompt is required"


@pytest.mark.parametrize("messages", [[], [USER]], ids=str)
@pytest.mark.parametrize("message", ["", "hi"])
def test_message_beside_messages_is_refused(message: str, messages: list[Any]) -> None:
    words = refusal_of("gateway chat", message=message, messages=messages)

    assert words == "Send either message or messages, not both"


@pytest.mark.parametrize("route", ["hop chat", "proxy chat"])
def test_message_means_nothing_to_the_proxy(route: str) -> None:
    assert sent(asked(route, model="m", message="hi", messages=[USER])) == {"model": "m", "messages": [USER]}


@pytest.mark.parametrize("route", PROXY_ROUTES)
@pytest.mark.parametrize("model", [{}, {"model": None}], ids=str)
def test_the_proxy_demands_a_model(route: str, model: dict[str, Any]) -> None:
    assert refusal_of(route, messages=[USER], prompt="hi", **model) == "model is required"


@pytest.mark.parametrize("route", ["gateway chat", "hop chat", "proxy chat"])
def test_sixteen_pictures_a_request_over_all_its_messages(route: str) -> None:
    eight = USER | {"images": [PNG] * 8}

    assert sent(asked(route, model="m", messages=[eight, eight]))["messages"] == [eight, eight]
    assert refusal_of(route, model="m", messages=[eight, eight, USER | {"images": [PNG]}]) == (
        "messages must have at most 16 images together"
    )


def test_system_counts_as_a_message() -> None:
    """Or the gateway would take a chat that the proxy refuses."""
    fits = gateway_chat(messages=[USER] * 999, system="be brief")

    assert len(sent(fits)["messages"]) == 1000
    assert refusal_of("gateway chat", messages=[USER] * 1000, system="be brief") == (
        "messages and system together must be at most 1000"
    )


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize("route", [bodies.gateway_chat, bodies.gateway_generate])
def test_stream_at_the_gateway_is_what_the_route_does_or_absent(route: Any, expected: bool) -> None:
    body = {"message": "hi"} if route is bodies.gateway_chat else {"prompt": "hi"}

    given = [json.dumps(body | more).encode() for more in ({}, {"stream": expected})]
    taken = [route(raw, stream=expected).wishes.stream for raw in given]
    with pytest.raises(BadBody) as refusal:
        route(json.dumps(body | {"stream": not expected}).encode(), stream=expected)

    assert taken == [None, expected]
    assert refusal.value.message == f"stream must be {'true' if expected else 'false'} on this route"


@pytest.mark.parametrize("stream", [None, True, False])
@pytest.mark.parametrize("route", PROXY_ROUTES)
def test_stream_at_the_proxy_is_the_clients_wish_and_never_in_the_body(route: str, stream: bool | None) -> None:
    asked = read(route, full_body(route) | {"stream": stream})

    assert asked.wishes.stream is stream
    assert sent(asked) == full_body(route)


@pytest.mark.parametrize("route", GATEWAY_ROUTES)
@pytest.mark.parametrize("name", [*NOT_OFFERED, "raw", "Model"])
def test_what_the_gateway_does_not_offer_it_refuses_by_name(route: str, name: str) -> None:
    words = refusal_of(route, **full_body(route), **{name: NOT_OFFERED.get(name, True)})

    assert words == f"unknown field: {name}"


@pytest.mark.parametrize("route", GATEWAY_ROUTES)
@pytest.mark.parametrize("name", OPTIONS_NOT_OFFERED)
def test_options_of_the_runner_are_refused_by_name(route: str, name: str) -> None:
    """Another num_ctx would unload the model and load it again, for everyone."""
    words = refusal_of(route, **full_body(route) | {"options": {name: OPTIONS_NOT_OFFERED[name]}})

    assert words == f"unknown field: options.{name}"


@pytest.mark.parametrize("route", ROUTES)
def test_options_that_are_null_are_no_options(route: str) -> None:
    request = read(route, full_body(route) | {"options": None})

    assert "options" not in sent(request)
    assert request.wishes.dropped == ()


def test_fields_of_the_other_route_are_not_taken() -> None:
    assert refusal_of("gateway generate", prompt="hi", messages=[USER]) == "unknown field: messages"
    assert refusal_of("gateway chat", message="hi", prompt="hi") == "unknown field: prompt"
    for route in ("hop chat", "proxy chat"):
        both = asked(route, model="m", messages=[USER], prompt="hi", raw=True)
        assert sent(both) == {"model": "m", "messages": [USER]}


@pytest.mark.parametrize(
    ("fields", "wants"),
    [
        ({}, False),
        ({"tools": []}, False),
        ({"tools": [TOOL]}, True),
        ({"format": "json"}, True),
        ({"format": None}, False),
    ],
    ids=str,
)
def test_tools_and_format_announce_a_silent_model(fields: dict[str, Any], wants: bool) -> None:
    assert gateway_chat(message="hi", **fields).request.wants_tools_or_format is wants


@pytest.mark.parametrize(("format_", "wants"), [(None, False), ("json", True), ({"type": "object"}, True)], ids=str)
def test_a_format_announces_a_silent_model_without_a_conversation_too(format_: Any, *, wants: bool) -> None:
    assert GenerateRequest(model="m", prompt="hi", format=format_).wants_tools_or_format is wants


@pytest.mark.parametrize(
    ("wish", "length"),
    [
        ({}, 100),
        *(({"num_predict": n}, 100) for n in (None, 0, -1, -2, 100, 101, 2**31 - 1)),
        ({"num_predict": 1}, 1),
        ({"num_predict": 99}, 99),
    ],
    ids=str,
)
def test_num_predict_is_always_sent_and_never_above_the_cap(wish: dict[str, Any], length: int) -> None:
    request = gateway_chat(message="hi", options={"seed": 1, **wish}).request

    assert request.max_output_tokens == wish.get("num_predict")
    assert request.completed("m", 100).max_output_tokens == length
    assert request.completed("m", 100).sampling == Sampling(seed=1)


def test_the_default_model_is_taken_only_where_none_is_named() -> None:
    request = gateway_chat(message="hi").request.completed("default", 100)

    assert sent(Asked(request, Wishes())) == {
        "model": "default",
        "messages": [USER],
        "options": {"num_predict": 100},
    }
    assert gateway_chat(message="hi", model="llama3.2").request.completed("default", 100).model == "llama3.2"


def test_filling_in_the_defaults_leaves_the_request_as_it_was() -> None:
    asked = gateway_chat(message="hi", options={"num_predict": 500})

    asked.request.completed("default", 100)

    assert sent(asked) == {"messages": [USER], "options": {"num_predict": 500}}


def test_what_may_be_kept_of_a_request_is_its_kind_and_its_model() -> None:
    """The rest may have megabytes, and a log outlives it."""
    chat = asked("proxy chat", **full_body("proxy chat")).request
    generate = asked("proxy generate", **full_body("proxy generate"), system="s", images=[PNG]).request

    assert chat.emptied() == ChatRequest(model="m")
    assert generate.emptied() == GenerateRequest(model="m")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ChatRequest(model="m"), "Message is required"),
        (GenerateRequest(model="m", prompt="", system="s"), "Prompt is required"),
    ],
    ids=str,
)
def test_a_request_that_says_nothing_is_refused_where_something_has_to_be_said(
    request_: ModelRequest, words: str
) -> None:
    with pytest.raises(BadBody) as refusal:
        demand_content(request_)

    assert refusal.value.message == words


CANARY = "canary-7f3a"
NAMES = [
    *("model", "messages", "message", "prompt", "system", "suffix", "images", "raw", "options", "stream", "format"),
    *("think", "tools", "on_disconnect", "conversation_id", "role", "content", "tool_calls", "function", "name"),
    *("arguments", "type", "num_predict", "stop", "temperature", "seed", "keep_alive", "num_ctx", "thinking", "id"),
    *("parameters", "description", "tool_name", "tool_call_id", "index", "", "x\n", "\ud7ff", "x" * 500),
]
LEAVES: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, 2**70, "", "hi", CANARY, "json", "user", "function", "object", PNG),
    *([], {}, [USER], [TOOL], [CALL], ["x"], {"type": "object"}),
]


def drawn_value(draw: Random, levels: int) -> Any:
    match draw.randrange(4) if levels else 0:
        case 0 | 1:
            return draw.choice(LEAVES)
        case 2:
            return {draw.choice(NAMES): drawn_value(draw, levels - 1) for _ in range(draw.randrange(4))}
        case _:
            return [drawn_value(draw, levels - 1) for _ in range(draw.randrange(3))]


def objects_in(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [each for one in inner for each in objects_in(one)]
    return [value, *found] if isinstance(value, dict) else found


def drawn_body(draw: Random, route: str) -> dict[str, Any]:
    """Draw an object of any shape, or a good body with one field anywhere in it set to anything."""
    if draw.random() < 0.3:
        return {draw.choice(NAMES): drawn_value(draw, levels=3) for _ in range(draw.randrange(5))}
    body = full_body(route)
    draw.choice(objects_in(body))[draw.choice(NAMES)] = drawn_value(draw, levels=2)
    return body


def request_or_refusal(route: str, body: dict[str, Any]) -> Asked[ModelRequest] | BadBody:
    try:
        return read(route, body)
    except BadBody as refusal:
        return refusal


@given(st.integers(0, 2**64 - 1))
def test_any_object_becomes_a_request_or_a_refusal_and_never_an_accident(seed: int) -> None:
    """Ten objects a seed: hypothesis takes a minute to draw 10,000 by itself."""
    draw = Random(seed)
    for _ in range(10):
        route = draw.choice(ROUTES)
        result = request_or_refusal(route, drawn_body(draw, route))

        if isinstance(result, BadBody):
            assert CANARY not in result.message
            assert result.message.isprintable()
            assert 0 < len(result.message) <= 300
        else:
            assert "stream" not in sent(result)
        if not isinstance(result, BadBody) and route in GATEWAY_ROUTES:
            on_the_hop = sent(Asked(result.request.completed("m", 100), Wishes()))
            assert sent(read(f"hop {result.request.kind}", on_the_hop)) == on_the_hop


@pytest.mark.parametrize("given", [None, "k" * 22, "k-_9" * 16])
def test_a_key_that_nobody_guesses_is_taken(given: str | None) -> None:
    assert idempotency_key(given) == given


@pytest.mark.parametrize("given", ["", "k" * 21, "k" * 65, "k" * 21 + "\n", "k" * 21 + "ё"])
def test_a_key_that_could_be_guessed_is_refused(given: str) -> None:
    with pytest.raises(BadBody, match="22 to 64"):
        idempotency_key(given)
    assert idempotency_key(given, lenient=True) is None


@pytest.mark.parametrize(("form", "waits"), [(None, False), ("json", True), ({"type": "object"}, True)])
def test_a_text_in_a_format_is_held_back_as_a_conversation_s_is(form: Any, *, waits: bool) -> None:
    assert GenerateRequest(model="m", prompt="hi", format=form).wants_tools_or_format is waits
    assert ChatRequest(model="m", messages=(Message("user", "hi"),), format=form).wants_tools_or_format is waits
