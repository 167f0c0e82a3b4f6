import orjson
import pytest

from gateway.relay.content_meter import ContentMeter
from gateway.relay.gathering import GatheringSink
from gateway.relay.passage import Translated
from gateway.relay.timeline import ConnectionTimeline
from services.dialects.gathering import GATHERED_BYTES, Gathering
from services.dialects.native import NativeObject
from services.wire.event_data import timing_data
from services.wire.events import ApiError, Code, Finished, FinishReason
from tests.gateway.stage import START, TIMING, called, done, failed, framed, status_frame, thought, tokens


class Whole:
    """A whole answer, from the bytes of a hop."""

    def __init__(self) -> None:
        self.gathering = Gathering()
        self.told: list[bool] = []
        self.sink = GatheringSink(self.gathering, lambda: self.told.append(True))
        meter = ContentMeter(ConnectionTimeline(0.0), gap_seen=lambda _: None, chunk_passed=lambda _: None)
        self.passage = Translated(0, meter, self.gathering)

    def comes(self, chunk: bytes) -> None:
        frames: list[bytes] = []
        self.passage.take(chunk, 1.0, frames)
        assert self.sink.write(b"".join(frames)) is True


def gathered(*chunks: bytes) -> Whole:
    whole = Whole()
    for chunk in chunks:
        whole.comes(chunk)
    return whole


def answered(*chunks: bytes) -> dict[str, object]:
    gathering = gathered(*chunks).gathering
    status, _, body = NativeObject().whole(gathering.events, gathering.finished())
    assert status == 200
    return dict(orjson.loads(body))


def test_a_whole_answer_says_what_its_frames_said() -> None:
    body = framed(START, thought("hm", 2), tokens("Hel", "lo", after=2), called(5), done(6))

    whole = answered(status_frame(), body)

    assert whole["message"] == {
        "role": "assistant",
        "content": "Hello",
        "thinking": "hm",
        "tool_calls": [{"id": "call_1", "function": {"name": "clock", "arguments": {"tz": "UTC"}}}],
    }
    assert (whole["model"], whole["finish_reason"]) == ("llama3.2", "stop")
    assert whole["usage"] == {"input_tokens": 12, "output_tokens": 34}
    assert whole["timing"] == timing_data(TIMING)


def test_an_answer_without_thinking_or_tools_has_no_such_fields() -> None:
    assert answered(framed(START, tokens("a"), done(3)))["message"] == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("code", [Code.UPSTREAM_ERROR, Code.QUEUE_TIMEOUT, Code.SHUTTING_DOWN])
def test_a_stream_that_failed_is_refused_as_if_before_its_start(code: Code) -> None:
    """O2: on the JSON routes a long wait in line is a 503."""
    with pytest.raises(ApiError) as refusal:
        gathered(framed(START, tokens("a"), failed(3, code))).gathering.finished()

    assert (refusal.value.failed.code, refusal.value.failed.message) == (code, "words")


@pytest.mark.parametrize("body", [b"", framed(START), framed(START, tokens("a", "b"))])
def test_an_answer_without_its_end_is_never_told_as_whole(body: bytes) -> None:
    """Its hop was lost, and what it missed had left the log: a stream's client comes back, this one cannot."""
    with pytest.raises(ApiError) as refusal:
        gathered(body).gathering.finished()

    assert refusal.value.failed.code is Code.UPSTREAM_DISCONNECTED


@pytest.mark.parametrize("lines", [0, 2])
def test_a_whole_answer_says_what_was_left_out_of_it(lines: int) -> None:
    end = framed((3, Finished(FinishReason.STOP, None, 1, 1, TIMING, None, skipped_lines=lines)))

    whole = answered(framed(START, tokens("a")), end)

    assert whole.get("skipped_lines", 0) == lines
    assert ("skipped_lines" in whole) is bool(lines)


def test_an_answer_that_is_too_long_for_one_object_is_told() -> None:
    whole = Whole()
    piece = "x" * (64 << 10)
    for _ in range(GATHERED_BYTES // len(piece)):
        whole.comes(framed(tokens(piece)))
    before = list(whole.told)
    whole.comes(framed(tokens("y")))

    assert before == []
    assert whole.told == [True]
    with pytest.raises(ApiError) as refusal:
        whole.gathering.finished()
    assert refusal.value.failed.code is Code.UPSTREAM_ERROR
    assert whole.sink.written == GATHERED_BYTES + 1


async def test_it_never_asks_for_a_pause() -> None:
    whole = gathered(framed(START))
    await whole.sink.drain()
    whole.sink.close()
    whole.sink.abort()

    assert whole.sink.written == 0
