import pytest

from gateway.relay.gathering import GATHERED_BYTES, GatheringSink
from services.wire.events import Code, Finished, FinishReason, Refused
from tests.gateway.stage import START, TIMING, called, done, failed, framed, status_frame, thought, tokens


def gathered(*chunks: bytes) -> GatheringSink:
    sink = GatheringSink(lambda: pytest.fail("too long"))
    for chunk in chunks:
        assert sink.write(chunk) is True
    return sink


def test_a_whole_answer_says_what_its_frames_said() -> None:
    body = framed(START, thought("hm", 2), tokens("Hel", "lo", after=2), called(5), done(6))

    whole = gathered(status_frame(), body).whole()

    assert whole["message"] == {
        "role": "assistant",
        "content": "Hello",
        "thinking": "hm",
        "tool_calls": [{"id": "call_1", "function": {"name": "clock", "arguments": {"tz": "UTC"}}}],
    }
    assert (whole["model"], whole["finish_reason"]) == ("llama3.2", "stop")
    assert whole["usage"] == {"input_tokens": 12, "output_tokens": 34}
    assert whole["timing"]["total_ms"] == TIMING.total_ms


def test_an_answer_without_thinking_or_tools_has_no_such_fields() -> None:
    whole = gathered(framed(START, tokens("a"), done(3))).whole()

    assert whole["message"] == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("code", [Code.UPSTREAM_ERROR, Code.QUEUE_TIMEOUT, Code.SHUTTING_DOWN])
def test_a_stream_that_failed_is_refused_as_if_before_its_start(code: Code) -> None:
    """O2: on the JSON routes a long wait in line is a 503."""
    with pytest.raises(Refused) as refusal:
        gathered(framed(START, tokens("a"), failed(3, code))).whole()

    assert (refusal.value.failed.code, refusal.value.failed.message) == (code, "words")


@pytest.mark.parametrize("body", [b"", framed(START), framed(START, tokens("a", "b"))])
def test_an_answer_without_its_end_is_never_told_as_whole(body: bytes) -> None:
    """Its hop was lost, and what it missed had left the log: a stream's client comes back, this one cannot."""
    with pytest.raises(Refused) as refusal:
        gathered(body).whole()

    assert refusal.value.failed.code is Code.UPSTREAM_DISCONNECTED


@pytest.mark.parametrize("lines", [0, 2])
def test_a_whole_answer_says_what_was_left_out_of_it(lines: int) -> None:
    end = framed((3, Finished(FinishReason.STOP, None, 1, 1, TIMING, None, skipped_lines=lines)))

    whole = gathered(framed(START, tokens("a")), end).whole()

    assert whole.get("skipped_lines", 0) == lines
    assert ("skipped_lines" in whole) is bool(lines)


def test_an_answer_that_is_too_long_for_one_object_is_told_and_refused() -> None:
    told: list[bool] = []
    sink = GatheringSink(lambda: told.append(True))
    frame = framed(tokens("x" * 60_000))
    count = GATHERED_BYTES // len(frame)
    for _ in range(count):
        sink.write(frame)
    before = list(told)
    sink.write(frame)

    assert before == []
    assert told == [True]
    with pytest.raises(Refused) as refusal:
        sink.whole()
    assert refusal.value.failed.code is Code.UPSTREAM_ERROR


async def test_it_never_asks_for_a_pause() -> None:
    sink = gathered(framed(START))
    await sink.drain()
    sink.close()
    sink.abort()

    assert sink.written == len(framed(START))
