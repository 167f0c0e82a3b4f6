"""What the turns of an answer add up to."""

from dataclasses import replace

import pytest

from proxy.upstream.turns import total_of
from services.wire.events import Completion, FinishReason, Usage

STOPPED = Completion(
    FinishReason.STOP, Usage(5, 7), load_s=1.0, prefill_s=2.0, decode_s=3.0, fields={"done_reason": "stop", "n": 1}
)
CALLED = Completion(
    FinishReason.TOOL_CALLS, Usage(10, 1), load_s=0.5, prefill_s=0.25, decode_s=0.125, fields={"n": 2, "m": 3}
)


def test_one_turn_is_the_whole_answer() -> None:
    assert total_of([STOPPED], FinishReason.STOP) is STOPPED


def test_the_answer_s_reason_may_be_another_than_the_turn_s() -> None:
    assert total_of([CALLED], FinishReason.STOP) == replace(CALLED, reason=FinishReason.STOP)


def test_turns_add_up_and_the_last_one_says_why_it_ended() -> None:
    assert total_of([CALLED, CALLED, STOPPED], FinishReason.STOP) == Completion(
        FinishReason.STOP, Usage(25, 9), load_s=2.0, prefill_s=2.5, decode_s=3.25, fields={"n": 5}
    )


@pytest.mark.parametrize("missing", ["load_s", "prefill_s", "decode_s"])
@pytest.mark.parametrize("turn", [0, 1])
def test_what_one_turn_did_not_say_is_not_known_of_the_answer(missing: str, turn: int) -> None:
    words = [CALLED, STOPPED]
    words[turn] = replace(words[turn], **{missing: None})  # type: ignore[arg-type] # one of three floats

    assert getattr(total_of(words, FinishReason.STOP), missing) is None


@pytest.mark.parametrize(
    ("usage", "expected"), [(None, None), (Usage(None, 1), Usage(None, 8)), (Usage(1, None), Usage(6, None))]
)
def test_half_a_count_never_passes_for_all_of_it(usage: Usage | None, expected: Usage | None) -> None:
    assert total_of([replace(CALLED, usage=usage), STOPPED], FinishReason.STOP).usage == expected
    assert total_of([STOPPED, replace(CALLED, usage=usage)], FinishReason.STOP).usage == expected
