"""A request in OpenAI's words, and in Groq's.

`proxy/providers/openai_request.py`, `proxy/providers/groq.py`, `proxy/providers/images.py`
"""

from typing import Any

import pytest

from proxy.providers.adapter import Question
from proxy.providers.kinds import PROVIDERS
from services.wire.request import GenerateRequest, Message, Sampling, Tool
from tests.proxy.providers.cloud_speech import asked_body, question
from tests.proxy.providers.conversations import CLOCK, LOOP, SAMPLING, SCHEMA, SEALS
from tests.wire.requests import PNG

HI = [{"role": "user", "content": "hi"}]


def body(model: str = "m", provider: str = "openai", **fields: Any) -> Any:
    said = asked_body(provider, question(model, **fields))
    assert said.pop("messages") == HI
    assert said.pop("model") == model
    return {name: value for name, value in said.items() if name not in {"stream", "stream_options"}}


def dropped(model: str = "m", provider: str = "openai", **fields: Any) -> tuple[str, ...]:
    return PROVIDERS[provider].adapter(question(model, **fields)).request().dropped


# --- the call


def test_a_key_goes_in_its_header_and_is_never_shown() -> None:
    asked = PROVIDERS["openai"].adapter(question(key="sk-secret")).request()

    assert (asked.method, asked.path, asked.headers) == (
        "POST",
        "/chat/completions",
        {"Authorization": "Bearer sk-secret"},
    )
    assert "sk-secret" not in repr(asked) + repr(question(key="sk-secret"))
    assert PROVIDERS["openai"].adapter(question()).request().headers == {}


@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_is_asked_for_with_its_usage(stream: bool) -> None:
    asked = question(stream=stream)
    said = asked_body("openai", asked)

    assert (said["stream"], "stream_options" in said) == (stream, stream)
    assert PROVIDERS["openai"].adapter(asked).request().streams is stream


# --- what a family takes


def test_sampling_goes_on_by_its_shared_names_and_the_rest_is_said() -> None:
    assert body(sampling=SAMPLING) == {
        "temperature": 1.5,
        "top_p": 0.9,
        "seed": 1,
        "stop": ["\n", "END"],
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
    }
    assert dropped(sampling=SAMPLING) == (
        "options.min_p",
        "options.repeat_last_n",
        "options.repeat_penalty",
        "options.top_k",
        "options.typical_p",
    )


def test_four_stops_are_taken_and_the_others_are_said() -> None:
    sampling = Sampling(stop=("a", "b", "c", "d", "e"))

    assert body(sampling=sampling) == {"stop": ["a", "b", "c", "d"]}
    assert dropped(sampling=sampling) == ("options.stop",)
    assert (body(sampling=Sampling(stop=())), dropped(sampling=Sampling(stop=()))) == ({}, ())


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.1-codex", "openai/gpt-5-nano"])
def test_who_reasons_gets_no_sampling_another_word_for_the_length_and_a_developer(model: str) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, presence_penalty=0.1, seed=1)
    messages = Message("system", "Be brief."), Message("user", "hi")

    said = asked_body("openai", question(model, sampling=sampling, max_output_tokens=9, messages=messages))

    assert said["messages"] == [{"role": "developer", "content": "Be brief."}, *HI]
    assert {
        name: said.get(name) for name in ("temperature", "top_p", "presence_penalty", "max_tokens")
    } == dict.fromkeys(("temperature", "top_p", "presence_penalty", "max_tokens"))
    assert (said["max_completion_tokens"], said["seed"]) == (9, 1)
    assert dropped(model, sampling=sampling) == ("options.presence_penalty", "options.temperature", "options.top_p")


@pytest.mark.parametrize(
    ("model", "think", "effort"),
    [
        ("gpt-5", True, "medium"),
        ("gpt-5", "high", "high"),
        ("gpt-5", "max", "high"),
        ("gpt-5", False, "minimal"),
        ("gpt-5.1", False, "none"),
        ("o3", False, "low"),
        ("gpt-5", None, None),
        ("gpt-4.1-nano", True, None),
        ("gpt-4o", "low", None),
        ("a-model", True, "medium"),
        ("a-model", False, None),
    ],
)
def test_how_much_to_think_is_said_where_it_can_be(model: str, think: bool | str | None, effort: str | None) -> None:
    assert body(model, think=think).get("reasoning_effort") == effort
    assert dropped(model, think=think) == (("think",) if think is not None and effort is None else ())


@pytest.mark.parametrize("length", [None, 0, -1])
def test_no_length_is_asked_for_where_none_was_wished(length: int | None) -> None:
    assert body(max_output_tokens=length) == {}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("json", {"type": "json_object"}),
        (SCHEMA, {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}),
        *(
            (schema, {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": False}})
            for schema in (
                {"type": "object"},
                SCHEMA | {"required": []},
                SCHEMA | {"properties": {"a": {"type": "object"}}},
                {"type": "array", "items": {"anyOf": [{"type": "object"}]}},
                *(SCHEMA | {"required": required} for required in (None, 5, "a", {"a": True}, [["a"]], [1])),
                *(SCHEMA | {"properties": properties} for properties in (None, 5, ["a"])),
            )
        ),
    ],
)
def test_only_a_closed_schema_is_asked_for_strictly(wanted: Any, said: Any) -> None:
    assert body(format=wanted) == {"response_format": said}


def test_tools_are_offered_as_they_are() -> None:
    function = {"name": "clock", "description": "tells the time", "parameters": CLOCK.parameters}

    assert body(tools=(CLOCK, Tool("f"))) == {
        "tools": [{"type": "function", "function": function}, {"type": "function", "function": {"name": "f"}}]
    }


# --- the conversation


def test_a_loop_of_tools_goes_on_with_its_own_seals_alone() -> None:
    url = f"data:image/png;base64,{PNG}"

    messages = asked_body("openai", question(messages=LOOP))["messages"]

    assert messages == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What time is it, and what is this?"},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        },
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "clock", "arguments": '{"tz":"UTC"}'}},
                {"id": "call_b", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "12:00"},
        {"role": "tool", "tool_call_id": "call_b", "content": '{"it":"a cat"}'},
        {"role": "user", "content": "Thanks."},
    ]


def test_its_own_seal_goes_back_with_its_call_and_a_result_s_picture_follows_it() -> None:
    call, *_ = LOOP[2].tool_calls or ()
    sealed = Message("assistant", tool_calls=(type(call)("clock", {}, "call_a", extra=SEALS["openai"]),))
    seen = Message("tool", "a cat", images=(PNG,), tool_call_id="call_a")

    _, called, result, picture = asked_body("openai", question(messages=(LOOP[5], sealed, seen)))["messages"]

    assert called["tool_calls"][0]["extra_content"] == SEALS["openai"].data
    assert called["content"] is None
    assert result["content"] == "a cat"
    assert [part["type"] for part in picture["content"]] == ["image_url"]


def test_a_text_to_continue_is_asked_as_a_conversation() -> None:
    asked = Question(GenerateRequest(prompt="hi"), "m")

    assert asked_body("openai", asked)["messages"] == HI


# --- what its server refused before


@pytest.mark.parametrize(
    ("without", "left", "names"),
    [
        ({"max_tokens"}, {"max_completion_tokens": 9, "temperature": 0.5, "reasoning_effort": "low"}, ()),
        (
            {"max_tokens", "max_completion_tokens"},
            {"temperature": 0.5, "reasoning_effort": "low"},
            ("options.num_predict",),
        ),
        ({"temperature"}, {"max_tokens": 9, "reasoning_effort": "low"}, ("options.temperature",)),
        ({"reasoning_effort"}, {"max_tokens": 9, "temperature": 0.5}, ("think",)),
        ({"stream_options"}, {"max_tokens": 9, "temperature": 0.5, "reasoning_effort": "low"}, ()),
    ],
)
def test_what_was_refused_is_left_out_and_said(without: set[str], left: Any, names: tuple[str, ...]) -> None:
    fields: dict[str, Any] = {"sampling": Sampling(temperature=0.5), "max_output_tokens": 9, "think": "low"}
    fields["without"] = frozenset(without)

    assert body(**fields) == left
    assert dropped(**fields) == names
    assert ("stream_options" in asked_body("openai", question(**fields))) is ("stream_options" not in without)


# --- Groq


@pytest.mark.parametrize(
    ("model", "think", "said"),
    [
        ("llama-3.3-70b-versatile", None, {}),
        ("llama-3.3-70b-versatile", True, {}),
        ("qwen/qwen3-32b", None, {"reasoning_format": "parsed"}),
        ("qwen/qwen3-32b", True, {"reasoning_format": "parsed", "reasoning_effort": "default"}),
        ("qwen/qwen3-32b", False, {"reasoning_format": "parsed", "reasoning_effort": "none"}),
        ("deepseek-r1-distill-llama-70b", False, {"reasoning_format": "parsed"}),
        ("openai/gpt-oss-120b", None, {"include_reasoning": True}),
        ("openai/gpt-oss-120b", True, {"include_reasoning": True, "reasoning_effort": "medium"}),
        ("openai/gpt-oss-120b", "max", {"include_reasoning": True, "reasoning_effort": "high"}),
        ("openai/gpt-oss-120b", False, {"include_reasoning": False, "reasoning_effort": "low"}),
    ],
)
def test_groq_is_asked_to_keep_reasoning_apart_whatever_was_wished(model: str, think: Any, said: Any) -> None:
    assert body(model, "groq", think=think) == said
    assert dropped(model, "groq", think=think) == (("think",) if think is not None and not said else ())


def test_groq_has_its_own_word_for_the_length_and_answers_a_schema_only_whole() -> None:
    said = asked_body("groq", question(max_output_tokens=9, format=SCHEMA))

    assert (said["max_completion_tokens"], said["stream"]) == (9, False)
    assert not PROVIDERS["groq"].adapter(question(format=SCHEMA)).request().streams
    assert "stream_options" not in asked_body("groq", question())
    assert asked_body("groq", question(format="json"))["stream"] is True
