"""A request in Ollama's words (`proxy/providers/ollama_request.py`)."""

from typing import Any

import orjson
import pytest

from proxy.providers.adapter import Question
from proxy.providers.ollama import OllamaAdapter
from proxy.providers.ollama_request import answer_request, embed_request
from services.dialects import ollama_request as dialect
from services.dialects.ollama_request import ALLOWABLE
from services.wire.request import (
    CalledTool,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    ModelRequest,
    Sampling,
    Tool,
)
from tests.wire.requests import CHAT, GENERATE, PNG

SAMPLING = Sampling(
    temperature=0.5,
    top_k=40,
    top_p=0.9,
    min_p=0.1,
    typical_p=0.7,
    seed=1,
    stop=("\n",),
    repeat_last_n=64,
    repeat_penalty=1.1,
    presence_penalty=0.2,
    frequency_penalty=0.3,
)
OPTIONS = {
    "temperature": 0.5,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.1,
    "typical_p": 0.7,
    "seed": 1,
    "stop": ["\n"],
    "repeat_last_n": 64,
    "repeat_penalty": 1.1,
    "presence_penalty": 0.2,
    "frequency_penalty": 0.3,
    "num_predict": 9,
}
CALL = CalledTool("clock", {"tz": None}, "call_1", 0)
CALLED = {"id": "call_1", "function": {"name": "clock", "arguments": {"tz": None}, "index": 0}}
FULL = ChatRequest(
    model="m",
    messages=(
        Message("user", "hi", images=(PNG,)),
        Message("assistant", "", thinking="hm", tool_calls=(CALL,)),
        Message("tool", "12:00", tool_name="clock", tool_call_id="call_1"),
    ),
    tools=(Tool("clock", "tells", {"type": "object", "default": None}, "function"),),
    sampling=SAMPLING,
    format={"type": "object", "title": None},
    think="high",
    max_output_tokens=9,
)
FULL_BODY = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "hi", "images": [PNG]},
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [CALLED]},
        {"role": "tool", "content": "12:00", "tool_name": "clock", "tool_call_id": "call_1"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "clock", "description": "tells", "parameters": {"type": "object", "default": None}},
        }
    ],
    "options": OPTIONS,
    "format": {"type": "object", "title": None},
    "think": "high",
    "stream": True,
}
TEXT = GenerateRequest(model="m", prompt="a", system="b", suffix="c", images=(PNG,), raw=True)


def body_of(request: ModelRequest, let_through: dict[str, Any] | None = None) -> Any:
    return orjson.loads(answer_request(Question(request, "m", let_through or {})).body)


@pytest.mark.parametrize(
    ("request_", "path"),
    [(ChatRequest(model="m"), "/api/chat"), (GenerateRequest(model="m", prompt="hi"), "/api/generate")],
    ids=str,
)
def test_the_model_server_is_always_asked_for_a_stream(request_: ModelRequest, path: str) -> None:
    asked = OllamaAdapter(Question(request_, "m")).request()

    assert asked.path == path
    assert orjson.loads(asked.body)["stream"] is True


def test_all_that_a_chat_can_say_is_said_in_ollamas_words() -> None:
    assert body_of(FULL) == FULL_BODY


def test_all_that_a_text_to_continue_can_say_is_said_in_ollamas_words() -> None:
    assert body_of(TEXT) == {
        "model": "m",
        "prompt": "a",
        "system": "b",
        "suffix": "c",
        "images": [PNG],
        "raw": True,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ChatRequest(model="m", messages=(Message("user"),)), {"messages": [{"role": "user"}]}),
        (ChatRequest(model="m", tools=(Tool("f"),)), {"messages": [], "tools": [{"function": {"name": "f"}}]}),
        (
            ChatRequest(model="m", messages=(Message("assistant", tool_calls=(CalledTool("f"),)),)),
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]},
        ),
        (GenerateRequest(model="m", prompt="hi"), {"prompt": "hi"}),
    ],
    ids=str,
)
def test_what_was_not_said_is_absent(request_: ModelRequest, said: dict[str, Any]) -> None:
    """The model's own defaults hold then: a null, or a number of ours, would be another wish."""
    assert body_of(request_) == {"model": "m", **said, "stream": True}


@pytest.mark.parametrize(
    ("request_", "options"),
    [
        (GenerateRequest(model="m", sampling=Sampling()), {}),
        (GenerateRequest(model="m", max_output_tokens=9), {"num_predict": 9}),
        (GenerateRequest(model="m", max_output_tokens=0), {"num_predict": 0}),
        (GenerateRequest(model="m", sampling=Sampling(seed=0)), {"seed": 0}),
    ],
    ids=str,
)
def test_options_are_those_that_were_said(request_: ModelRequest, options: dict[str, Any]) -> None:
    assert body_of(request_)["options"] == options


@pytest.mark.parametrize("name", ALLOWABLE)
def test_what_an_operator_lets_through_is_said_where_ollama_reads_it(name: str) -> None:
    said = body_of(FULL, {name: 5})

    place = said["options"] if name.startswith("options.") else said
    assert place.pop(name.removeprefix("options.")) == 5
    assert said == FULL_BODY
    assert body_of(GenerateRequest(model="m", prompt="hi"), {"options.num_ctx": 5})["options"] == {"num_ctx": 5}


@pytest.mark.parametrize(("reader", "body"), [(dialect.chat, CHAT), (dialect.generate, GENERATE)])
def test_what_a_client_says_in_ollamas_json_reaches_the_model_server_as_it_was(reader: Any, body: Any) -> None:
    asked = reader(orjson.dumps({**body, "keep_alive": "5m"}), allowed=ALLOWABLE)

    said = body_of(asked.request, asked.wishes.let_through)
    assert said == {**body, "keep_alive": "5m", "stream": True}


def test_texts_to_embed_are_written_for_their_route() -> None:
    many = embed_request(EmbedRequest("e", ("a", ""), dimensions=64, truncate=False), {"options.num_ctx": 5})
    one = embed_request(EmbedRequest("e", "a", single=True), {})
    nothing = embed_request(EmbedRequest("e"), {})

    assert (many.path, orjson.loads(many.body)) == (
        "/api/embed",
        {"model": "e", "input": ["a", ""], "dimensions": 64, "truncate": False, "options": {"num_ctx": 5}},
    )
    assert (one.path, orjson.loads(one.body)) == ("/api/embeddings", {"model": "e", "prompt": "a"})
    assert (nothing.path, orjson.loads(nothing.body)) == ("/api/embed", {"model": "e"})
