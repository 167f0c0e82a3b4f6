"""What one line says, and what becomes of one that cannot be read.

Of `proxy/providers/ollama_line.py` and `proxy/providers/fields.py`.
"""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.providers.no_answer import SKIPPED_LINES_MAX, TOOL_CALL_BYTES
from proxy.streams.log import StreamLog
from services.wire.events import ARGUMENTS_DEPTH, Code, Completion, Failed, FinishReason, Thinking, Token, ToolCall
from services.wire.request import Kind
from tests.proxy.providers.ollama_speech import LAST_CHAT, STAMP, adapter_of, called, fed, said

# --- tool calls


def test_calls_without_an_id_are_numbered_through_the_whole_answer() -> None:
    lines = [
        said(tool_calls=[called("f", {}), called("g", {}, id="own")]),
        said(tool_calls=[called("h", {}, id="")]),
    ]

    events, _, _ = fed(lines)

    assert [event.call_id for event in events if isinstance(event, ToolCall)] == ["call_1", "own", "call_3"]


@pytest.mark.parametrize("arguments", [{}, {"nested": {"list": [1, None, "ё"]}}])
def test_arguments_are_carried_as_they_came(arguments: dict[str, Any]) -> None:
    events, _, _ = fed([said(tool_calls=[called("f", arguments)])])

    assert events == [ToolCall("call_1", "f", arguments)]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('{"city":"Oslo","days":[3]}', {"city": "Oslo", "days": [3]}),
        (' {"a":1}\n', {"a": 1}),
        (r'{"a":"\ud83d"}', {"a": "\ufffd"}),
        *zip(["", " \n", "null", "{}", None, [], False], [{}] * 7, strict=True),
    ],
)
def test_arguments_as_json_text_are_arguments_and_nothing_is_none(text: object, arguments: dict[str, Any]) -> None:
    """Ollama's own are objects; what imitates it sends the text of OpenAI's."""
    events, _, skipped = fed([said(tool_calls=[called("f", text)])])

    assert (events, skipped) == ([ToolCall("call_1", "f", arguments)], 0)


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(("levels", "fits"), [(ARGUMENTS_DEPTH, True), (ARGUMENTS_DEPTH + 1, False), (900, False)])
def test_arguments_are_at_most_128_levels_deep(levels: int, *, fits: bool, as_text: bool) -> None:
    """What was streamed can be sent back as history, and a client's JSON reader has a stack."""
    arguments = nested(levels)
    line = b'{"message":{"content":"a","tool_calls":[{"function":{"name":"f","arguments":%b}},%b]}}\n'
    text = json.dumps(arguments)
    given = (json.dumps(text) if as_text else text).encode()

    events, _, skipped = fed([line % (given, b'{"function":{"name":"g"}}')])

    assert [event.name for event in events if isinstance(event, ToolCall)] == (["f", "g"] if fits else ["g"])
    assert (events[0], skipped) == (Token("a"), 0 if fits else 1)


@pytest.mark.parametrize("where", ["arguments", "name", "id"])
@pytest.mark.parametrize(("beyond", "fits"), [(0, True), (1, False)])
def test_a_tool_call_has_at_most_one_mebibyte(where: str, beyond: int, *, fits: bool) -> None:
    """Its name and its id count: they are in the frame that the gateway must hold whole."""
    call = called("f", {"x": ""}, id="i")
    holder, field = {"arguments": (call["function"]["arguments"], "x"), "name": (call["function"], "name")}.get(
        where, (call, "id")
    )
    own = len(orjson.dumps(("i", "f", {"x": ""})))
    holder[field] += "a" * (TOOL_CALL_BYTES - own + beyond)

    events, end, _ = fed([said("text", tool_calls=[call])])

    assert (end is None) is fits
    assert bool(events) is fits
    if not fits:
        assert end == Failed(Code.UPSTREAM_MALFORMED, "The model server sent what is not an answer.")


# --- lines that are none

MALFORMED: dict[str, bytes] = {
    "no JSON": b"oops\n",
    "an array": b"[1]\n",
    "a message that is no object": b'{"message":"x"}\n',
    "content that is no string": b'{"message":{"content":["a"]}}\n',
    "thinking that is no string": b'{"message":{"content":"a","thinking":1}}\n',
    "done that is no boolean": b'{"message":{"content":"a"},"done":"yes"}\n',
    "NaN": b'{"message":{"content":NaN}}\n',
    "ten thousand levels": b"[" * 10_000 + b"]" * 10_000 + b"\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_is_skipped_whole_and_counted(name: str) -> None:
    """M3, M8, M9: nothing of it is shown, and the lines around it are."""
    events, end, skipped = fed([said("a"), MALFORMED[name], said("b"), LAST_CHAT])

    assert events == [Token("ab")]
    assert isinstance(end, Completion)
    assert skipped == 1


UNREADABLE: dict[str, object] = {
    "no object": "f",
    "null": None,
    "without a function": {},
    "a function that is no object": {"function": "f"},
    "without a name": {"function": {"arguments": {}}},
    "a name that is no string": {"function": {"name": 1}},
    "arguments that are no object": called("f", [1]),
    "arguments that are a number": called("f", 7),
    "arguments that are text and no JSON": called("f", '{"a":'),
    "arguments that are the text of a list": called("f", "[1]"),
    "arguments that are the text of a text": called("f", '"{}"'),
    "an id that is no string": called("f", {}, id=1),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_tool_call_that_cannot_be_read_is_left_out_alone_and_its_line_counts(name: str) -> None:
    """Neither its siblings nor the text beside it are lost; however much of a line is unreadable, it is one line."""
    calls = [called("g", {}), UNREADABLE[name], called("h", {"x": 1}), UNREADABLE[name]]

    events, end, skipped = fed([said("text", thinking="hm", tool_calls=calls), LAST_CHAT])

    assert events == [Thinking("hm"), Token("text"), ToolCall("call_1", "g", {}), ToolCall("call_2", "h", {"x": 1})]
    assert (skipped, isinstance(end, Completion) and end.reason) == (1, FinishReason.TOOL_CALLS)


@pytest.mark.parametrize("calls", [[called("f", 7)], {"function": {"name": "f"}}, "f"])
@pytest.mark.parametrize("last", [False, True])
def test_an_answer_whose_only_tool_call_cannot_be_read_asks_for_none(calls: object, *, last: bool) -> None:
    """Ollama's native path puts the calls on the last line: that it is the end is still heard."""
    lines = [said("a", tool_calls=calls, done=last, fields={"done_reason": "stop"}), LAST_CHAT]

    events, end, skipped = fed(lines)

    assert (events, skipped, isinstance(end, Completion) and end.reason) == ([Token("a")], 1, FinishReason.STOP)


def test_the_eighth_line_with_an_unreadable_call_ends_the_answer_behind_what_it_said() -> None:
    _, end, skipped = fed([said("a", tool_calls=[7])] * SKIPPED_LINES_MAX)

    assert (isinstance(end, Failed) and end.code, skipped) == (Code.UPSTREAM_MALFORMED, SKIPPED_LINES_MAX)


def test_the_eighth_malformed_line_ends_the_answer_and_the_text_before_it_stays() -> None:
    """M3: one is an accident, eight are another language."""
    lines = [said("a"), *[b"oops\n", said("b")] * SKIPPED_LINES_MAX]

    events, end, skipped = fed(lines)

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_MALFORMED
    assert skipped == 8
    assert events == [Token("a" + "b" * 7)]


def test_a_line_over_eight_mebibytes_ends_the_answer() -> None:
    """M2: 9 MiB without a newline."""
    adapter, log = adapter_of(), StreamLog(1 << 20)

    ends = [adapter.feed(b"x" * (1 << 20), log) for _ in range(9)]

    assert ends[:8] == [None] * 8
    assert isinstance(ends[8], Failed)
    assert ends[8].code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"  \n"])
def test_blank_lines_are_nothing(line: bytes) -> None:
    """M10."""
    events, end, skipped = fed([line, said("a"), line, LAST_CHAT])

    assert (events, isinstance(end, Completion), skipped) == ([Token("a")], True, 0)


def test_unknown_fields_are_ignored() -> None:
    """M9."""
    events, _, skipped = fed([said("a", fields={"later": {"x": 1}}, later=[1])])

    assert (events, skipped) == ([Token("a")], 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["message", "content", "thinking", "tool_calls", "function", "name"]), inner)
    ),
    max_leaves=8,
)


@given(
    line=st.dictionaries(
        st.sampled_from(["message", "response", "done", "done_reason", "error", "eval_count", "thinking"]), JSON
    ),
    kind=st.sampled_from(["chat", "generate"]),
)
def test_no_object_is_ever_an_uncaught_exception(line: dict[str, Any], kind: Kind) -> None:
    """M9."""
    _, end, skipped = fed([orjson.dumps(line) + b"\n"], adapter_of(kind))

    assert skipped in {0, 1}
    assert end is None or isinstance(end, Completion | Failed)


PLAIN: dict[Kind, dict[str, Any]] = {
    "chat": {**STAMP, "message": {"role": "assistant", "content": "a"}, "done": False},
    "generate": {**STAMP, "response": "a", "done": False},
}
ODD = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2) | st.lists(st.none(), max_size=1)


@given(data=st.data(), kind=st.sampled_from(["chat", "generate"]))
def test_a_short_line_is_judged_as_the_same_line_with_one_more_field_is(data: st.DataObject, kind: Kind) -> None:
    """Plain lines take a shorter way through the adapter; it must decide the same as the long one."""
    line = orjson.loads(orjson.dumps(PLAIN[kind]))
    where = data.draw(st.sampled_from([line, *filter(lambda one: isinstance(one, dict), line.values())]))
    where[data.draw(st.sampled_from([*where, "error", "thinking", "tool_calls"]))] = data.draw(ODD)
    if data.draw(st.booleans()):
        where.pop(data.draw(st.sampled_from(sorted(where))))

    (short, long) = (fed([orjson.dumps(one) + b"\n"], adapter_of(kind)) for one in (line, {**line, "logprobs": []}))

    assert short == long
