"""Whether a key is good, by the list of models (`proxy/providers/key_check.py`), and `proxy/providers/provider.py`."""

import orjson
import pytest

from proxy.providers.key_check import NAMES_MAX, KeyCheck, KeyState
from proxy.providers.kinds import PROVIDERS
from services.wire.request import GenerateRequest
from tests.proxy.providers.test_refusals import of_anthropic, of_gemini, of_openai

LISTS = {
    "ollama": b'{"models":[{"name":"tiny:latest"},{"name":7},3]}',
    "openai": b'{"object":"list","data":[{"id":"tiny:latest"},{"id":7},3]}',
    "groq": b'{"object":"list","data":[{"id":"tiny:latest"}]}',
    "anthropic": b'{"data":[{"id":"tiny:latest","display_name":"Tiny"}],"has_more":false}',
    "gemini": b'{"models":[{"name":"models/tiny:latest","displayName":"Tiny"}]}',
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_list_proves_a_key_and_never_costs_a_generation(provider: str) -> None:
    asked = PROVIDERS[provider].check("k-secret")

    assert (asked.method, asked.body) == ("GET", b"")
    assert any("k-secret" in value for value in asked.headers.values())
    assert "secret" not in asked.path + repr(asked)
    assert PROVIDERS[provider].checked(200, LISTS[provider]) == KeyCheck(KeyState.OK, 200, ("tiny:latest",))
    assert not any("secret" in value for value in PROVIDERS[provider].check(None).headers.values())


@pytest.mark.parametrize(
    ("provider", "status", "body", "state", "sentence"),
    [
        ("openai", 401, of_openai(code="invalid_api_key"), KeyState.REFUSED, "THE_KEY was refused (401)"),
        ("groq", 401, b"", KeyState.REFUSED, "THE_KEY was refused (401)"),
        ("anthropic", 401, of_anthropic(kind="authentication_error"), KeyState.REFUSED, "THE_KEY was refused (401)"),
        (
            "gemini",
            400,
            of_gemini(details=[{"reason": "API_KEY_INVALID"}]),
            KeyState.REFUSED,
            "THE_KEY was refused (400)",
        ),
        ("openai", 403, of_openai(), KeyState.NO_RIGHTS, "THE_KEY is valid but may not list models (403)"),
        ("openai", 429, of_openai(code="insufficient_quota"), KeyState.NO_QUOTA, "THE_KEY: the quota is used up (429)"),
        ("openai", 500, b"<html>", KeyState.UNKNOWN, "THE_KEY could not be checked (500)"),
        ("openai", 429, of_openai(), KeyState.UNKNOWN, "THE_KEY could not be checked (429)"),
        ("ollama", 404, b"no", KeyState.UNKNOWN, "THE_KEY could not be checked (404)"),
        ("openai", 200, b"{}", KeyState.OK, "THE_KEY is valid"),
    ],
)
def test_an_answer_says_what_is_known_of_the_key(
    provider: str, status: int, body: bytes, state: KeyState, sentence: str
) -> None:
    check = PROVIDERS[provider].checked(status, body)

    assert (check.state, check.sentence("THE_KEY")) == (state, sentence)


def test_where_no_answer_came_nothing_is_known() -> None:
    assert KeyCheck(KeyState.UNKNOWN).sentence("THE_KEY") == "THE_KEY: no answer"


def test_a_list_without_end_is_kept_to_a_bound() -> None:
    body = orjson.dumps({"data": [{"id": str(number)} for number in range(NAMES_MAX + 5)]})

    assert len(PROVIDERS["openai"].checked(200, body).models) == NAMES_MAX


def test_each_kind_is_what_it_says() -> None:
    assert {name: (kind.name, kind.adapter.__name__) for name, kind in PROVIDERS.items()} == {
        "ollama": ("ollama", "OllamaAdapter"),
        "openai": ("openai", "OpenAIAdapter"),
        "groq": ("groq", "GroqAdapter"),
        "anthropic": ("anthropic", "AnthropicAdapter"),
        "gemini": ("gemini", "GeminiAdapter"),
    }
    assert [name for name, kind in PROVIDERS.items() if kind.needs_key] == ["groq", "anthropic", "gemini"]
    assert PROVIDERS["ollama"].takes(GenerateRequest(prompt="a", suffix="b"))
    assert all(kind.public_url is None or kind.public_url.startswith("https://") for kind in PROVIDERS.values())
