"""An answer of more than one turn: what it adds up to, and what it is to who reads it."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.streams.stream import Stream
from proxy.upstream.turns import total_of
from services.http.connection import ResponseEnd
from services.wire.events import Completion, Failed, Finished, FinishReason, Usage
from services.wire.request import CalledTool, Message, ModelRequest
from tests.proxy.stage import REQUEST
from tests.proxy.upstream.production import BUSY_NOW, ProducerStage, line, outcome_of
from tests.proxy.upstream.scripted_transport import Attempt, Connects

STOPPED = Completion(
    FinishReason.STOP, Usage(5, 7), load_s=1.0, prefill_s=2.0, decode_s=3.0, fields={"done_reason": "stop", "n": 1}
)
CALLED = Completion(
    FinishReason.TOOL_CALLS, Usage(10, 1), load_s=0.5, prefill_s=0.25, decode_s=0.125, fields={"n": 2, "m": 3}
)


def test_one_turn_is_the_whole_answer() -> None:
    assert total_of([STOPPED]) is STOPPED


def test_turns_add_up_and_the_last_one_says_why_it_ended() -> None:
    assert total_of([CALLED, CALLED, STOPPED]) == Completion(
        FinishReason.STOP, Usage(25, 9), load_s=2.0, prefill_s=2.5, decode_s=3.25, fields={"n": 5}
    )


@pytest.mark.parametrize("missing", ["load_s", "prefill_s", "decode_s"])
@pytest.mark.parametrize("turn", [0, 1])
def test_what_one_turn_did_not_say_is_not_known_of_the_answer(missing: str, turn: int) -> None:
    words = [CALLED, STOPPED]
    words[turn] = replace(words[turn], **{missing: None})  # type: ignore[arg-type] # one of three floats

    assert getattr(total_of(words), missing) is None


@pytest.mark.parametrize(
    ("usage", "expected"), [(None, None), (Usage(None, 1), Usage(None, 8)), (Usage(1, None), Usage(6, None))]
)
def test_half_a_count_never_passes_for_all_of_it(usage: Usage | None, expected: Usage | None) -> None:
    assert total_of([replace(CALLED, usage=usage), STOPPED]).usage == expected
    assert total_of([STOPPED, replace(CALLED, usage=usage)]).usage == expected


# --- through the producer

CALL: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "clock", "arguments": {}}}],
}
NUMBERS = {
    "prompt_eval_count": 2,
    "eval_count": 3,
    "load_duration": 0,
    "prompt_eval_duration": 0,
    "eval_duration": 500_000_000,
}


def said(content: str = "", *, done: bool = False, **message: object) -> bytes:
    more = {"done_reason": "stop", **NUMBERS} if done else {}
    return orjson.dumps({"message": {"role": "assistant", "content": content, **message}, "done": done, **more}) + b"\n"


ASKS_FOR_A_TOOL = Connects([said("Let me see. ") + said(**CALL), said(done=True)], ResponseEnd.COMPLETE)
ANSWERS = Connects([said("It is "), said("noon.") + said(done=True)], ResponseEnd.COMPLETE)


class TheToolSays:
    """Who runs the tools: behind a turn that called one comes another, with its result."""

    def __init__(self) -> None:
        self.ended_by: list[FinishReason] = []

    def __call__(self, _stream: Stream, word: Completion) -> ModelRequest | None:
        self.ended_by.append(word.reason)
        if word.reason is not FinishReason.TOOL_CALLS:
            return None
        call = Message("assistant", "", tool_calls=(CalledTool("clock", {}),))
        return replace(REQUEST, messages=(*REQUEST.messages, call, Message("tool", "12:00")))


async def answered(*attempts: Attempt) -> tuple[ProducerStage, TheToolSays]:
    tool = TheToolSays()
    return await outcome_of(*attempts, next_turn=tool), tool


async def test_an_answer_of_two_turns_is_one_stream_with_one_end() -> None:
    stage, tool = await answered(ASKS_FOR_A_TOOL, ANSWERS)

    assert tool.ended_by == ["tool_calls", "stop"]
    assert (stage.text, stage.end) == ("Let me see. It is noon.", "stop")
    assert stage.sink.text == "1=start 2=Let me see.  3=tool_call 4=It is  5=noon. 6=stop "
    assert stage.transport.open_when_asked == [0, 0]
    assert stage.noted.permits == ["admitted"]
    assert stage.noted.repeats == []
    stage.assert_everything_is_given_back()


async def test_the_end_leaves_in_the_write_of_its_last_token() -> None:
    stage, _ = await answered(ASKS_FOR_A_TOOL, ANSWERS)

    assert stage.sink.writes[-1] == b"5=noon. 6=stop "


async def test_content_that_came_with_the_end_of_a_turn_does_not_wait_for_the_next() -> None:
    whole = Connects([said("a") + said(**CALL) + said(done=True)], ResponseEnd.COMPLETE)

    stage, _ = await answered(whole, ANSWERS)

    assert stage.sink.writes[:2] == [b"1=start ", b"2=a 3=tool_call "]


async def test_usage_times_and_attempts_add_up_over_the_turns() -> None:
    stage, _ = await answered(BUSY_NOW, ASKS_FOR_A_TOOL, BUSY_NOW, ANSWERS)
    end = stage.stream.log.end

    assert isinstance(end, Finished)
    assert end.usage == Usage(4, 6)
    assert (end.served_by and end.served_by.attempts, stage.noted.repeats) == (4, ["503", "503"])
    assert (end.timing.decode_ms, end.timing.load_ms, end.timing.prefill_ms) == (1000.0, 0.0, 0.0)
    assert end.last_word == {"done_reason": "stop", **{name: 2 * number for name, number in NUMBERS.items()}}
    stages = stage.stream.timeline.stages(stage.stream.last_word)
    assert sum(stages.values()) * 1000 == pytest.approx(end.timing.total_ms, abs=0.1)


async def test_a_later_turn_is_asked_again_though_an_earlier_one_showed_content_but_not_behind_its_own() -> None:
    """Judged per call: what it has not shown can be asked for again."""
    broken = Connects([line("It")], ResponseEnd.DISCONNECTED)

    stage, _ = await answered(ASKS_FOR_A_TOOL, BUSY_NOW, broken, ANSWERS)

    assert (stage.text, stage.end) == ("Let me see. It", "upstream_disconnected")
    assert stage.noted.repeats == ["503"]
    stage.assert_everything_is_given_back()


async def test_an_answer_whose_later_turn_fails_keeps_its_text_and_fails_as_that_did() -> None:
    stage, _ = await answered(ASKS_FOR_A_TOOL, Connects([b'{"error":"no"}'], ResponseEnd.COMPLETE, status=400))
    end = stage.stream.log.end

    assert isinstance(end, Failed)
    assert (stage.text, stage.end) == ("Let me see. ", "invalid_request")
    stage.assert_everything_is_given_back()
