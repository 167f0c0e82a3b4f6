import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from services.wire.model_names import (
    MAX_CAPABILITIES,
    ListedModel,
    canonical,
    default_model,
    listed_models,
    merged_lists,
    shown_capabilities,
)

CAPTURES: Final = Path(__file__).parents[1] / "captures"


def recorded(case: str) -> bytes:
    """The body of a recorded answer."""
    lines = (CAPTURES / f"{case}.jsonl").read_text().rstrip("\n").split("\n")
    return "".join(json.loads(line).get("chunk", "") for line in lines).encode()


def listing(*models: Any) -> bytes:
    return json.dumps({"models": list(models)}).encode()


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "tiny:latest",
        "TINY",
        "Tiny:LATEST",
        "library/tiny",
        "library/tiny:latest",
        "registry.ollama.ai/library/tiny",
        "Registry.Ollama.AI/library/tiny:latest",
        "https://registry.ollama.ai/library/tiny",
        "http://registry.ollama.ai/library/tiny:latest",
        "registry.ollama.ai/tiny",
        " tiny\n",
        "tiny:local",
        "tiny:latest:LOCAL",
        "library/tiny:local",
    ],
)
def test_the_spellings_of_a_model_are_one_name(name: str) -> None:
    assert canonical(name) == "tiny:latest"


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("tiny:1b", "tiny:1b"),
        ("me/tiny", "me/tiny:latest"),
        ("other.example/library/tiny", "other.example/library/tiny:latest"),
        ("library/library/tiny", "library/library/tiny:latest"),
        ("host:5000/library/x", "host:5000/library/x:latest"),
        ("host:5000/library/x:1b", "host:5000/library/x:1b"),
        ("tiny:cloud", "tiny:cloud"),
        ("tiny:20b-cloud", "tiny:20b-cloud"),
        ("libraryx", "libraryx:latest"),
        ("tiny:latest-local", "tiny:latest-local"),
        ("", ":latest"),
        ("tiny:", "tiny:"),
    ],
)
def test_another_namespace_host_or_tag_is_another_model(name: str, one: str) -> None:
    assert canonical(name) == one
    assert canonical(one) == one


def test_what_a_real_server_lists_is_read() -> None:
    models = listed_models(recorded("tags"))

    assert models is not None
    assert models[0].modified_s is not None
    assert replace(models[0], modified_s=None) == ListedModel(
        "thinker:latest",
        size=3987902,
        family="llama",
        digest="c7e50bc02e1624067c5bed4b37f98781f2a716ac51b1bf6506e8409f86940333",
        capabilities=("completion", "thinking"),
    )
    assert len(models) > 5


def test_what_a_real_server_has_loaded_is_read() -> None:
    assert [(model.name, model.vram_bytes) for model in listed_models(recorded("ps_loaded")) or ()] == [
        ("story:latest", 0)
    ]
    assert listed_models(recorded("ps_none")) == ()


@pytest.mark.parametrize(("family", "is_simulated"), [("simulator", True), ("llama", False), (None, False)])
def test_a_model_of_the_simulator_is_told_by_its_family(family: str | None, *, is_simulated: bool) -> None:
    assert ListedModel("a", family=family).is_simulated is is_simulated


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-11-21T07:12:38.169384123Z", 1795245158),
        ("yesterday", None),
        (5, None),
        ("0001-01-01T00:00:00Z", -62135596800),
    ],
)
def test_the_moment_of_its_installation_is_read(written: object, seconds: int | None) -> None:
    (model,) = listed_models(json.dumps({"models": [{"name": "a", "modified_at": written}]}).encode()) or ()

    assert model.modified_s == seconds


def test_null_is_an_empty_list() -> None:
    """Go writes a slice that nothing was put into as null."""
    assert listed_models(b'{"models":null}') == ()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}", b'{"models":7}', b'{"models":{"a":1}}', b"\xff"])
def test_what_is_no_list_of_models_is_none(body: bytes) -> None:
    assert listed_models(body) is None


def test_an_entry_without_a_name_that_can_be_asked_for_is_left_out() -> None:
    body = listing("x", {}, {"name": 7}, {"name": ""}, {"name": "a" * 257}, {"name": "a" * 256}, {"name": "b"})

    assert [len(model.name) for model in listed_models(body) or ()] == [256, 1]


def test_a_field_of_a_wrong_type_is_not_said() -> None:
    wrong = {"name": "a", "size": "1", "digest": 1, "capabilities": "completion", "size_vram": True, "details": "x"}
    odd = {"name": "a", "size": -1, "capabilities": [7], "details": {"family": 1}}

    assert listed_models(listing(wrong, odd)) == (ListedModel("a"), ListedModel("a"))


def test_capabilities_are_kept_up_to_a_bound() -> None:
    many = [f"c{number}" for number in range(MAX_CAPABILITIES + 1)]
    [model] = listed_models(listing({"name": "a", "capabilities": many})) or ()

    assert model.capabilities == shown_capabilities(json.dumps({"capabilities": many}).encode()) == tuple(many[:-1])


def test_what_a_real_server_shows_of_a_model_names_its_capabilities() -> None:
    assert set(shown_capabilities(recorded("show_ntool")) or ()) == {"completion", "tools", "thinking"}
    assert shown_capabilities(recorded("show_unknown")) is None
    assert shown_capabilities(b"{") is None


def test_half_an_emoji_in_a_list_does_not_hide_it() -> None:
    assert listed_models(rb'{"models":[{"name":"a","x":"\ud83d"}]}') == (ListedModel("a"),)


@pytest.mark.parametrize(
    "model",
    [
        ListedModel("a", capabilities=("embedding",)),
        ListedModel("a", capabilities=("image", "vision")),
        ListedModel("all-minilm:latest", family="bert"),
        ListedModel("nomic:latest", family="nomic-bert"),
        ListedModel("nomic-v2:latest", family="nomic-bert-moe"),
        ListedModel("bge-m3:latest", family="XLM-Roberta"),
        ListedModel("eyes:latest", family="clip"),
        ListedModel("qwen3-embedding:0.6b", family="qwen3"),
        ListedModel("EmbeddingGemma", family="gemma3"),
    ],
    ids=lambda model: model.name + str(model.family),
)
def test_what_only_embeds_is_never_the_default(model: ListedModel) -> None:
    assert default_model([model]) is None
    assert default_model([model, ListedModel("llama3.2:latest", family="llama")]) == "llama3.2:latest"


@pytest.mark.parametrize(
    "model",
    [
        ListedModel("old"),
        ListedModel("llama3.2", family="llama"),
        ListedModel("embed-and-talk", family="bert", capabilities=("completion", "embedding")),
    ],
    ids=lambda model: model.name,
)
def test_capabilities_decide_and_where_none_are_listed_family_and_name(model: ListedModel) -> None:
    assert default_model([model]) == model.name


@pytest.mark.parametrize(("family", "simulated"), [("simulator", True), ("llama", False), (None, False)])
def test_the_simulator_s_models_are_told_by_their_family(family: str | None, simulated: bool) -> None:
    assert ListedModel("m", family=family).is_simulated is simulated


def test_the_first_listed_that_can_chat_is_the_default() -> None:
    models = [ListedModel("e", capabilities=("embedding",)), ListedModel("new"), ListedModel("old")]

    assert default_model(models) == "new"
    assert default_model([]) is None


@pytest.mark.parametrize(
    ("kept", "meant"),
    [("old:latest", "old"), ("OLD", "old"), ("gone", "new"), ("e", "new")],
    ids=["listed", "spelled otherwise", "deleted", "cannot chat"],
)
def test_a_default_stays_as_long_as_it_is_listed(kept: str, meant: str) -> None:
    """A list is newest first: a pull puts another model in front of it."""
    models = [ListedModel("e", capabilities=("embedding",)), ListedModel("new"), ListedModel("old")]

    assert default_model(models, kept) == meant


def test_the_lists_of_several_servers_are_one_in_which_each_model_is_once() -> None:
    lists = [
        listing({"name": "tiny:latest", "size": 1, "new": {"field": 2}}, {"name": "big:latest"}),
        listing({"name": "TINY", "size": 3}, {"name": "other:latest"}),
        b'{"models":null}',
        b"no json",
        listing("no object"),
    ]
    merged = json.loads(merged_lists(lists))

    assert merged == {
        "models": [
            {"name": "tiny:latest", "size": 1, "new": {"field": 2}},
            {"name": "big:latest"},
            {"name": "other:latest"},
        ]
    }


@pytest.mark.parametrize(
    ("capabilities", "may"), [(None, True), (("completion",), True), (("completion", "tools"), False)]
)
def test_a_list_that_says_the_least_may_leave_something_out(capabilities: tuple[str, ...] | None, may: bool) -> None:
    assert ListedModel("llama3.2", capabilities=capabilities).may_do_more is may
