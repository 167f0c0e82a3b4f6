"""A request in Gemini's words (`proxy/providers/gemini_request.py`)."""

from typing import Any

import pytest

from proxy.providers.kinds import PROVIDERS
from services.wire.events import Signature
from services.wire.request import CalledTool, GenerateRequest, Message, Sampling, Tool
from tests.proxy.providers.cloud_speech import asked_body, question
from tests.proxy.providers.conversations import CLOCK, LOOP, SAMPLING, SCHEMA
from tests.wire.requests import PNG

FLASH, PRO, THREE = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-pro-preview"
HI = [{"role": "user", "parts": [{"text": "hi"}]}]


def config(model: str = FLASH, **fields: Any) -> Any:
    said = asked_body("gemini", question(model, **fields))
    assert said["contents"] == HI
    return said.get("generationConfig", {})


def dropped(model: str = FLASH, **fields: Any) -> tuple[str, ...]:
    return PROVIDERS["gemini"].adapter(question(model, **fields)).request().dropped


def test_a_key_goes_in_a_header_and_never_in_the_address() -> None:
    asked = PROVIDERS["gemini"].adapter(question(FLASH, key="AIza-secret")).request()

    assert asked.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert asked.headers == {"x-goog-api-key": "AIza-secret"}
    assert "secret" not in repr(asked)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("a/../b?x=1#y", "a%2F..%2Fb%3Fx%3D1%23y"),
        ("a b", "a%20b"),
    ],
)
def test_a_name_stays_one_step_of_the_path(model: str, path: str) -> None:
    asked = PROVIDERS["gemini"].adapter(question(model, stream=False)).request()

    assert (asked.path, asked.streams) == (f"/v1beta/models/{path}:generateContent", False)


def test_sampling_goes_on_by_its_names_there_and_the_rest_is_said() -> None:
    assert config(sampling=SAMPLING) == {
        "temperature": 1.5,
        "topK": 40,
        "topP": 0.9,
        "seed": 1,
        "stopSequences": ["\n", "END"],
        "presencePenalty": 0.2,
        "frequencyPenalty": 0.3,
    }
    assert dropped(sampling=SAMPLING) == (
        "options.min_p",
        "options.repeat_last_n",
        "options.repeat_penalty",
        "options.typical_p",
    )


@pytest.mark.parametrize(
    ("sampling", "said", "names"),
    [
        (Sampling(stop=tuple("abcdef")), {"stopSequences": [*"abcde"]}, ("options.stop",)),
        (Sampling(stop=("", "a")), {"stopSequences": ["a"]}, ()),
        (Sampling(stop=()), {}, ()),
        (Sampling(seed=1 << 31), {}, ("options.seed",)),
        (Sampling(seed=-(1 << 31)), {"seed": -(1 << 31)}, ()),
    ],
    ids=str,
)
def test_what_would_be_refused_is_not_sent(sampling: Sampling, said: Any, names: tuple[str, ...]) -> None:
    assert config(sampling=sampling) == said
    assert dropped(sampling=sampling) == names


@pytest.mark.parametrize(
    ("model", "think", "said"),
    [
        (FLASH, True, {"includeThoughts": True, "thinkingBudget": -1}),
        (FLASH, "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        (FLASH, "max", {"includeThoughts": True, "thinkingBudget": 24_576}),
        (FLASH, False, {"includeThoughts": False, "thinkingBudget": 0}),
        (PRO, False, {"includeThoughts": False, "thinkingBudget": 128}),
        (THREE, True, {"includeThoughts": True, "thinkingLevel": "high"}),
        (THREE, "low", {"includeThoughts": True, "thinkingLevel": "low"}),
        (THREE, False, {"includeThoughts": False, "thinkingLevel": "low"}),
        ("gemini-2.0-flash", True, None),
        (FLASH, None, None),
    ],
)
def test_thinking_is_asked_for_or_held_down_as_the_family_knows_it(model: str, think: Any, said: Any) -> None:
    assert config(model, think=think).get("thinkingConfig") == said
    assert dropped(model, think=think) == (("think",) if think and said is None else ())


def test_json_a_length_and_tools_have_their_places() -> None:
    body = asked_body("gemini", question(tools=(CLOCK, Tool("f")), format=SCHEMA, max_output_tokens=9))

    assert body["generationConfig"] == {
        "maxOutputTokens": 9,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "clock", "description": "tells the time", "parametersJsonSchema": CLOCK.parameters},
                {"name": "f"},
            ]
        }
    ]
    assert config(format="json") == {"responseMimeType": "application/json"}


# --- the conversation


def test_a_loop_of_tools_goes_on_with_its_own_seals_alone() -> None:
    body = asked_body("gemini", question(THREE, messages=LOOP))

    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [
        {
            "role": "user",
            "parts": [
                {"text": "What time is it, and what is this?"},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {"functionCall": {"name": "clock", "args": {"tz": "UTC"}}, "thoughtSignature": "seal of gemini"},
                {"functionCall": {"name": "look", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "clock", "response": {"result": "12:00"}}},
                {"functionResponse": {"name": "look", "response": {"it": "a cat"}}},
                {"text": "Thanks."},
            ],
        },
    ]


@pytest.mark.parametrize(("model", "signature"), [(THREE, "skip_thought_signature_validator"), (FLASH, None)])
def test_a_call_made_elsewhere_goes_with_the_word_for_that_where_one_is_demanded(
    model: str, signature: str | None
) -> None:
    """dify-official-plugins#2088: Gemini 3 refuses a call without its signature."""
    called = Message("assistant", tool_calls=(CalledTool("f", {}, "a"), CalledTool("g", {}, "b")))
    results = [Message("tool", "1", tool_call_id=call_id) for call_id in ("a", "b")]
    turns = Message("user", "hi"), called, *results

    _, said, _ = asked_body("gemini", question(model, messages=turns))["contents"]

    assert [part.get("thoughtSignature") for part in said["parts"]] == [signature, None]


def test_a_text_s_own_seal_goes_back_behind_it() -> None:
    extra = (Signature("anthropic", {"signature": "no"}), Signature("gemini", {"thoughtSignature": "Eo0H"}))
    turns = Message("user", "hi"), Message("assistant", "a", extra=extra), Message("user", "go on")

    _, said, _ = asked_body("gemini", question(messages=turns))["contents"]

    assert said["parts"] == [{"text": "a"}, {"text": "", "thoughtSignature": "Eo0H"}]


def test_the_user_speaks_first() -> None:
    contents = asked_body("gemini", question(messages=(Message("assistant", "Once"),)))["contents"]

    assert [content["role"] for content in contents] == ["user", "model"]


def test_what_fills_a_gap_or_goes_past_a_template_is_not_taken() -> None:
    takes = PROVIDERS["gemini"].takes

    assert takes(GenerateRequest(prompt="a"))
    assert not takes(GenerateRequest(prompt="a", suffix="b"))
    assert not takes(GenerateRequest(prompt="a", raw=True))
