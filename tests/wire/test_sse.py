import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import sse
from services.wire.sse import EventTooLong, ServerSentEvent, SseDecoder
from tests.wire.cuts import PIECES, cut_anywhere, pieces_of

VECTORS = json.loads(Path(__file__).with_name("vectors").joinpath("sse.json").read_text())
NAMES = st.text("ABCXYZabcxyz0129._~-", min_size=1, max_size=64)


def decoded(chunks: Sequence[bytes]) -> tuple[list[ServerSentEvent], int | None]:
    decoder = SseDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events, decoder.retry_ms


def message(data: str, last_event_id: str = "") -> ServerSentEvent:
    return ServerSentEvent("message", data, last_event_id)


def test_there_are_46_vectors() -> None:
    assert len(VECTORS) == 46


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_decoder_sees_what_a_browser_sees(vector: dict[str, Any], piece: int) -> None:
    events, retry_ms = decoded(pieces_of(base64.b64decode(vector["b64"]), piece))

    assert [[event.type, event.data, event.last_event_id] for event in events] == vector["out"]
    assert retry_ms == vector["retry"]


@given(body=st.text("\r\n: \ufeff\x00adtievnrytxlё🌊05").map(str.encode) | st.binary(), data=st.data())
def test_events_do_not_depend_on_where_the_bytes_were_cut(body: bytes, data: st.DataObject) -> None:
    got = decoded(data.draw(cut_anywhere(body)))

    assert got == decoded([body])


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_an_event_is_dispatched_with_the_byte_that_completes_it_and_exactly_once(line_end: bytes) -> None:
    """A CR at the end of a chunk may be half of a CRLF: the event must not wait to know, nor come twice."""
    decoder = SseDecoder()
    frame = b"data: a" + line_end + line_end[:1]

    at_once = [event for byte in frame for event in decoder.feed(bytes([byte]))]
    after = list(decoder.feed(line_end[1:] + b"data: b" + line_end + line_end))

    assert at_once == [message("a")]
    assert after == [message("b")]


def test_an_empty_chunk_between_cr_and_lf_does_not_part_them() -> None:
    events, _ = decoded([b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n"])

    assert events == [message("a\nb")]


def test_an_id_without_data_makes_no_event_at_any_blank_line() -> None:
    events, _ = decoded([b"id: 7\n\n\n: hb\n\nevent: x\n\nretry: 5\n\n"])

    assert events == []


def test_heartbeats_between_and_inside_frames_change_nothing() -> None:
    frame = sse.encode("a", id="x-1", event="token")
    inside = frame.replace(b"data", sse.HEARTBEAT + b"data")

    events, _ = decoded([sse.HEARTBEAT, frame, sse.HEARTBEAT, inside, sse.HEARTBEAT])

    assert events == [ServerSentEvent("token", "a", "x-1")] * 2


@pytest.mark.parametrize("digits", [b"9" * 16, b"9" * 5000], ids=["16 digits", "more than int() reads"])
def test_an_absurd_retry_is_ignored(digits: bytes) -> None:
    _, retry_ms = decoded([b"retry: 1000\nretry: " + digits + b"\n\n"])

    assert retry_ms == 1000


def test_a_feed_that_nobody_drains_loses_nothing() -> None:
    decoder = SseDecoder()
    decoder.feed(b"data: a\n\ndata:")

    got = list(decoder.feed(b" b\n\n"))

    assert got == [message("a"), message("b")]


def test_a_megabyte_in_tiny_chunks_is_one_event() -> None:
    """A decoder that searches its whole buffer again for each chunk takes minutes here: the time-out is the guard."""
    text = "x" * (1 << 20)

    events, _ = decoded(pieces_of(sse.encode(text), 5))

    assert events == [message(text)]


def test_an_event_of_many_lines_in_tiny_chunks_is_one_event() -> None:
    events, _ = decoded(pieces_of(b"data\n" * 50_000 + b"\n", 5))

    assert events == [message("\n" * 49_999)]


@pytest.mark.parametrize("piece", PIECES)
def test_an_event_of_exactly_the_limit_passes(piece: int) -> None:
    decoder = SseDecoder(max_event_bytes=10)

    got = [event for chunk in pieces_of(b"data: 6789\n\ndata:67890\n\n", piece) for event in decoder.feed(chunk)]

    assert got == [message("6789"), message("67890")]


@pytest.mark.parametrize(
    "long",
    [b"data: 67890\n\n", b"data: 67890", b": a comment\n", b"data\n" * 12 + b"\n", b"data:6789\ndata:6\n\n"],
    ids=["line", "unended line", "comment", "many empty lines", "two lines"],
)
@pytest.mark.parametrize("piece", PIECES)
def test_an_event_over_the_limit_ends_the_decoder_after_the_events_before_it(piece: int, long: bytes) -> None:
    decoder = SseDecoder(max_event_bytes=10)
    got: list[ServerSentEvent] = []

    with pytest.raises(EventTooLong, match="10 bytes"):
        got.extend(event for chunk in pieces_of(b"data: a\n\n" + long, piece) for event in decoder.feed(chunk))

    assert got == [message("a")]


def test_heartbeats_alone_never_reach_the_limit() -> None:
    decoder = SseDecoder(max_event_bytes=10)

    got = list(decoder.feed(sse.HEARTBEAT * 1000 + b"data:a\n\n"))

    assert got == [message("a")]


def test_a_dead_decoder_stays_dead() -> None:
    decoder = SseDecoder(max_event_bytes=10)
    with pytest.raises(EventTooLong):
        list(decoder.feed(b"data: 67890"))

    for chunk in (b"data: a\n\n", b""):
        with pytest.raises(EventTooLong):
            list(decoder.feed(chunk))


def test_a_frame_has_its_fields_in_the_order_of_the_protocol() -> None:
    frame = sse.encode(b'{"token":"Hi"}', retry=2000, event="start", id="k3fa.4MZ6-1")

    assert frame == b'id: k3fa.4MZ6-1\nevent: start\nretry: 2000\ndata: {"token":"Hi"}\n\n'


def test_a_frame_of_data_alone_has_no_other_field() -> None:
    assert sse.encode("é") == "data: é\n\n".encode()


@given(text=st.text(), event_id=NAMES, event=NAMES, retry=st.integers(0, 10**9), piece=st.integers(1, 9))
def test_any_text_in_json_comes_back_as_it_was_sent(
    text: str, event_id: str, event: str, retry: int, piece: int
) -> None:
    """The text may hold CR, LF, NUL and Unicode's line separators: JSON on one line carries them all."""
    data = orjson.dumps({"token": text})
    frame = sse.encode(data, id=event_id, event=event, retry=retry)

    events, retry_ms = decoded(pieces_of(frame, piece))

    assert events == [ServerSentEvent(event, data.decode(), event_id)]
    assert retry_ms == retry


@pytest.mark.parametrize(
    "text", ["\r", "\n", "\r\n", "\x00", "\u2028", "\u2029", "\u0085", "a\n\ndata: b\n\n", " a", "\ufeff"]
)
def test_line_ends_and_separators_in_json_cross_unharmed(text: str) -> None:
    events, _ = decoded([sse.encode(orjson.dumps(text))])

    assert [json.loads(event.data) for event in events] == [text]


@pytest.mark.parametrize("data", ["a\nb", "a\rb", b"a\n", b"\r", "\ud800"])
def test_data_that_is_no_single_line_of_text_is_refused(data: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"one line|surrogates"):
        sse.encode(data)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "a\r", "a\n", "a\x00", "a:b", "é", "\u0661", "x" * 65])
@pytest.mark.parametrize("field", ["id", "event"])
def test_a_name_that_could_smuggle_a_field_is_refused(field: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} must match"):
        sse.encode("{}", id=name if field == "id" else None, event=name if field == "event" else None)


def test_headers_keep_caches_and_proxies_from_holding_tokens_back() -> None:
    assert sse.HEADERS == {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store, no-transform",
        "X-Accel-Buffering": "no",
    }


def test_the_heartbeat_is_a_comment_of_one_line() -> None:
    assert sse.HEARTBEAT == b": hb\n"


# --- what the standard drops


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"data: a\n\ndata: b\n", ServerSentEvent("message", "b", "")),
        (b"event: x\ndata: a\ndata: b", ServerSentEvent("x", "a\nb", "")),
        (b"\xef\xbb\xbfdata: a", ServerSentEvent("message", "a", "")),
        (b"data: a\r\n\r", None),
        (b"data: a\n\n", None),
        (b"event: x\n", None),
        (b": a comment", None),
        (b"", None),
    ],
)
def test_an_event_that_lacks_its_blank_line_is_had_by_asking(
    body: bytes, event: ServerSentEvent | None, piece: int
) -> None:
    decoder = SseDecoder()
    for chunk in pieces_of(body, piece):
        list(decoder.feed(chunk))

    assert decoder.finish() == event
    assert decoder.finish() is None


def test_lines_that_are_no_field_are_kept_where_they_are_wanted_up_to_a_bound() -> None:
    body = b'{\n  "error": 1\n}\n\ndata: a\nretry: 5\nid: 1\n: no\n\n'
    kept, short, none = SseDecoder(max_stray_bytes=64), SseDecoder(max_stray_bytes=4), SseDecoder()

    events = [list(decoder.feed(body)) for decoder in (kept, short, none)]

    assert (bytes(kept.stray), bytes(short.stray), bytes(none.stray)) == (b'{\n  "error": 1\n}\n', b"{\n  ", b"")
    assert events == [[ServerSentEvent("message", "a", "1")]] * 3
