import orjson
import pytest

from proxy.providers.ollama import NUMBER_NAME_MAX, NUMBERS_MAX
from proxy.streams.log import StreamLog
from services.wire.events import Code, Completion, Failed, FinishReason, Logged, Thinking, Token, ToolCall, Usage
from services.wire.request import Kind
from tests.proxy.providers.ollama_speech import (
    COUNTERS,
    LAST_CHAT,
    LAST_GENERATE,
    adapter_of,
    called,
    fed,
    generated,
    said,
)

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
    **{
        f"chat: fields that are {absent.decode()}": (
            "chat",
            b'{"message":{"content":"a","thinking":%b,"tool_calls":%b},"done":%b,"error":%b}\n' % ((absent,) * 4),
            [Token("a")],
        )
        for absent in (b"null", b"false", b'""', b"[]", b"{}")
    },
    "generate: fields that are null": (
        "generate",
        b'{"response":"a","thinking":null,"message":null,"tool_calls":null,"done":null,"error":null}\n',
        [Token("a")],
    ),
    "chat: half a surrogate pair in every string": (
        "chat",
        (
            b'{"message":{"content":"a\\ud83d","thinking":"\\ude00b","tool_calls":[{"id":"\\ud83d","function":'
            b'{"name":"f\\ud83d","arguments":{"k\\ud83d":["v\\ude00"]}}}]}}\n'
        ),
        [Thinking("\ufffdb"), Token("a\ufffd"), ToolCall("\ufffd", "f\ufffd", {"k\ufffd": ["v\ufffd"]})],
    ),
    "generate: half a surrogate pair": ("generate", b'{"response":"a\\ud83d","done":false}\n', [Token("a\ufffd")]),
    "generate: token": ("generate", generated(" sky"), [Token(" sky")]),
    "generate: thinking": ("generate", generated(thinking="Let me"), [Thinking("Let me")]),
    "generate: both in one line": ("generate", generated("b", thinking="a"), [Thinking("a"), Token("b")]),
    "generate: empty": ("generate", generated(), []),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_line_becomes_its_events(name: str) -> None:
    """As it was recorded (tests/captures); within a line the order is thinking, text, tool calls."""
    kind, line, events = KINDS[name]

    assert fed([line], adapter_of(kind)) == (events, None, 0)


@pytest.mark.parametrize(("kind", "line"), [("chat", LAST_CHAT), ("generate", LAST_GENERATE)])
def test_the_last_line_is_the_last_word_with_its_counters_as_they_came(kind: Kind, line: bytes) -> None:
    _, end, _ = fed([line], adapter_of(kind))

    assert isinstance(end, Completion)
    assert (end.reason, end.usage) == (FinishReason.STOP, Usage(26, 237))
    assert end.load_s == pytest.approx(0.534986708)
    assert end.prefill_s == pytest.approx(0.107345)
    assert end.fields == {**COUNTERS, "done_reason": "stop"}


def test_what_the_last_line_carries_comes_before_the_end() -> None:
    last = said("!", thinking="hm", done=True, tool_calls=[called("f", {})], fields={"done_reason": "stop", **COUNTERS})

    events, end, _ = fed([last])

    assert events == [Thinking("hm"), Token("!"), ToolCall("call_1", "f", {})]
    assert isinstance(end, Completion)


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

    assert isinstance(end, Completion)
    assert end.reason is reason
    assert end.fields.get("done_reason") == (said_reason if isinstance(said_reason, str) else None)


@pytest.mark.parametrize(
    ("counters", "usage"),
    [
        ({}, None),
        ({"eval_count": 5}, Usage(None, 5)),
        ({"prompt_eval_count": 5}, Usage(5, None)),
        ({"eval_count": 0, "prompt_eval_count": 0}, Usage(0, 0)),
        ({"total_duration": 5}, None),
        ({"eval_count": "5", "prompt_eval_count": 5}, Usage(5, None)),
        ({"eval_count": -1, "prompt_eval_count": 5}, Usage(5, None)),
        ({"eval_count": 1.5, "prompt_eval_count": 5}, Usage(5, None)),
        ({"eval_count": True, "prompt_eval_count": 5}, Usage(5, None)),
        ({"eval_count": 5, "prompt_eval_count": None}, Usage(None, 5)),
        ({"eval_count": 5, "prompt_eval_count": 6, "load_duration": "x"}, Usage(6, 5)),
    ],
)
def test_usage_is_what_the_server_counted_and_a_wrong_counter_is_absent(
    counters: dict[str, object], usage: Usage | None
) -> None:
    """What was not said is not zero."""
    _, end, _ = fed([said(done=True, fields=counters)])

    assert isinstance(end, Completion)
    assert end.usage == usage
    assert set(end.fields) <= {name for name, value in counters.items() if type(value) is int and value >= 0}


# --- ends


@pytest.mark.parametrize(
    ("field", "part"),
    [("load_duration", "load_s"), ("prompt_eval_duration", "prefill_s"), ("eval_duration", "decode_s")],
)
def test_a_duration_that_was_not_said_is_none(field: str, part: str) -> None:
    _, end, _ = fed([said(done=True, fields={name: COUNTERS[name] for name in COUNTERS if name != field})])

    assert isinstance(end, Completion)
    assert getattr(end, part) is None


def test_every_counter_and_duration_of_the_last_line_is_kept_as_it_came() -> None:
    """The next version of Ollama has more of them, and clients made for it want them."""
    later = {"prompt_eval_cached_count": 17, "draft_accept_count": 0, "queue_duration": 1.5}
    others = {"count": 1, "seen_counts": 2, "odd_count": "3", "no_duration": None, "is_count": True, "minus_count": -1}

    _, end, _ = fed([said(done=True, fields={"done_reason": "stop", **others, **COUNTERS, **later})])

    assert isinstance(end, Completion)
    assert list(end.fields.items()) == [("done_reason", "stop"), *COUNTERS.items(), *later.items()]


def test_the_numbers_that_are_kept_are_bounded() -> None:
    """They live as long as the stream is held, and leave in every reader's last line."""
    many = {f"n{number}_count": number for number in range(NUMBERS_MAX + 1)}

    _, end, _ = fed([said(done=True, fields={"x" * NUMBER_NAME_MAX + "_count": 1, **many})])

    assert isinstance(end, Completion)
    assert list(end.fields) == list(many)[:NUMBERS_MAX]


def test_an_error_line_is_final_and_its_words_are_scrubbed() -> None:
    """U11: five tokens kept, no path and no host in the message."""
    lines = [said("a")] * 5 + [b'{"error":"open /root/.ollama/models/x on gpu-1.internal: failed"}\n']

    events, end, _ = fed(lines)

    assert events == [Token("aaaaa")]
    assert end == Failed(Code.UPSTREAM_ERROR, "open … on …: failed")


@pytest.mark.parametrize("error", [b'{"error":" "}', b'{"error":true}', b'{"error":7}', b'{"error":{"code":1}}'])
def test_an_error_without_words_is_an_error(error: bytes) -> None:
    _, end, _ = fed([error + b"\n"])

    assert end == Failed(Code.UPSTREAM_ERROR, "The model server failed.")


@pytest.mark.parametrize(
    "lines", [[], [b"\n", b" \n"], [said("a")], [said()], [b"oops\n", said()], [said("a"), b'{"message":{"content":"h']]
)
def test_a_body_that_ends_without_the_last_word_is_truncated(lines: list[bytes]) -> None:
    """U4: however politely it ends."""
    adapter, log = adapter_of(), StreamLog(1 << 20)
    for line in lines:
        adapter.feed(line, log)

    end = adapter.end(log)

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED


NOT_OLLAMAS: dict[str, bytes] = {
    "a sign-in page": b"<!DOCTYPE html>\n<html><body>\n<h1>Sign in</h1>\n</body></html>",
    "one word": b"OK",
    "a number": b"42\n",
    "frames of another API": b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n',
    "objects of another API": b'{"id":"1","choices":[{"delta":{"content":"hi"}}],"error":null}\n' * 9,
    "a compressed body": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcb\x48\x05\x00",
    "half of an object": b'{"message":{"content":"half',
    "wrong types": b'{"message":"x"}\n',
}


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("name", NOT_OLLAMAS)
def test_a_body_without_one_readable_line_is_no_answer_that_was_cut_short(name: str, piece: int) -> None:
    """M15."""
    adapter, log = adapter_of(), StreamLog(1 << 20)
    body = NOT_OLLAMAS[name]
    for at in range(0, len(body), piece):
        assert adapter.feed(body[at : at + piece], log) is None

    end = adapter.end(log)

    assert isinstance(end, Failed)
    assert (end.code, end.may_retry) == (Code.UPSTREAM_MALFORMED, False)
    assert not adapter.silent


@pytest.mark.parametrize(("body", "silent"), [(b"", True), (b"\n \r\n", True), (b'{"mess', True), (b"<html>\n", False)])
def test_half_a_line_of_a_connection_that_broke_says_nothing_and_is_no_skipped_one(
    body: bytes, *, silent: bool
) -> None:
    adapter, log = adapter_of(), StreamLog(1 << 20)
    adapter.feed(body, log)

    end = adapter.end(log, broke_off=True)

    assert isinstance(end, Failed)
    assert end.code is (Code.UPSTREAM_TRUNCATED if silent else Code.UPSTREAM_MALFORMED)
    assert (adapter.silent, log.skipped_lines) == (silent, 0 if silent else 1)


@pytest.mark.parametrize(
    ("words", "may_retry"),
    [
        ('llama-server returned invalid tool call arguments for "f": unexpected end of JSON input', False),
        ("llama-server process has terminated: signal: killed", False),
        ("llama runner process has terminated: exit status 2", False),
        ("timed out waiting for llama-server to start: context deadline exceeded", False),
        ("model requires more system memory (5.6 GiB) than is available (3.1 GiB)", False),
        ("model failed to load, this may be due to resource limitations", False),
        ("unable to load model: /root/.ollama/models/blobs/sha256-1", False),
        ("error loading model: missing tensor 'blk.1.attn_norm.weight'", False),
        ("an error was encountered while running the model: unexpected EOF", True),
        ("compute failed", True),
    ],
)
def test_what_the_same_request_would_meet_again_is_not_retryable(words: str, *, may_retry: bool) -> None:
    _, end, _ = fed([said("a"), orjson.dumps({"error": words}) + b"\n"])

    assert isinstance(end, Failed)
    assert (end.code, end.may_retry) == (Code.UPSTREAM_ERROR, may_retry)


def test_a_last_line_without_its_newline_counts() -> None:
    adapter, log = adapter_of(), StreamLog(1 << 20)
    assert adapter.feed(said("a") + LAST_CHAT.rstrip(b"\n"), log) is None

    end = adapter.end(log)

    assert isinstance(end, Completion)
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

    events, end, _ = fed([said("x"), said()] * (allowed + 5), adapter_of(max_output_tokens=num_predict))

    (text,) = events
    assert isinstance(text, Token)
    assert len(text.content) in {allowed, allowed + 1}
    assert isinstance(end, Failed)
    assert (end.code, end.may_retry) == (Code.UPSTREAM_ERROR, False)


@pytest.mark.parametrize("num_predict", [None, 0, -1, 500])
def test_a_model_that_may_go_on_is_not_stopped(num_predict: int | None) -> None:
    events, end, _ = fed([said("x")] * 1000, adapter_of(max_output_tokens=num_predict))

    assert (events[0], end) == (Token("x" * 1000), None)


def test_behind_its_last_word_nothing_is_awaited() -> None:
    adapter = adapter_of()

    assert not adapter.has_finished
