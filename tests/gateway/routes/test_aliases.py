import pytest

from gateway.routes.aliases import Aliases
from gateway.settings import GatewaySettings, ModelAlias


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4o", "llama3.2"),
        ("claude-opus", "qwen3"),
        ("claude-haiku-4", "tiny"),
        ("claude", "claude"),
        ("llama3.2", "llama3.2"),
        ("GPT-4o", "GPT-4o"),
    ],
)
def test_the_exact_name_wins_then_the_longest_beginning(name: str, model: str) -> None:
    aliases = Aliases([("claude-*", "qwen3"), ("gpt-4o", "llama3.2"), ("claude-haiku-*", "tiny"), ("gpt-4o*", "other")])

    assert aliases.model(name) == model
    assert aliases.names == ("gpt-4o",)


def test_aliases_are_set_as_pairs_with_commas_between() -> None:
    settings = GatewaySettings.model_validate({"model_aliases": " gpt-4o = llama3.2 ,claude-*=qwen3:8b,"})

    assert settings.model_aliases == (ModelAlias("gpt-4o", "llama3.2"), ModelAlias("claude-*", "qwen3:8b"))
    assert ",".join(map(str, settings.model_aliases)) == "gpt-4o=llama3.2,claude-*=qwen3:8b"


@pytest.mark.parametrize("value", ["gpt-4o", "=llama3.2", "gpt-4o=", "g*t=llama3.2", "*x=y", "a" * 257 + "=b"])
def test_what_is_no_alias_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="expected name=model"):
        GatewaySettings.model_validate({"model_aliases": value})
