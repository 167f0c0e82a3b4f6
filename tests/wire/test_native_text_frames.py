"""Reads that are exactly one frame of text, which a reader of native frames knows without taking them apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import sse
from services.wire.events import EVENT_NAMES, Phase, Started, Status, Thinking, Token, ToolCall, ToolResult
from services.wire.native import NativeFrames, NativeReader, Numbered, TextKind
from tests.wire.cuts import cut_anywhere

ID = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAMES = NativeFrames(ID, request_id="r-1", heartbeat_s=10)
START: Numbered = (1, Started(ID, "llama3.2", 5.0))
CALL: Numbered = (3, ToolCall("call_1", "clock", {"tz": "UTC"}))
RESULT: Numbered = (4, ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4))


def frames_of(events: list[Numbered]) -> bytes:
    return FRAMES.frames(events)


@pytest.mark.parametrize("event", [Token("Hello 🌊"), Thinking('"\n')])
def test_text_without_an_event_is_the_event_s_frame(event: Token | Thinking) -> None:
    assert FRAMES.text(type(event), 7, event.content) == FRAMES.frames([(7, event)])


@given(data=st.data(), texts=st.lists(st.text(min_size=1), max_size=6))
def test_one_frame_of_text_is_known_and_noted_as_any_read_is(data: st.DataObject, texts: list[str]) -> None:
    kinds: st.SearchStrategy[TextKind] = st.sampled_from([Token, Thinking])
    events: list[Numbered] = [(number, data.draw(kinds)(text)) for number, text in enumerate(texts, 2)]
    body = frames_of([START, *events, (len(texts) + 2, RESULT[1])]).replace(b"\n\nid", b"\n\n: hb\nid", 1)
    frame_by_frame = [frame + b"\n\n" for frame in body.split(b"\n\n")[:-1]]
    by_feed, by_frame = NativeReader(), NativeReader()

    for chunk in data.draw(cut_anywhere(body) | st.just(frame_by_frame)):
        runs, kind = list(by_feed.feed(chunk)), by_frame.text_frame(chunk)

        assert (runs if kind is None else [chunk]) == (list(by_frame.feed(chunk)) if kind is None else runs)
        assert by_frame.last_number == by_feed.last_number
        assert kind is None or b"event: %b\n" % EVENT_NAMES[kind].encode() in chunk


@pytest.mark.parametrize("event", [(2, Token("a")), (3, Thinking("b"))])
def test_a_read_of_one_frame_of_text_is_that(event: Numbered) -> None:
    reader = NativeReader()

    assert reader.text_frame(frames_of([event])) is type(event[1])
    assert reader.last_number == event[0]


@pytest.mark.parametrize(
    "chunk",
    [
        frames_of([(2, Token("a")), (3, Token("b"))]),
        frames_of([CALL]),
        frames_of([RESULT]),
        frames_of([(2, Token("a"))])[:-1],
        sse.HEARTBEAT + frames_of([(2, Token("a"))]),
        sse.HEARTBEAT,
        FRAMES.status(Status(Phase.LOADING)),
        b"",
    ],
)
def test_any_other_read_is_not_taken(chunk: bytes) -> None:
    reader = NativeReader()

    assert reader.text_frame(chunk) is None
    assert reader.last_number == 0


def test_what_ends_a_frame_that_was_cut_is_not_taken_for_one() -> None:
    frame, reader = frames_of([(2, Token("a"))]), NativeReader()
    list(reader.feed(b"id: "))

    assert reader.text_frame(frame) is None
