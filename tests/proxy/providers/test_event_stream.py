"""What the clouds' languages share: bodies, their bounds, and whatever else a server can send."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.providers.event_stream import BODY_BYTES, STRAY_BYTES, object_in
from proxy.providers.kinds import PROVIDERS
from proxy.providers.no_answer import SKIPPED_LINES_MAX
from proxy.streams.log import StreamLog
from services.wire.events import Code, Completion, Failed
from tests.proxy.providers.cloud_speech import CLOUDS, fed, frames, question, told
from tests.wire.cuts import cut_anywhere, pieces_of

FIELDS = (
    "choices", "delta", "message", "content", "reasoning", "tool_calls", "function", "arguments",
    "finish_reason", "usage", "type", "index", "content_block", "text", "thinking", "partial_json",
    "stop_reason", "signature", "input", "id", "name", "candidates", "parts", "functionCall", "args",
    "finishReason", "usageMetadata", "promptFeedback", "error", "code",
)  # fmt: skip
WORDS = (
    "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
    "message_stop", "message", "error", "text", "thinking", "tool_use", "stop", "STOP", "{}", "a",
)  # fmt: skip
VALUES = st.none() | st.booleans() | st.just("") | st.integers(-2, 3) | st.sampled_from(WORDS)
OF = st.sampled_from(FIELDS)
OF = st.sampled_from(FIELDS)
JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(OF, inner, max_size=3), max_leaves=6
)
OBJECTS = st.lists(st.dictionaries(OF, JSON, max_size=3), max_size=4)


@pytest.mark.parametrize("provider", CLOUDS)
@settings(max_examples=50)  # each is fed byte by byte
@given(values=OBJECTS)
def test_no_object_that_a_server_can_send_raises_and_cuts_change_nothing(provider: str, values: list[Any]) -> None:
    body = frames(*values, done=False)

    whole = fed(provider, [body])

    assert fed(provider, pieces_of(body, 1)) == whole
    assert whole.skipped <= min(len(values), SKIPPED_LINES_MAX)


@pytest.mark.parametrize("provider", CLOUDS)
@settings(max_examples=50)
@given(value=JSON)
def test_no_whole_body_and_no_refusal_raises(provider: str, value: Any) -> None:
    body = orjson.dumps(value)

    assert fed(provider, [body]) == fed(provider, pieces_of(body, 3))


@given(chunks=cut_anywhere('data: {"choices":[{"delta":{"content":"ёж\\n🌊"}}]}\r\n\r\ndata: [DONE]\r\r'.encode()))
def test_a_character_and_a_line_end_may_be_cut_anywhere(chunks: list[bytes]) -> None:
    assert fed("openai", chunks).text() == "ёж\n🌊"


ENDINGS: dict[str, tuple[bytes, bytes]] = {
    "openai": (
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"finish_reason":"stop"}]}\n\n',
    ),
    "gemini": (b'data: {"candidates":[{}]}\n\n', b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'),
}


@pytest.mark.parametrize("provider", ENDINGS)
def test_behind_the_finish_only_the_end_is_awaited(provider: str) -> None:
    adapter, log = PROVIDERS[provider].adapter(question()), StreamLog(1 << 20)
    seen = [adapter.has_finished]
    for frame in ENDINGS[provider]:
        assert adapter.feed(frame, log) is None
        seen.append(adapter.has_finished)

    assert seen == [False, False, True]
    assert isinstance(adapter.end(log), Completion)
    assert adapter.silent


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("provider", CLOUDS)
def test_a_frame_and_a_body_have_a_bound(provider: str, over: int) -> None:
    """M2: 8 MiB in small pieces, and not one byte more is held."""
    frame = b"data: " + b"x" * (BODY_BYTES - len(b"data: ") + over)
    body = b"{" + b" " * (BODY_BYTES - 1 + over)

    for sent in (frame, body):
        cut = fed(provider, pieces_of(sent, 1 << 16))
        malformed = isinstance(cut.end, Failed) and cut.end.code is Code.UPSTREAM_MALFORMED
        assert malformed
        assert fed(provider, [*pieces_of(sent, 1 << 16), b"\n\n"]).end == cut.end


def test_what_stands_between_frames_is_kept_to_a_bound() -> None:
    stray = b'{"error":{"code":503,"message":"' + b"x" * STRAY_BYTES + b'"}}\n\n'

    end = told("gemini", frames({"candidates": []}, done=False) + stray, cuts=(4096,)).end

    assert isinstance(end, Failed)


@pytest.mark.parametrize("part", [{"function": {"arguments": "x" * 500}}, {"function": {"name": "f"}}])
def test_calls_without_end_are_no_answer(part: dict[str, Any]) -> None:
    """Many fragments of one, or many calls."""
    chunk = frames({"choices": [{"delta": {"tool_calls": [part] * 1000}}]}, done=False)

    end = fed("openai", [chunk] * 40).end

    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"a":1}', {"a": 1}),
        (b'[{"a":1},{"b":2}]', {"a": 1}),
        (b"[]", None),
        (b"[[]]", None),
        (b'"a"', None),
        (b"", None),
        (b'{"a":"\\ud83d"}', {"a": "\ufffd"}),
    ],
)
def test_an_error_may_stand_in_a_list(data: bytes, found: Any) -> None:
    assert object_in(data) == found
