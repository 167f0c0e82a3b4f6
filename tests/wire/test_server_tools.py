"""Which tools of the server a chat asks for, as people, gateways and direct clients write it."""

from typing import Any

import orjson
import pytest

from services.dialects import ollama_request
from services.wire import bodies, body_writer
from services.wire.request import BadBody, ChatRequest, ServerTools
from services.wire.server_tools import approval_of, is_tool_name, server_tools

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def asked(given: object, *, stream: bool = True, **more: Any) -> ServerTools | None:
    request, _ = bodies.gateway_chat(orjson.dumps({**CHAT, "server_tools": given, **more}), stream=stream)
    assert isinstance(request, ChatRequest)
    return request.server_tools


@pytest.mark.parametrize("none", [None, False, []])
def test_no_and_nobody_are_no_tools(none: object) -> None:
    assert asked(none) is None


def test_true_is_all_that_there_are_and_names_are_demanded_each_once() -> None:
    assert asked(True) == ServerTools(None, demanded=False, attended=True)
    assert asked(["b", "a", "b"]) == ServerTools(("b", "a"), demanded=True, attended=True)


def test_nobody_attends_a_whole_answer() -> None:
    assert asked(True, stream=False) == ServerTools(None, demanded=False, attended=False)


@pytest.mark.parametrize("given", ["clock", 1, {}, [1], [""], ["a b"], ["x" * 65], ["a"] * 129])
def test_what_is_no_list_of_names_is_refused(given: object) -> None:
    with pytest.raises(BadBody, match="server_tools must be true, false or a list of at most 128 names of tools"):
        asked(given)


def test_an_answer_of_a_form_has_no_turns() -> None:
    with pytest.raises(BadBody, match="either format or server_tools"):
        asked(True, format="json")
    with pytest.raises(BadBody, match="either format or server_tools"):
        ollama_request.chat(
            orjson.dumps({**CHAT, "server_tools": True, "format": "json"}), allowed=[ollama_request.SERVER_TOOLS]
        )


@pytest.mark.parametrize(
    "tools", [None, ServerTools(), ServerTools(()), ServerTools(("a", "b"), demanded=True, attended=False)]
)
def test_the_hop_s_reader_reads_what_its_writer_wrote(tools: ServerTools | None) -> None:
    request = ChatRequest(model="m", messages=(), server_tools=tools)

    read, _ = bodies.hop_chat(body_writer.written(request))

    assert read == request


def test_requests_with_other_tools_have_other_fingerprints() -> None:
    prints = {
        body_writer.fingerprint(bodies.gateway_chat(orjson.dumps({**CHAT, "server_tools": given})))
        for given in (False, True, ["a"], ["b"])
    }

    assert len(prints) == 4


def test_a_direct_client_asks_where_frames_are_and_is_told_elsewhere_that_it_was_dropped() -> None:
    raw = orjson.dumps({**CHAT, "server_tools": ["clock"]})

    offered, _ = ollama_request.chat(raw, allowed=[ollama_request.SERVER_TOOLS])
    dropped, wishes = ollama_request.chat(raw)

    assert isinstance(offered, ChatRequest)
    assert isinstance(dropped, ChatRequest)
    assert offered.server_tools == server_tools(["clock"], attended=True)
    assert (dropped.server_tools, wishes.dropped) == (None, ("server_tools",))


@pytest.mark.parametrize("name", ["a", "A_b-9", "x" * 64])
def test_a_name_is_what_every_provider_takes(name: str) -> None:
    assert is_tool_name(name)
    assert not is_tool_name(f"{name}.")
    assert not is_tool_name(7)


def test_a_word_about_a_call_is_true_or_false() -> None:
    assert (approval_of(b'{"approve":true}'), approval_of(b'{"approve":false}')) == (True, False)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b'{"approve":1}', b'{"approve":null}', b'{"approve":true,"why":"x"}', b"true"]
)
def test_any_other_word_is_refused(raw: bytes) -> None:
    with pytest.raises(BadBody):
        approval_of(raw)
