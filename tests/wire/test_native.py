from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import sse
from services.wire.event_data import plain
from services.wire.events import (
    RULES,
    ApiError,
    Code,
    Failed,
    Finished,
    FinishReason,
    Phase,
    ServedBy,
    Signature,
    Stage,
    Started,
    Status,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
    Usage,
)
from services.wire.native import (
    MAX_FRAME_BYTES,
    ControlFrame,
    HopBroken,
    NativeFrames,
    NativeReader,
    Numbered,
    control_frame,
    refusal,
    refused_status,
)
from services.wire.sse import ServerSentEvent, SseDecoder
from tests.wire.cuts import PIECES, cut_anywhere, pieces_of

ID = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TIMING = Timing(queue_ms=3, load_ms=0, prefill_ms=120, decode_ms=1690, ttft_ms=210, total_ms=1900, tokens_per_s=19.5)
DONE = Finished(
    FinishReason.STOP,
    usage=Usage(12, 34),
    chunks=33,
    bytes=161,
    timing=TIMING,
    served_by=ServedBy("ollama", "llama3.2", 1),
    last_word={"eval_count": 34},
)
WHOLE: list[Numbered] = [
    (1, Started(ID, "llama3.2", 5.0)),
    (2, Thinking("The user greets")),
    (3, ToolCall("call_1", "clock", {"tz": "UTC"}, extra=Signature("gemini", {"s": "opaque"}))),
    (4, ToolResult("call_1", "clock", ok=True, content="12:00", duration_ms=4)),
    (5, Token("Hello")),
    (6, DONE),
]
LINE_ENDS = "a\nb\rc\r\nd\u2028e\u2029f\u0085g\x0bh\x0ci\x00j"


def frames_of(events: Sequence[Numbered], request_id: str = "r-1", heartbeat_s: float = 10.0) -> bytes:
    return NativeFrames(ID, request_id=request_id, heartbeat_s=heartbeat_s).frames(events)


def dispatched(frames: bytes) -> list[ServerSentEvent]:
    return list(SseDecoder().feed(frames))


def read(chunks: Sequence[bytes]) -> list[bytes | ControlFrame]:
    reader = NativeReader()
    return [run for chunk in chunks for run in reader.feed(chunk)]


def rejoined(runs: Sequence[bytes | ControlFrame]) -> bytes:
    return b"".join(run if isinstance(run, bytes) else control_frame(run) for run in runs)


# --- writing


def test_the_frames_are_those_of_the_protocol_s_example() -> None:
    """PROTOCOL.md, "Events", byte for byte; with the hop's own ``model_server``."""
    frames = frames_of(WHOLE)

    assert (
        frames
        == (
            f"id: {ID}-1\nevent: start\nretry: 2000\n"
            f'data: {{"type":"start","stream_id":"{ID}","request_id":"r-1","model":"llama3.2",'
            '"resume_window_s":5,"heartbeat_s":10}\n\n'
            f'id: {ID}-2\nevent: thinking\ndata: {{"type":"thinking","content":"The user greets"}}\n\n'
            f'id: {ID}-3\nevent: tool_call\ndata: {{"type":"tool_call","call_id":"call_1","name":"clock",'
            '"arguments":{"tz":"UTC"},"extra":{"provider":"gemini","data":{"s":"opaque"}}}\n\n'
            f'id: {ID}-4\nevent: tool_result\ndata: {{"type":"tool_result","call_id":"call_1","name":"clock",'
            '"ok":true,"content":"12:00","duration_ms":4}\n\n'
            f'id: {ID}-5\nevent: token\ndata: {{"type":"token","content":"Hello"}}\n\n'
            f'id: {ID}-6\nevent: done\ndata: {{"type":"done","finish_reason":"stop",'
            '"usage":{"input_tokens":12,"output_tokens":34},"chunks":33,"bytes":161,'
            '"timing":{"queue_ms":3,"load_ms":0,"prefill_ms":120,"decode_ms":1690,'
            '"ttft_ms":210,"total_ms":1900,"tokens_per_s":19.5},'
            '"served_by":{"provider":"ollama","model":"llama3.2","attempts":1},"model_server":{"eval_count":34}}\n\n'
        ).encode()
    )


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_an_event_alone_and_among_others_is_the_same_frame(number: int) -> None:
    assert frames_of([WHOLE[number]]) in frames_of(WHOLE)


def test_an_end_without_a_report_says_null_and_names_its_skipped_lines() -> None:
    end = Finished(
        FinishReason.CANCELLED, None, 0, 0, Timing(0, None, None, None, None, 1, None), None, skipped_lines=2
    )

    data = orjson.loads(dispatched(frames_of([(2, end)]))[0].data)

    assert (data["usage"], data["served_by"], data["skipped_lines"], data["model_server"]) == (None, None, 2, {})


def test_a_failure_is_an_error_frame_under_the_reader_s_own_request_id() -> None:
    failed = Failed(Code.UPSTREAM_TIMEOUT, "Silent.", Stage.IDLE)

    event = dispatched(frames_of([(9, failed)], request_id="mine-0001"))[0]

    assert (event.type, event.last_event_id) == ("error", f"{ID}-9")
    assert orjson.loads(event.data) == {
        "type": "error",
        "error": {
            "code": "upstream_timeout",
            "message": "Silent.",
            "retryable": True,
            "request_id": "mine-0001",
            "stage": "idle",
        },
    }


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (Status(Phase.LOADING), {"type": "status", "phase": "loading"}),
        (Status(Phase.QUEUED, position=2), {"type": "status", "phase": "queued", "position": 2}),
        (Status(Phase.RETRYING, attempt=2), {"type": "status", "phase": "retrying", "attempt": 2}),
    ],
)
def test_a_status_frame_has_no_id(status: Status, data: dict[str, object]) -> None:
    frame = NativeFrames(ID, request_id="r-1", heartbeat_s=10).status(status)

    assert frame == b"event: status\ndata: " + orjson.dumps(data) + b"\n\n"


@pytest.mark.parametrize(("seconds", "said"), [(5.0, "5"), (0.3, "0.3"), (0.0, "0"), (30.0, "30")])
def test_whole_seconds_are_written_as_integers(seconds: float, said: str) -> None:
    assert orjson.dumps(plain(seconds)).decode() == said


@pytest.mark.parametrize("kind", [Token, Thinking])
@given(text=st.text())
def test_any_text_comes_back_from_its_frame(kind: type[Token] | type[Thinking], text: str) -> None:
    event = dispatched(frames_of([(7, kind(text))]))[0]

    assert orjson.loads(event.data)["content"] == text
    assert event.last_event_id == f"{ID}-7"


def test_what_other_readers_take_for_line_ends_stays_inside_the_data() -> None:
    """T11: a token can smuggle neither a field nor a frame."""
    frame = frames_of([(2, Token(LINE_ENDS + "\n\nevent: done\ndata: {}\n\n"))])

    events = dispatched(frame)

    assert [event.type for event in events] == ["token"]
    assert frame.count(b"\n") == 4
    assert b"\r" not in frame


def test_a_status_cannot_be_written_as_if_it_were_in_the_log() -> None:
    with pytest.raises(AssertionError):
        frames_of([(1, Status(Phase.LOADING))])  # type: ignore[list-item] # that is the claim


# --- refusals before a stream


@pytest.mark.parametrize("code", Code)
def test_a_refusal_has_its_codes_status_and_retry_after_where_the_protocol_demands_it(code: Code) -> None:
    """PROTOCOL.md, "Errors": Retry-After on every 429 and 503."""
    status, headers, body = refusal(ApiError(Failed(code, "words")), "r-1")

    assert status == RULES[code].status
    assert ("Retry-After" in headers) is (status in {429, 503})
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert orjson.loads(body)["error"]["request_id"] == "r-1"


@pytest.mark.parametrize(("status", "code"), [(404, Code.NOT_FOUND), (431, Code.INVALID_REQUEST)])
def test_a_bare_status_is_answered_as_the_refusal_that_it_means(status: int, code: Code) -> None:
    answered, _, body = refused_status(status, "words", "r-1")

    assert answered == RULES[code].status
    assert orjson.loads(body)["error"]["code"] == code


def test_a_refusal_says_when_to_come_back_and_that_it_closes() -> None:
    _, headers, _ = refusal(ApiError(Failed(Code.SHUTTING_DOWN, "words"), retry_after_s=7, close=True), "r-1")

    assert (headers["Retry-After"], headers["Connection"]) == ("7", "close")


def test_an_end_that_is_in_no_log_has_no_id() -> None:
    """The proxy cannot be reached again: nobody can come back to it."""
    frame = NativeFrames(ID, request_id="r-1", heartbeat_s=10).close(Failed(Code.UPSTREAM_DISCONNECTED, "words"))
    (event,) = dispatched(frame)

    assert (event.type, event.last_event_id) == ("error", "")
    assert orjson.loads(event.data)["error"]["code"] == "upstream_disconnected"


@pytest.mark.parametrize("whole", [WHOLE, [*WHOLE[:-1], (6, Failed(Code.UPSTREAM_ERROR, "words"))]])
def test_a_stream_opens_and_closes_with_the_frames_of_its_first_and_last_event(whole: list[Numbered]) -> None:
    dialect = NativeFrames(ID, request_id="r-1", heartbeat_s=10)
    (_, started), (number, end) = whole[0], whole[-1]
    assert isinstance(started, Started)
    assert isinstance(end, Finished | Failed)

    assert dialect.open(started) == dialect.frames(whole[:1])
    assert dialect.close(end, number) == dialect.frames(whole[-1:])


# --- reading


@pytest.mark.parametrize("piece", PIECES)
def test_frames_do_not_depend_on_where_the_bytes_were_cut(piece: int) -> None:
    body = frames_of(WHOLE)

    runs = read(pieces_of(body, piece))

    assert rejoined(runs) == body
    assert [run.event for run in runs if isinstance(run, ControlFrame)] == ["start", "tool_result", "done"]


@given(data=st.data(), texts=st.lists(st.text(min_size=1), max_size=6))
def test_any_text_passes_under_any_cuts(data: st.DataObject, texts: list[str]) -> None:
    events: list[Numbered] = [(number, Token(text)) for number, text in enumerate(texts, 2)]
    body = frames_of([WHOLE[0], *events, (len(texts) + 2, DONE)])

    runs = read(data.draw(cut_anywhere(body)))

    assert rejoined(runs) == body


def test_a_read_of_plain_frames_is_handed_on_as_it_came() -> None:
    block = frames_of([(2, Token("a")), (3, Thinking("b"))])

    assert read([block]) == [block]


def test_an_incomplete_frame_waits_for_its_end_but_not_into_the_next_body() -> None:
    frame = frames_of([(2, Token("a"))])
    reader = NativeReader()

    early, late = list(reader.feed(frame[:-1])), list(reader.feed(frame[-1:]))
    cut = list(reader.feed(frame[:-5]))
    reader.begin_anew()

    assert (early, late, cut, list(reader.feed(frame))) == ([], [frame], [], [frame])


@pytest.mark.parametrize("piece", PIECES)
def test_the_hop_s_own_heartbeats_neither_cut_nor_add_a_frame(piece: int) -> None:
    first, second = frames_of([(2, Token("a"))]), frames_of([(3, DONE)])
    body = sse.HEARTBEAT * 2 + first + sse.HEARTBEAT + second + sse.HEARTBEAT

    assert rejoined(read(pieces_of(body, piece))).replace(sse.HEARTBEAT, b"") == first + second


def test_a_heartbeat_in_front_of_a_control_frame_does_not_hide_it() -> None:
    token, done = frames_of([(2, Token("a"))]), frames_of([(3, DONE)])

    runs = read([token + sse.HEARTBEAT + done])

    assert [run.event for run in runs if isinstance(run, ControlFrame)] == ["done"]
    assert rejoined(runs) == token + done


def test_a_heartbeat_alone_is_nothing_and_stands_in_no_later_frame() -> None:
    frame = frames_of([(2, Token("a"))])

    assert read([sse.HEARTBEAT, sse.HEARTBEAT * 3]) == []
    assert read([sse.HEARTBEAT, sse.HEARTBEAT * 3, frame]) == [frame]


def test_a_done_in_the_text_is_not_the_end() -> None:
    """JSON holds no raw line end, so nothing in the data can pass for an ``event:`` line."""
    block = frames_of([(2, Token("event: done\n")), (3, Token("\nevent: error\n\n"))])

    assert read([block]) == [block]


def test_a_control_frame_carries_its_id_and_its_parsed_data() -> None:
    start, done = (run for run in read([frames_of([WHOLE[0], WHOLE[-1]])]) if isinstance(run, ControlFrame))

    assert (start.id, start.event, start.is_end) == (f"{ID}-1", "start", False)
    assert start.data["model"] == "llama3.2"
    assert (done.event, done.is_end, done.end_reason) == ("done", True, "stop")


def test_the_reason_of_an_error_frame_is_its_code() -> None:
    (error,) = read([frames_of([(2, Failed(Code.UPSTREAM_ERROR, "words"))])])

    assert isinstance(error, ControlFrame)
    assert (error.is_end, error.end_reason) == (True, "upstream_error")


@pytest.mark.parametrize("whole", range(6))
def test_the_last_number_is_that_of_the_newest_whole_frame(whole: int) -> None:
    reader = NativeReader()
    begun = frames_of(WHOLE[whole:])[:-3]

    list(reader.feed(frames_of(WHOLE[:whole]) + begun[: len(frames_of([WHOLE[whole]])) - 1]))

    assert reader.last_number == whole


def test_a_status_frame_does_not_move_the_last_number() -> None:
    reader = NativeReader(last_number=4)
    status = NativeFrames(ID, request_id="r-1", heartbeat_s=10).status(Status(Phase.LOADING))

    assert list(reader.feed(status)) == [status]
    assert reader.last_number == 4


def test_the_number_of_a_token_followed_by_a_status_is_the_token_s() -> None:
    reader = NativeReader()
    status = NativeFrames(ID, request_id="r-1", heartbeat_s=10).status(Status(Phase.LOADING))

    list(reader.feed(frames_of([(8, Token("id: fake-99"))]) + status))

    assert reader.last_number == 8


def test_an_id_without_a_number_breaks_the_hop() -> None:
    reader = NativeReader()
    list(reader.feed(b'id: k3fa-x\nevent: token\ndata: {"type":"token","content":"a"}\n\n'))

    with pytest.raises(HopBroken):
        _ = reader.last_number


@pytest.mark.parametrize(
    "frame",
    [
        b"event: done\n\n",
        b"event: done\ndata: not json\n\n",
        b"event: error\ndata: [1]\n\n",
        b"event: start\ndata\n\n",
        b'event: start\ndata: {"x":"\xff"}\n\n',
    ],
    ids=["no data", "not JSON", "no object", "a field without a value", "not UTF-8"],
)
def test_a_control_frame_that_no_proxy_writes_breaks_the_hop(frame: bytes) -> None:
    with pytest.raises(HopBroken):
        read([frame])


def test_a_frame_without_an_end_breaks_the_hop_at_its_limit_and_not_before() -> None:
    reader = NativeReader()
    within = b"data: " + b"x" * (MAX_FRAME_BYTES - 6)

    assert list(reader.feed(within)) == []
    with pytest.raises(HopBroken):
        reader.feed(b"x")


def test_a_changed_start_keeps_its_id_and_its_retry() -> None:
    (start,) = read([frames_of(WHOLE[:1])])
    assert isinstance(start, ControlFrame)
    start.data["request_id"] = "client-01"

    frame = control_frame(start)

    assert frame == frames_of(WHOLE[:1], request_id="client-01")


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (405, "method_not_allowed"), (500, "internal")])
def test_what_no_handler_was_asked_is_refused_in_our_shape(status: int, code: str) -> None:
    answered, headers, body = refused_status(status, "words", "r-1")

    assert answered == status
    assert headers["Content-Type"].startswith("application/json")
    assert orjson.loads(body)["error"]["code"] == code
