"""Ollama's request JSON: what clients that exist send, what Ollama takes for none, and what is dropped and told."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.dialects import ollama_request
from services.dialects.ollama_request import ALLOWABLE
from services.wire.body_writer import written_embedding
from services.wire.request import Asked, BadBody, EmbedRequest, ModelRequest, Wishes, demand_content
from tests.wire.requests import (
    CHAT_ROUTES,
    NOT_OFFERED,
    OLLAMA_ROUTES,
    OPTIONS_NOT_OFFERED,
    READERS,
    ROUTES,
    full_body,
    read,
    sent,
)

RECORDINGS = Path(__file__).parents[1] / "captures"
USER = {"role": "user", "content": "hi"}
ALLOWED_VALUES: dict[str, list[Any]] = {
    "keep_alive": [0, -1, 300, 2.5, "5m", "", "-1"],
    **{name: [0, 4096, -1] for name in ALLOWABLE if name != "keep_alive"},
}


def with_allowable(route: str, name: str, value: object) -> bytes:
    body = full_body(route)
    place = body["options"] if name.startswith("options.") else body
    place[name.removeprefix("options.")] = value
    return json.dumps(body).encode()


def proxy(route: str, raw: bytes, allowed: tuple[str, ...] = ()) -> Asked[ModelRequest]:
    readers = {"proxy chat": ollama_request.chat, "proxy generate": ollama_request.generate}
    return readers[route](raw, allowed=allowed)


@pytest.mark.parametrize(
    "key", ["Model", "MODEL", "Messages", "Keep_Alive", "mode\u006c ", "\u212aeep_alive"], ids=ascii
)
def test_a_key_in_other_letters_never_reaches_the_model_server(key: str) -> None:
    """Ollama would match it, case folded: bodies are rebuilt, never forwarded."""
    request = read("proxy chat", full_body("proxy chat") | {key: "x"})

    assert sent(request) == full_body("proxy chat")


@pytest.mark.parametrize("route", ROUTES)
def test_an_empty_format_is_none(route: str) -> None:
    """LangChain's OllamaLLM sends it with every call."""
    assert read(route, full_body(route) | {"format": ""}) == read(route, full_body(route))


@pytest.mark.parametrize("route", OLLAMA_ROUTES)
@pytest.mark.parametrize(
    "none", [{"context": []}, {"template": ""}, {"keep_alive": None}, {"options": {"top_k": 40, "num_ctx": None}}]
)
def test_what_means_nothing_is_dropped_without_a_word(route: str, none: dict[str, Any]) -> None:
    assert read(route, full_body(route) | none) == read(route, full_body(route))


@pytest.mark.parametrize("route", OLLAMA_ROUTES)
@pytest.mark.parametrize("name", ALLOWABLE)
def test_what_an_operator_lets_through_is_sent_on_and_not_dropped(route: str, name: str) -> None:
    for value in ALLOWED_VALUES[name]:
        request = proxy(route, with_allowable(route, name, value), (name,))

        assert request.wishes == Wishes(let_through={name: value})
        assert sent(request) == full_body(route)


@pytest.mark.parametrize("route", OLLAMA_ROUTES)
@pytest.mark.parametrize("name", ALLOWABLE)
def test_only_what_is_let_through_is_judged(route: str, name: str) -> None:
    wrongs: list[Any] = [True, [], {"a": 1}, "5" * 33]
    for wrong in wrongs:
        raw = with_allowable(route, name, wrong)

        assert sent(proxy(route, raw)) == full_body(route)
        with pytest.raises(BadBody, match=name):
            proxy(route, raw, ALLOWABLE)


@pytest.mark.parametrize("route", ROUTES)
def test_half_a_surrogate_pair_is_read_as_the_replacement_character_in_any_text(route: str) -> None:
    """A JavaScript client cuts a text between two UTF-16 units, and Python writes what it read of a model."""
    text, field = ("hi\\ud83d", "messages") if route in CHAT_ROUTES else ("hi\\ud83d", "prompt")
    raw = json.dumps(full_body(route)).replace("what time is it", text).replace('"hi"', f'"{text}"').encode()

    said = sent(READERS[route](raw))[field]

    assert (said[0]["content"] if field == "messages" else said) == "hi\ufffd"


@pytest.mark.parametrize("route", CHAT_ROUTES)
@pytest.mark.parametrize("role", ["User", "USER", "user"])
def test_a_role_is_sent_on_in_lower_case(route: str, role: str) -> None:
    given = {"model": "m", "messages": [{"role": role, "content": "hi"}]}

    assert sent(read(route, given))["messages"] == [USER]


@pytest.mark.parametrize("route", CHAT_ROUTES)
def test_the_deepest_call_that_is_streamed_can_be_sent_back(route: str) -> None:
    """128 levels of arguments."""
    arguments: dict[str, Any] = {}
    for _ in range(127):
        arguments = {"a": arguments}
    call = {"id": "call_1", "function": {"name": "f", "arguments": arguments}}
    turns = [USER, {"role": "assistant", "content": "", "tool_calls": [call]}]

    assert sent(read(route, {"model": "m", "messages": turns}))["messages"] == turns


KEEP_ALIVES: list[tuple[Any, str]] = [
    *((value, "unload") for value in (0, 0.0, "0", "0s", "-0", "0h0m0.0s")),
    *((value, "load") for value in (None, 1, -1, "5m", "0.5s", "", False, list[Any]())),
]


@pytest.mark.parametrize(("keep_alive", "order"), KEEP_ALIVES, ids=str)
def test_nothing_said_is_an_order_to_load_or_to_unload(keep_alive: object, order: str) -> None:
    empty: list[tuple[str, dict[str, Any]]] = [
        ("proxy chat", {}),
        ("proxy chat", {"messages": []}),
        ("proxy generate", {"prompt": ""}),
        ("proxy generate", {"prompt": None, "system": "x"}),
    ]
    for route, said in empty:
        request = read(route, {"model": "m", "keep_alive": keep_alive, **said})

        assert request.wishes.order == order
        with pytest.raises(BadBody, match="is required"):
            demand_content(request.request)
    assert read("proxy generate", {"model": "m", "prompt": "hi", "keep_alive": keep_alive}).wishes.order is None


@pytest.mark.parametrize("text", ["0" * 60 + "x", "0m" * 60 + "x", "0." * 60, "0" * 60 + "." + "0" * 60 + "x"])
def test_a_keep_alive_that_is_nearly_no_time_is_seen_through_at_once(text: str) -> None:
    """A pattern that tried each way to share out its zeros held the server's loop for days: here it would not end."""
    assert read("proxy generate", {"model": "m", "keep_alive": text}).wishes.order == "load"


def test_a_body_to_embed_is_rebuilt_and_says_what_was_dropped() -> None:
    body = {"model": "e", "input": ["a", ""], "dimensions": 64.0, "truncate": False}
    more = {"keep_alive": 5, "options": {"num_ctx": 512, "temperature": 0.5, "secret": 1}, "secret": 1}

    asked = ollama_request.embed(json.dumps(body | more).encode(), allowed=("options.num_ctx",))
    older = ollama_request.embeddings(b'{"model":"e","prompt":"hi","input":"x"}')

    assert asked.request == EmbedRequest("e", ("a", ""), dimensions=64, truncate=False)
    assert asked.wishes == Wishes(dropped=("keep_alive", "options.temperature"), let_through={"options.num_ctx": 512})
    assert older == (EmbedRequest("e", "hi", single=True), Wishes())


@pytest.mark.parametrize(
    ("read_body", "request_"),
    [
        (ollama_request.embed, EmbedRequest("e", ("a", ""), dimensions=64, truncate=False)),
        (ollama_request.embed, EmbedRequest("e", "a")),
        (ollama_request.embeddings, EmbedRequest("e", "a", single=True)),
        (ollama_request.embed, EmbedRequest("e")),
    ],
)
def test_texts_to_embed_are_written_as_the_proxy_reads_them(read_body: Any, request_: EmbedRequest) -> None:
    assert read_body(written_embedding(request_)) == Asked(request_, Wishes())


@pytest.mark.parametrize("wrong", [5, True, {}, [5], [["a"]], ["a", None]])
def test_only_text_is_embedded(wrong: object) -> None:
    with pytest.raises(BadBody, match="input must be a string or a list of strings"):
        ollama_request.embed(json.dumps({"model": "e", "input": wrong}).encode())


@pytest.mark.parametrize(
    "named", [{"model": "m"}, {"name": "m"}, {"model": "", "name": "m"}, {"model": "m", "name": 0}]
)
def test_show_takes_the_newer_name_and_the_older(named: dict[str, Any]) -> None:
    if named.get("name") == 0:
        with pytest.raises(BadBody, match="name must be a string"):
            ollama_request.shown_model(json.dumps(named).encode())
    else:
        assert ollama_request.shown_model(json.dumps(named).encode()) == "m"


@pytest.mark.parametrize(
    "read_model", [ollama_request.embed, ollama_request.embeddings, ollama_request.shown_model, ollama_request.chat]
)
@pytest.mark.parametrize("body", [{}, {"model": None}])
def test_a_model_is_demanded(read_model: Any, body: dict[str, Any]) -> None:
    with pytest.raises(BadBody, match="model is required"):
        read_model(json.dumps(body).encode())


@pytest.mark.parametrize("route", OLLAMA_ROUTES)
def test_what_the_proxy_drops_of_ollamas_fields_it_names(route: str) -> None:
    body = full_body(route)
    loaded = body | NOT_OFFERED | {"options": body["options"] | OPTIONS_NOT_OFFERED, "a secret": 1, "message": "hi"}

    request = read(route, loaded)

    assert sent(request) == body
    assert request.wishes.dropped == tuple(sorted([*NOT_OFFERED, *(f"options.{name}" for name in OPTIONS_NOT_OFFERED)]))


def test_a_chat_of_other_roles_alone_is_ollamas_to_judge() -> None:
    request = read("proxy chat", {"model": "m", "messages": [{"role": "system", "content": "tell a joke"}]})

    assert sent(request)["messages"] == [{"role": "system", "content": "tell a joke"}]


OURS_TO_REFUSE = {
    "generate_case_insensitive_keys": "its model is written Model",
    "generate_option_type_num_predict": "1.5 tokens, which Ollama truncates",
    "generate_trailing_garbage": "bytes behind the object, which Ollama ignores",
}


def recorded_requests() -> list[Any]:
    rows = []
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        head = json.loads(path.read_text().split("\n", 1)[0])
        request, response = head["request"], head["response"]
        if request["method"] == "POST" and request["path"] in ("/api/chat", "/api/generate") and response is not None:
            rows.append(pytest.param(request, response["status"], id=path.stem))
    return rows


@pytest.mark.parametrize(("request_", "status"), recorded_requests())
def test_what_a_real_ollama_answered_the_proxy_takes(
    request_: dict[str, Any], status: str, request: pytest.FixtureRequest
) -> None:
    """And what was answered with another status is refused or left to Ollama, but never an accident."""
    name = request.node.callspec.id
    body = request_["body"]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    reader = READERS["proxy chat" if request_["path"] == "/api/chat" else "proxy generate"]

    if " 200 " in status and name not in OURS_TO_REFUSE:
        assert reader(raw).request.model == body["model"]
    elif name in OURS_TO_REFUSE:
        with pytest.raises(BadBody):
            reader(raw)
