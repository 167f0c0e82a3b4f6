"""What clients that exist send: what Ollama takes for none, what it drops and is told of, and what is sent back."""

import json
from typing import Any

import orjson
import pytest

from services.wire import chat
from services.wire.chat import ALLOWABLE, BadBody
from tests.wire.requests import CHAT_ROUTES, PROXY_ROUTES, READERS, ROUTES, full_body, read

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


def proxy(route: str, raw: bytes, allowed: tuple[str, ...] = ()) -> chat.ModelRequest:
    return {"proxy chat": chat.proxy_chat, "proxy generate": chat.proxy_generate}[route](raw, allowed=allowed)


@pytest.mark.parametrize(
    "key", ["Model", "MODEL", "Messages", "Keep_Alive", "mode\u006c ", "\u212aeep_alive"], ids=ascii
)
def test_a_key_in_other_letters_never_reaches_the_model_server(key: str) -> None:
    """Ollama would match it, case folded: bodies are rebuilt, never forwarded."""
    request = read("proxy chat", full_body("proxy chat") | {key: "x"})

    assert request.body == full_body("proxy chat")


@pytest.mark.parametrize("route", ROUTES)
def test_an_empty_format_is_none(route: str) -> None:
    """LangChain's OllamaLLM sends it with every call."""
    assert read(route, full_body(route) | {"format": ""}) == read(route, full_body(route))


@pytest.mark.parametrize("route", PROXY_ROUTES)
@pytest.mark.parametrize(
    "none", [{"context": []}, {"template": ""}, {"keep_alive": None}, {"options": {"top_k": 40, "num_ctx": None}}]
)
def test_what_means_nothing_is_dropped_without_a_word(route: str, none: dict[str, Any]) -> None:
    assert read(route, full_body(route) | none) == read(route, full_body(route))


@pytest.mark.parametrize("route", PROXY_ROUTES)
@pytest.mark.parametrize("name", ALLOWABLE)
def test_what_an_operator_lets_through_is_sent_on_and_not_dropped(route: str, name: str) -> None:
    for value in ALLOWED_VALUES[name]:
        request = proxy(route, with_allowable(route, name, value), (name,))

        place = request.body["options"] if name.startswith("options.") else request.body
        assert place[name.removeprefix("options.")] == value
        assert request.dropped == ()


@pytest.mark.parametrize("route", PROXY_ROUTES)
@pytest.mark.parametrize("name", ALLOWABLE)
def test_only_what_is_let_through_is_judged(route: str, name: str) -> None:
    wrongs: list[Any] = [True, [], {"a": 1}, "5" * 33]
    for wrong in wrongs:
        raw = with_allowable(route, name, wrong)

        assert proxy(route, raw).body == full_body(route)
        with pytest.raises(BadBody, match=name):
            proxy(route, raw, ALLOWABLE)


@pytest.mark.parametrize("route", ROUTES)
def test_half_a_surrogate_pair_is_read_as_the_replacement_character_in_any_text(route: str) -> None:
    """A JavaScript client cuts a text between two UTF-16 units, and Python writes what it read of a model."""
    text, field = ("hi\\ud83d", "messages") if route in CHAT_ROUTES else ("hi\\ud83d", "prompt")
    raw = json.dumps(full_body(route)).replace("what time is it", text).replace('"hi"', f'"{text}"').encode()

    said = READERS[route](raw).body[field]

    assert (said[0]["content"] if field == "messages" else said) == "hi\ufffd"


@pytest.mark.parametrize("route", CHAT_ROUTES)
@pytest.mark.parametrize("role", ["User", "USER", "user"])
def test_a_role_is_sent_on_in_lower_case(route: str, role: str) -> None:
    assert read(route, {"model": "m", "messages": [{"role": role, "content": "hi"}]}).body["messages"] == [USER]


@pytest.mark.parametrize("route", CHAT_ROUTES)
def test_the_deepest_call_that_is_streamed_can_be_sent_back(route: str) -> None:
    """128 levels of arguments."""
    arguments: dict[str, Any] = {}
    for _ in range(127):
        arguments = {"a": arguments}
    call = {"id": "call_1", "function": {"name": "f", "arguments": arguments}}
    turns = [USER, {"role": "assistant", "content": "", "tool_calls": [call]}]

    sent = read(route, {"model": "m", "messages": turns}).body

    assert sent["messages"] == turns
    assert orjson.loads(orjson.dumps(sent)) == sent


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

        assert request.order == order
        with pytest.raises(BadBody, match="is required"):
            chat.demand_content(request)
    assert read("proxy generate", {"model": "m", "prompt": "hi", "keep_alive": keep_alive}).order is None


def test_a_body_to_embed_is_rebuilt_and_says_what_was_dropped() -> None:
    body = {"model": "e", "input": ["a", ""], "dimensions": 64.0, "truncate": False}
    more = {"keep_alive": 5, "options": {"num_ctx": 512, "temperature": 0.5, "secret": 1}, "secret": 1}

    asked = chat.proxy_embed(json.dumps(body | more).encode(), allowed=("options.num_ctx",))

    assert asked.model == "e"
    assert asked.body == {**body, "dimensions": 64, "options": {"num_ctx": 512}}
    assert asked.dropped == ("keep_alive", "options.temperature")
    older = chat.proxy_embeddings(b'{"model":"e","prompt":"hi","input":"x"}')
    assert older.body == {"model": "e", "prompt": "hi"}


@pytest.mark.parametrize("wrong", [5, True, {}, [5], [["a"]], ["a", None]])
def test_only_text_is_embedded(wrong: object) -> None:
    with pytest.raises(BadBody, match="input must be a string or a list of strings"):
        chat.proxy_embed(json.dumps({"model": "e", "input": wrong}).encode())


@pytest.mark.parametrize(
    "named", [{"model": "m"}, {"name": "m"}, {"model": "", "name": "m"}, {"model": "m", "name": 0}]
)
def test_show_takes_the_newer_name_and_the_older(named: dict[str, Any]) -> None:
    if named.get("name") == 0:
        with pytest.raises(BadBody, match="name must be a string"):
            chat.shown_model(json.dumps(named).encode())
    else:
        assert chat.shown_model(json.dumps(named).encode()) == "m"


@pytest.mark.parametrize("read_model", [chat.proxy_embed, chat.proxy_embeddings, chat.shown_model, chat.proxy_chat])
@pytest.mark.parametrize("body", [{}, {"model": None}])
def test_a_model_is_demanded(read_model: Any, body: dict[str, Any]) -> None:
    with pytest.raises(BadBody, match="model is required"):
        read_model(json.dumps(body).encode())
