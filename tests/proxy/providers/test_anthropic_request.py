"""A request in Anthropic's words (`proxy/providers/anthropic_request.py`)."""

from typing import Any

import pytest

from proxy.providers.adapter import Question
from proxy.providers.anthropic_request import version_of
from proxy.providers.kinds import PROVIDERS
from services.wire.events import Signature
from services.wire.request import CalledTool, GenerateRequest, Message, Sampling, Tool
from tests.proxy.providers.cloud_speech import asked_body, question
from tests.proxy.providers.conversations import CLOCK, LOOP, SAMPLING, SCHEMA
from tests.wire.requests import PNG

OLD, NEW = "claude-3-5-haiku-latest", "claude-opus-5"
THINKING, ADAPTIVE = "claude-sonnet-4-5-20250929", "claude-sonnet-4-6"
HI = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


def body(model: str = OLD, **fields: Any) -> Any:
    said = asked_body("anthropic", question(model, **fields))
    assert said.pop("messages") == HI
    assert (said.pop("model"), said.pop("stream")) == (model, True)
    return said


def messages(*turns: Message) -> Any:
    return asked_body("anthropic", question(messages=turns))["messages"]


def said_text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def dropped(model: str = OLD, **fields: Any) -> tuple[str, ...]:
    return PROVIDERS["anthropic"].adapter(question(model, **fields)).request().dropped


def test_a_key_goes_in_its_own_header_under_the_version_that_still_takes_sampling() -> None:
    asked = PROVIDERS["anthropic"].adapter(question(key="sk-ant")).request()

    assert (asked.path, asked.headers) == ("/v1/messages", {"anthropic-version": "2023-06-01", "x-api-key": "sk-ant"})
    assert "sk-ant" not in repr(asked)


@pytest.mark.parametrize(("wished", "asked"), [(None, 4096), (0, 4096), (-1, 4096), (9, 9)])
def test_a_length_is_always_asked_for(wished: int | None, asked: int) -> None:
    assert body(max_output_tokens=wished) == {"max_tokens": asked}


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-sonnet-4-5-20250929", (4, 5)),
        ("claude-opus-4-20250514", (4, 0)),
        ("claude-3-5-haiku-latest", (3, 5)),
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-opus-4.7", (4, 7)),
        ("claude-fable-5", (5, 0)),
        ("anthropic/claude-sonnet-4-6", (4, 6)),
        ("another", (99, 0)),
    ],
)
def test_a_family_is_told_by_its_number(model: str, version: tuple[int, int]) -> None:
    assert version_of(model) == version


@pytest.mark.parametrize(
    ("sampling", "said", "names"),
    [
        (Sampling(temperature=1.5), {"temperature": 1.0}, ()),
        (Sampling(temperature=0.5, top_p=0.9, top_k=4), {"temperature": 0.5, "top_k": 4}, ("options.top_p",)),
        (Sampling(top_p=0.9), {"top_p": 0.9}, ()),
        (Sampling(stop=("END", " \n", "")), {"stop_sequences": ["END"]}, ()),
        (Sampling(stop=("\n",)), {}, ("options.stop",)),
        (Sampling(stop=()), {}, ()),
        (Sampling(seed=1, min_p=0.1), {}, ("options.min_p", "options.seed")),
    ],
    ids=str,
)
def test_sampling_is_said_as_it_is_taken(sampling: Sampling, said: Any, names: tuple[str, ...]) -> None:
    assert body(sampling=sampling) == {"max_tokens": 4096, **said}
    assert dropped(sampling=sampling) == names


def test_a_newer_family_takes_no_sampling() -> None:
    assert body(NEW, sampling=SAMPLING) == {"max_tokens": 4096, "stop_sequences": ["END"]}
    assert set(dropped(NEW, sampling=SAMPLING)) >= {"options.temperature", "options.top_p", "options.top_k"}


@pytest.mark.parametrize(
    ("model", "think", "length", "said"),
    [
        (OLD, True, 9000, {}),
        (THINKING, True, 9000, {"thinking": {"type": "enabled", "budget_tokens": 4096}}),
        (THINKING, "low", 9000, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (THINKING, "high", 9000, {"thinking": {"type": "enabled", "budget_tokens": 8999}}),
        (THINKING, True, 1024, {}),
        (THINKING, False, 9000, {}),
        (ADAPTIVE, True, 9000, {"thinking": {"type": "adaptive"}}),
        (ADAPTIVE, "high", 9000, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        (ADAPTIVE, "hard", 9000, {"thinking": {"type": "adaptive"}}),
        (NEW, False, 9000, {}),
    ],
)
def test_thinking_is_asked_for_as_the_family_knows_it(model: str, think: Any, length: int, said: Any) -> None:
    assert body(model, think=think, max_output_tokens=length) == {"max_tokens": length, **said}
    assert dropped(model, think=think, max_output_tokens=length) == (("think",) if think and not said else ())


def test_what_is_thought_is_sampled_by_no_wish_of_ours() -> None:
    fields: dict[str, Any] = {"think": True, "sampling": Sampling(temperature=0.5), "max_output_tokens": 9000}

    assert "temperature" not in body(THINKING, **fields)
    assert dropped(THINKING, **fields) == ("options.temperature",)


def test_json_is_asked_for_by_a_schema_or_not_at_all() -> None:
    takes = PROVIDERS["anthropic"].takes

    assert body(format=SCHEMA)["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert (takes(question(format=SCHEMA).request), takes(question(format="json").request)) == (True, False)
    assert (takes(GenerateRequest(prompt="a")), takes(GenerateRequest(prompt="a", raw=True))) == (True, False)
    assert dropped(format="json") == ("format",)


def test_tools_are_offered_with_a_schema_each() -> None:
    assert body(tools=(CLOCK, Tool("f")))["tools"] == [
        {"name": "clock", "description": "tells the time", "input_schema": CLOCK.parameters},
        {"name": "f", "input_schema": {"type": "object"}},
    ]


def test_tools_that_were_called_are_declared_where_none_may_be_called_any_more() -> None:
    said = asked_body("anthropic", question(messages=LOOP))

    assert [one["name"] for one in said["tools"]] == ["clock", "look"]
    assert said["tool_choice"] == {"type": "none"}
    assert body().keys().isdisjoint({"tools", "tool_choice"})


@pytest.mark.parametrize(
    ("without", "names"),
    [("temperature", ("options.temperature",)), ("thinking", ()), ("stop_sequences", ("options.stop",))],
)
def test_what_was_refused_is_left_out_and_said(without: str, names: tuple[str, ...]) -> None:
    fields: dict[str, Any] = {"sampling": Sampling(temperature=0.5, stop=("END",)), "without": frozenset({without})}

    assert without not in body(**fields)
    assert dropped(**fields) == names


# --- the conversation


def test_a_loop_of_tools_goes_on_with_its_own_seals_alone() -> None:
    said = asked_body("anthropic", question(messages=LOOP))

    assert said["system"] == "Be brief."
    assert said["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "text", "text": "What time is it, and what is this?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "seal of anthropic"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "call_a", "name": "clock", "input": {"tz": "UTC"}},
                {"type": "tool_use", "id": "call_b", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_a", "content": said_text("12:00")},
                {"type": "tool_result", "tool_use_id": "call_b", "content": said_text('{"it":"a cat"}')},
                {"type": "text", "text": "Thanks."},
            ],
        },
    ]


def seal(characters: int, **data: str) -> Signature:
    return Signature("anthropic", {**data, "characters": characters})


@pytest.mark.parametrize(
    ("thinking", "extra", "kinds"),
    [
        ("hm", (seal(2, signature="a"),), ["hm"]),
        ("hmah", (seal(2, signature="a"), seal(0, redacted_thinking="x"), seal(2, signature="b")), ["hm", "x", "ah"]),
        ("changed", (seal(2, signature="a"),), []),
        ("hm", (Signature("anthropic", {"signature": "a", "characters": "2"}),), []),
        ("hm", (seal(2, other="a"),), []),
        ("hm", (Signature("gemini", {"signature": "a", "characters": 2}),), []),
        ("hm", (), []),
    ],
)
def test_thoughts_go_back_as_they_were_sealed_or_not_at_all(thinking: str, extra: Any, kinds: list[str]) -> None:
    turn = Message("assistant", "a", thinking=thinking, extra=extra)

    _, said, _ = messages(Message("user", "hi"), turn, Message("user", "go on"))

    thoughts = [block.get("thinking", block.get("data")) for block in said["content"][:-1]]
    assert thoughts == kinds


def test_the_user_speaks_first_and_the_last_words_of_the_assistant_end_without_blanks() -> None:
    assert messages(Message("assistant", "Once upon a time \n")) == [
        {"role": "user", "content": [{"type": "text", "text": "Continue."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Once upon a time"}]},
    ]


@pytest.mark.parametrize("sealed", [True, False])
def test_in_the_middle_of_its_tools_a_model_that_did_not_think_is_not_asked_to(sealed: bool) -> None:
    """History that was made elsewhere: the older families refuse a call that no thought came before."""
    extra = (seal(2, signature="a"),) if sealed else None
    called = Message("assistant", thinking="hm", tool_calls=(CalledTool("f", {}, "call_a"),), extra=extra)
    turns = Message("user", "hi"), called, Message("tool", "", tool_call_id="call_a")

    said = asked_body("anthropic", question(THINKING, messages=turns, think=True, max_output_tokens=9000))

    assert ("thinking" in said) is sealed
    assert said["messages"][-1]["content"] == [{"type": "tool_result", "tool_use_id": "call_a"}]


def test_a_prompt_to_go_on_with_is_one_question_and_offers_no_tools() -> None:
    asked = asked_body("anthropic", Question(GenerateRequest(model=OLD, prompt="hi"), OLD))

    assert asked["messages"] == HI
    assert "tools" not in asked
