from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.providers.adapter import LastWord
from proxy.providers.ollama import SKIPPED_LINES_MAX, TOOL_CALL_BYTES, OllamaAdapter
from proxy.stream_log import StreamLog
from services.wire.chat import Kind, ModelRequest
from services.wire.events import Code, Failed, FinishReason, Logged, Thinking, Token, ToolCall, Usage

COUNTERS = {
    "total_duration": 4_935_886_791,
    "load_duration": 534_986_708,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 107_345_000,
    "eval_count": 237,
    "eval_duration": 4_289_432_000,
}
STAMP = {"model": "m", "created_at": "2026-08-21T10:00:00.123456Z"}


def adapter_of(kind: Kind = "chat", options: Mapping[str, Any] | None = None) -> OllamaAdapter:
    return OllamaAdapter(ModelRequest(kind, {"model": "m", "messages": [], "options": options or {}}))


def said(content: str = "", *, done: bool = False, fields: Mapping[str, Any] | None = None, **message: Any) -> bytes:
    """A line of /api/chat."""
    line = {**STAMP, "message": {"role": "assistant", "content": content, **message}, "done": done, **(fields or {})}
    return orjson.dumps(line) + b"\n"


def generated(response: str = "", **fields: object) -> bytes:
    """A line of /api/generate."""
    return orjson.dumps({**STAMP, "response": response, "done": False, **fields}) + b"\n"


def called(name: str, arguments: object, **more: Any) -> dict[str, Any]:
    return {"function": {"index": 0, "name": name, "arguments": arguments}, **more}


def fed(
    lines: Iterable[bytes], adapter: OllamaAdapter | None = None
) -> tuple[list[Logged], LastWord | Failed | None, OllamaAdapter]:
    """Feed lines until an end comes; return the events, merged, and the end."""
    adapter, log = adapter or adapter_of(), StreamLog(32 << 20)
    end = None
    for line in lines:
        if (end := adapter.feed(line, log)) is not None:
            break
    return [event for _, event in log.after(0)], end, adapter


LAST_CHAT = said(done=True, fields={"done_reason": "stop", **COUNTERS})
LAST_GENERATE = generated("", **{"done": True, "done_reason": "stop", "context": [1, 2, 3], **COUNTERS})

KINDS: dict[str, tuple[Kind, bytes, list[Logged]]] = {
    "chat: token": ("chat", said(" sky"), [Token(" sky")]),
    "chat: thinking": ("chat", said(thinking="Let me"), [Thinking("Let me")]),
    "chat: both in one line": ("chat", said(" sky", thinking="Let me"), [Thinking("Let me"), Token(" sky")]),
    "chat: empty": ("chat", said(), []),
    "chat: tool call": (
        "chat",
        said(tool_calls=[called("f", {"x": 1}, id="call_ab12cd34")]),
        [ToolCall("call_ab12cd34", "f", {"x": 1})],
    ),
    "chat: everything in one line": (
        "chat",
        said("text", thinking="thought", tool_calls=[called("f", {}, id="c")]),
        [Thinking("thought"), Token("text"), ToolCall("c", "f", {})],
    ),
    "chat: log probabilities on an empty line": ("chat", said(fields={"logprobs": [{"token": "a"}]}), []),
    "chat: null fields": (
        "chat",
        b'{"message":{"content":"a","thinking":null,"tool_calls":null},"done":null}\n',
        [Token("a")],
    ),
    "generate: token": ("generate", generated(" sky"), [Token(" sky")]),
    "generate: thinking": ("generate", generated(thinking="Let me"), [Thinking("Let me")]),
    "generate: both in one line": ("generate", generated("b", thinking="a"), [Thinking("a"), Token("b")]),
    "generate: empty": ("generate", generated(), []),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_line_becomes_its_events(name: str) -> None:
    """As it was recorded (tests/captures); within a line the order is thinking, text, tool calls."""
    kind, line, events = KINDS[name]

    got, end, adapter = fed([line], adapter_of(kind))

    assert (got, end, adapter.skipped_lines) == (events, None, 0)


@pytest.mark.parametrize(("kind", "line"), [("chat", LAST_CHAT), ("generate", LAST_GENERATE)])
def test_the_last_line_is_the_last_word_with_its_counters_as_they_came(kind: Kind, line: bytes) -> None:
    _, end, _ = fed([line], adapter_of(kind))

    assert isinstance(end, LastWord)
    assert (end.reason, end.usage) == (FinishReason.STOP, Usage(26, 237))
    assert end.load_s == pytest.approx(0.534986708)
    assert end.prefill_s == pytest.approx(0.107345)
    assert end.fields == {**COUNTERS, "done_reason": "stop"}


def test_what_the_last_line_carries_comes_before_the_end() -> None:
    last = said("!", thinking="hm", done=True, tool_calls=[called("f", {})], fields={"done_reason": "stop", **COUNTERS})

    events, end, _ = fed([last])

    assert events == [Thinking("hm"), Token("!"), ToolCall("call_1", "f", {})]
    assert isinstance(end, LastWord)


@pytest.mark.parametrize(
    ("said_reason", "called_a_tool", "reason"),
    [
        ("stop", False, FinishReason.STOP),
        ("length", False, FinishReason.LENGTH),
        ("stop", True, FinishReason.TOOL_CALLS),
        ("length", True, FinishReason.LENGTH),
        ("load", False, FinishReason.STOP),
        ("a later word", True, FinishReason.TOOL_CALLS),
        (None, False, FinishReason.STOP),
        (7, False, FinishReason.STOP),
    ],
)
def test_the_finish_reason_follows_the_server_s_word(
    said_reason: object, reason: FinishReason, *, called_a_tool: bool
) -> None:
    """An unknown word is `stop`; `stop` with a tool call in the log is `tool_calls`."""
    before = [said(tool_calls=[called("f", {})])] if called_a_tool else [said("a")]

    _, end, _ = fed([*before, said(done=True, fields={"done_reason": said_reason})])

    assert isinstance(end, LastWord)
    assert end.reason is reason
    assert end.fields.get("done_reason") == (said_reason if isinstance(said_reason, str) else None)


@pytest.mark.parametrize(
    ("counters", "usage"),
    [
        ({}, None),
        ({"eval_count": 5}, Usage(0, 5)),
        ({"prompt_eval_count": 5}, Usage(5, 0)),
        ({"total_duration": 5}, Usage(0, 0)),
        ({"eval_count": "5", "prompt_eval_count": 5}, None),
        ({"eval_count": -1, "prompt_eval_count": 5}, None),
        ({"eval_count": 1.5, "prompt_eval_count": 5}, None),
        ({"eval_count": True, "prompt_eval_count": 5}, None),
        ({"eval_count": 5, "prompt_eval_count": None}, Usage(0, 5)),
        ({"eval_count": 5, "prompt_eval_count": 6, "load_duration": "x"}, Usage(6, 5)),
    ],
)
def test_usage_is_what_the_server_counted_and_a_wrong_counter_is_absent(
    counters: dict[str, object], usage: Usage | None
) -> None:
    """An absent counter means 0 (Go's omitempty); no counter, or a wrong one, is no report."""
    _, end, _ = fed([said(done=True, fields=counters)])

    assert isinstance(end, LastWord)
    assert end.usage == usage
    assert set(end.fields) <= {name for name, value in counters.items() if type(value) is int and value >= 0}


# --- tool calls


def test_calls_without_an_id_are_numbered_through_the_whole_answer() -> None:
    lines = [
        said(tool_calls=[called("f", {}), called("g", {}, id="own")]),
        said(tool_calls=[called("h", {}, id="")]),
    ]

    events, _, _ = fed(lines)

    assert [event.call_id for event in events if isinstance(event, ToolCall)] == ["call_1", "own", "call_3"]


@pytest.mark.parametrize("arguments", [{}, None, {"nested": {"list": [1, None, "ё"]}}])
def test_arguments_are_carried_as_they_came(arguments: dict[str, Any] | None) -> None:
    events, _, _ = fed([said(tool_calls=[called("f", arguments)])])

    assert events == [ToolCall("call_1", "f", arguments or {})]


@pytest.mark.parametrize("where", ["arguments", "name", "id"])
@pytest.mark.parametrize(("beyond", "fits"), [(0, True), (1, False)])
def test_a_tool_call_has_at_most_one_mebibyte(where: str, beyond: int, *, fits: bool) -> None:
    """Its name and its id count: they are in the frame that the gateway must hold whole."""
    call = called("f", {"x": ""}, id="i")
    holder, field = {"arguments": (call["function"]["arguments"], "x"), "name": (call["function"], "name")}.get(
        where, (call, "id")
    )
    holder[field] += "a" * (TOOL_CALL_BYTES - len(orjson.dumps(call)) + beyond)

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
    "tool calls that are no list": b'{"message":{"tool_calls":{}}}\n',
    "a tool call that is no object": b'{"message":{"tool_calls":["f"]}}\n',
    "a tool call without a function": b'{"message":{"tool_calls":[{}]}}\n',
    "a tool call without a name": b'{"message":{"tool_calls":[{"function":{"arguments":{}}}]}}\n',
    "a name that is no string": b'{"message":{"tool_calls":[{"function":{"name":1}}]}}\n',
    "arguments that are a string": b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}\n',
    "an id that is no string": b'{"message":{"tool_calls":[{"id":1,"function":{"name":"f"}}]}}\n',
    "done that is no boolean": b'{"message":{"content":"a"},"done":"yes"}\n',
    "NaN": b'{"message":{"content":NaN}}\n',
    "ten thousand levels": b"[" * 10_000 + b"]" * 10_000 + b"\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_is_skipped_whole_and_counted(name: str) -> None:
    """M3, M8, M9: nothing of it is shown, and the lines around it are."""
    events, end, adapter = fed([said("a"), MALFORMED[name], said("b"), LAST_CHAT])

    assert events == [Token("ab")]
    assert isinstance(end, LastWord)
    assert adapter.skipped_lines == 1


def test_the_eighth_malformed_line_ends_the_answer_and_the_text_before_it_stays() -> None:
    """M3: one is an accident, eight are another language."""
    lines = [said("a"), *[b"oops\n", said("b")] * SKIPPED_LINES_MAX]

    events, end, adapter = fed(lines)

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_MALFORMED
    assert adapter.skipped_lines == 8
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
    events, end, adapter = fed([line, said("a"), line, LAST_CHAT])

    assert (events, isinstance(end, LastWord), adapter.skipped_lines) == ([Token("a")], True, 0)


def test_unknown_fields_are_ignored() -> None:
    """M9."""
    events, _, adapter = fed([said("a", fields={"later": {"x": 1}}, later=[1])])

    assert (events, adapter.skipped_lines) == ([Token("a")], 0)


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
@settings(max_examples=300, deadline=None)
def test_no_object_is_ever_an_uncaught_exception(line: dict[str, Any], kind: Kind) -> None:
    """M9."""
    events, end, adapter = fed([orjson.dumps(line) + b"\n"], adapter_of(kind))

    assert adapter.skipped_lines in {0, 1}
    assert not (adapter.skipped_lines and events)
    assert end is None or isinstance(end, LastWord | Failed)


PLAIN: dict[Kind, dict[str, Any]] = {
    "chat": {**STAMP, "message": {"role": "assistant", "content": "a"}, "done": False},
    "generate": {**STAMP, "response": "a", "done": False},
}
ODD = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=2) | st.lists(st.none(), max_size=1)


@given(data=st.data(), kind=st.sampled_from(["chat", "generate"]))
@settings(max_examples=200, deadline=None)
def test_a_short_line_is_judged_as_the_same_line_with_one_more_field_is(data: st.DataObject, kind: Kind) -> None:
    """Plain lines take a shorter way through the adapter; it must decide the same as the long one."""
    line = orjson.loads(orjson.dumps(PLAIN[kind]))
    where = data.draw(st.sampled_from([line, *filter(lambda one: isinstance(one, dict), line.values())]))
    where[data.draw(st.sampled_from([*where, "error", "thinking", "tool_calls"]))] = data.draw(ODD)
    if data.draw(st.booleans()):
        where.pop(data.draw(st.sampled_from(sorted(where))))

    (short, long) = (fed([orjson.dumps(one) + b"\n"], adapter_of(kind)) for one in (line, {**line, "logprobs": []}))

    assert short[:2] == long[:2]
    assert short[2].skipped_lines == long[2].skipped_lines


# --- ends


def test_an_error_line_is_final_and_its_words_are_scrubbed() -> None:
    """U11: five tokens kept, no path and no host in the message."""
    lines = [said("a")] * 5 + [b'{"error":"open /root/.ollama/models/x on gpu-1.internal: failed"}\n']

    events, end, _ = fed(lines)

    assert events == [Token("aaaaa")]
    assert end == Failed(Code.UPSTREAM_ERROR, "open … on …: failed")


@pytest.mark.parametrize("error", [b'{"error":""}', b'{"error":null}', b'{"error":7}', b'{"error":{"code":1}}'])
def test_an_error_without_words_is_an_error(error: bytes) -> None:
    _, end, _ = fed([error + b"\n"])

    assert end == Failed(Code.UPSTREAM_ERROR, "The model server failed.")


@pytest.mark.parametrize("lines", [[], [said("a")], [said("a"), b'{"message":{"content":"half'], [b"oops\n"]])
def test_a_body_that_ends_without_the_last_word_is_truncated(lines: list[bytes]) -> None:
    """U4: however politely it ends."""
    adapter, log = adapter_of(), StreamLog(1 << 20)
    for line in lines:
        adapter.feed(line, log)

    end = adapter.end(log)

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED


def test_a_last_line_without_its_newline_counts() -> None:
    adapter, log = adapter_of(), StreamLog(1 << 20)
    assert adapter.feed(said("a") + LAST_CHAT.rstrip(b"\n"), log) is None

    end = adapter.end(log)

    assert isinstance(end, LastWord)
    assert end.reason is FinishReason.STOP


def test_an_error_without_its_newline_counts() -> None:
    """A remote stub's late error."""
    adapter, log = adapter_of(), StreamLog(1 << 20)
    adapter.feed(b'{"StatusCode":404,"Status":"404 Not Found","error":"gone"}', log)

    assert adapter.end(log) == Failed(Code.UPSTREAM_ERROR, "gone")


# --- a model that does not stop


@pytest.mark.parametrize("num_predict", [1, 10])
def test_a_model_that_goes_on_past_what_it_was_told_is_stopped(num_predict: int) -> None:
    """U13: past 2 x num_predict + 64 content lines; asking again would not help."""
    allowed = 2 * num_predict + 64

    events, end, _ = fed([said("x"), said()] * (allowed + 5), adapter_of(options={"num_predict": num_predict}))

    (text,) = events
    assert isinstance(text, Token)
    assert len(text.content) in {allowed, allowed + 1}
    assert isinstance(end, Failed)
    assert (end.code, end.may_retry) == (Code.UPSTREAM_ERROR, False)


@pytest.mark.parametrize("options", [{}, {"num_predict": 0}, {"num_predict": -1}, {"num_predict": 500}])
def test_a_model_that_may_go_on_is_not_stopped(options: dict[str, int]) -> None:
    events, end, _ = fed([said("x")] * 1000, adapter_of(options=options))

    assert (events[0], end) == (Token("x" * 1000), None)
