from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.streams.timeline import STAGES, StreamTimeline
from services.wire.events import Completion, FinishReason, Timing, Usage

MOMENTS = ("parsed", "admitted", "asked", "first_content", "last_content")
SECONDS = st.floats(0, 100, allow_subnormal=False)


def said(
    load_s: float | None = 0.0,
    prefill_s: float | None = 0.0,
    decode_s: float | None = None,
    usage: Usage | None = None,
) -> Completion:
    return Completion(FinishReason.STOP, usage, load_s, prefill_s, decode_s)


def lived() -> StreamTimeline:
    """A stream that waited 1 s in line, 0.5 s to connect, 4 s for its first content, and ran 10 s."""
    return StreamTimeline(
        accepted=100.0,
        parsed=100.25,
        admitted=101.25,
        asked=101.75,
        first_content=105.75,
        first_answer=106.0,
        last_content=115.75,
        content_reads=20,
        ended=116.0,
    )


@given(
    gaps=st.lists(SECONDS, min_size=1, max_size=len(MOMENTS) + 1),
    word=st.none() | st.builds(said, st.none() | SECONDS, st.none() | SECONDS, st.none() | SECONDS),
)
def test_the_stages_add_up_to_the_total_however_far_the_stream_came(gaps: list[float], word: Completion | None) -> None:
    """Each prefix of the moments is a way to end: in line, connecting, waiting, decoding."""
    moments = list(accumulate(gaps, initial=1000.0))
    timeline = StreamTimeline(moments[0], ended=moments[-1])
    for name, moment in zip(MOMENTS, moments[1:-1], strict=False):
        setattr(timeline, name, moment)

    stages = timeline.stages(word)

    assert tuple(stages) == tuple(stage for stage in STAGES if stage != "tools")
    assert sum(stages.values()) == pytest.approx(moments[-1] - moments[0], abs=1e-6)
    assert all(seconds >= 0 for seconds in stages.values())


def test_a_whole_stream_s_time_is_split_as_the_model_server_says() -> None:
    stages = lived().stages(said(load_s=1.5, prefill_s=2.0))

    assert stages == {
        "pre": 0.25,
        "admission": 1.0,
        "connect": 0.5,
        "load": 1.5,
        "backend_queue": 0.5,
        "prefill": 2.0,
        "decode": 10.0,
        "post": 0.25,
        "unknown": 0.0,
    }


def test_without_the_last_word_nobody_splits_the_wait_and_the_last_silence_is_nobody_s() -> None:
    stages = lived().stages(None)

    assert (stages["load"], stages["prefill"], stages["backend_queue"], stages["post"]) == (0, 0, 0, 0)
    assert stages["unknown"] == 4.25


@pytest.mark.parametrize(("load_s", "prefill_s", "split"), [(9.0, 9.0, (4, 0, 0)), (3.0, 9.0, (3, 1, 0))])
def test_a_model_server_that_says_more_than_we_measured_is_cut_to_the_wait(
    load_s: float, prefill_s: float, split: tuple[float, float, float]
) -> None:
    stages = lived().stages(said(load_s, prefill_s))

    assert (stages["load"], stages["prefill"], stages["backend_queue"]) == split


def test_the_time_that_the_model_server_decoded_and_sent_nothing_is_decode() -> None:
    """With tools or a format it does so; it was backend_queue, against which README advises fewer permits."""
    timeline = lived()
    timeline.first_content = timeline.last_content = 115.75

    stages = timeline.stages(said(load_s=1.5, prefill_s=2.0, decode_s=10.0))

    assert (stages["decode"], stages["backend_queue"], stages["prefill"], stages["post"]) == (10.0, 0.5, 2.0, 0.25)


def test_the_time_that_it_decoded_behind_the_last_content_is_decode_too() -> None:
    timeline = lived()
    timeline.last_content, timeline.answered = 107.75, 115.75

    stages = timeline.stages(said(load_s=1.5, prefill_s=2.0, decode_s=10.25))

    assert (stages["decode"], stages["backend_queue"], stages["post"]) == (10.25, 0.25, 0.25)


def test_an_answer_of_which_nothing_was_shown_was_decoded_as_long_as_the_model_server_says() -> None:
    timeline = lived()
    timeline.first_content = timeline.last_content = None

    stages = timeline.stages(said(load_s=1.5, prefill_s=2.0, decode_s=10.0))

    assert (stages["decode"], stages["backend_queue"]) == (10.0, 0.75)


def test_a_model_server_that_says_it_decoded_longer_than_it_was_asked_is_cut_to_the_wait() -> None:
    stages = lived().stages(said(load_s=1.5, prefill_s=2.0, decode_s=99.0))

    assert (stages["decode"], stages["backend_queue"], stages["post"]) == (10.5, 0.0, 0.25)


def test_the_rate_of_an_answer_that_was_held_back_is_the_model_server_s() -> None:
    timeline = lived()
    timeline.first_content = timeline.last_content
    timeline.content_reads = 1

    assert timeline.rate(said(decode_s=10.0, usage=Usage(5, 200))) == 20.0


def test_the_timing_of_a_done_frame_is_in_milliseconds() -> None:
    timing = lived().timing(said(1.5, 2.0, 10.0, Usage(3, 21)))

    assert timing == Timing(
        queue_ms=1000.0,
        load_ms=1500.0,
        prefill_ms=2000.0,
        decode_ms=10_000.0,
        ttft_ms=5750.0,
        total_ms=16_000.0,
        tokens_per_s=2.0,
    )


def test_without_the_last_word_load_and_prefill_are_not_known() -> None:
    timing = lived().timing(None)

    assert (timing.load_ms, timing.prefill_ms, timing.decode_ms, timing.tokens_per_s) == (None,) * 4


@pytest.mark.parametrize("load_s", [None, 1.5])
@pytest.mark.parametrize("prefill_s", [None, 2.0])
@pytest.mark.parametrize("decode_s", [None, 3.0])
def test_a_duration_that_the_model_server_did_not_give_is_null(
    load_s: float | None, prefill_s: float | None, decode_s: float | None
) -> None:
    """Not said is not zero."""
    timing = lived().timing(said(load_s, prefill_s, decode_s))
    given = [number is not None for number in (timing.load_ms, timing.prefill_ms, timing.decode_ms)]

    assert given == [number is not None for number in (load_s, prefill_s, decode_s)]


def test_a_stream_that_ended_in_line_has_no_first_token() -> None:
    timing = StreamTimeline(10.0, parsed=10.0, ended=12.0).timing(None)

    assert (timing.queue_ms, timing.ttft_ms, timing.total_ms) == (2000.0, None, 2000.0)


@pytest.mark.parametrize("usage", [None, Usage(5, 0), Usage(5, 1)])
def test_there_is_no_rate_below_two_tokens_or_without_a_report(usage: Usage | None) -> None:
    assert lived().rate(said(decode_s=2.0, usage=usage)) is None


def test_there_is_no_rate_without_content_or_when_all_of_it_came_at_once_and_nobody_timed_it() -> None:
    unseen, at_once = StreamTimeline(1.0, ended=2.0), lived()
    at_once.last_content = at_once.first_content

    assert unseen.rate(said(usage=Usage(5, 9))) is None
    assert at_once.rate(said(usage=Usage(5, 9))) is None


# --- what the proxy itself added


def test_what_the_proxy_added_leaves_the_wait_in_line_out() -> None:
    timeline = lived()
    timeline.first_written, timeline.answered, timeline.last_written = 105.875, 115.75, 116.0

    assert timeline.added_first_token_s == pytest.approx(0.25 + 0.5 + 0.125)
    assert timeline.added_total_s == pytest.approx(0.25 + 0.5 + 0.25)
    assert timeline.upstream_s == pytest.approx(14.0)


def test_what_was_never_written_or_answered_added_nothing_that_is_known() -> None:
    timeline = StreamTimeline(1.0, parsed=1.0, ended=2.0)

    assert (timeline.added_first_token_s, timeline.added_total_s, timeline.upstream_s) == (None, None, None)


def test_a_call_that_was_cut_off_took_until_the_end() -> None:
    assert lived().upstream_s == pytest.approx(14.25)


def test_an_answer_held_its_permit_from_being_let_in_to_its_end() -> None:
    assert lived().permit_s == 116.0 - 101.25


@pytest.mark.parametrize("missing", ["admitted", "first_content", "ended"])
def test_what_the_model_did_not_say_or_says_still_is_no_measure_of_its_answers(missing: str) -> None:
    timeline = lived()
    setattr(timeline, missing, None)

    assert timeline.permit_s is None


# --- answers of several turns


def of_turns(*turns: tuple[float, ...], ended: float, tools_s: float = 0.0, waited_s: float = 0.0) -> StreamTimeline:
    """Return the timeline of turns that were asked, had contents, and were answered at these moments.

    Args:
        tools_s: how long tools ran behind each but the last.
        waited_s: how long the next turn then waited for its permit.
    """
    timeline = StreamTimeline(0.0, parsed=0.0, admitted=1.0)
    for number, (asked, *contents, answered) in enumerate(turns):
        if number:
            timeline.next_turn()
            done = timeline.later[-1].answered + tools_s
            timeline.tools_ran(done)
            timeline.turn_admitted(done + waited_s)
        timeline.call_asked(asked)
        for moment in contents:
            if timeline.content_came(moment, True) is None:
                timeline.turn_spoke(moment)
        timeline.answered = answered
    timeline.ended = ended
    return timeline


def test_the_stages_of_turns_add_up_and_the_time_between_them_is_nobody_s_decode() -> None:
    timeline = of_turns((2.0, 4.0, 7.0, 8.0), (10.0, 13.0, 17.0, 18.0), ended=18.5)

    stages = timeline.stages(said(load_s=1.0, prefill_s=3.0, decode_s=7.0))

    assert stages == {
        "pre": 0.0,
        "admission": 1.0,
        "connect": 3.0,
        "load": 1.0,
        "backend_queue": 1.0,
        "prefill": 3.0,
        "decode": 7.0,
        "tools": 0.0,
        "post": 2.5,
        "unknown": 0.0,
    }


def test_tools_and_the_wait_for_the_next_permit_have_their_own_stages() -> None:
    timeline = of_turns((2.0, 4.0, 7.0, 8.0), (12.0, 13.0, 17.0, 18.0), ended=18.5, tools_s=2.5, waited_s=1.0)

    stages = timeline.stages(said(load_s=0.0, prefill_s=3.0, decode_s=7.0))

    assert (stages["tools"], stages["admission"], stages["connect"]) == (2.5, 2.0, 1.5)
    assert sum(stages.values()) == 18.5
    assert timeline.timing(None, with_tools=True).tools_ms == 2500.0
    assert timeline.timing(None).tools_ms is None


def test_a_tool_that_runs_when_the_answer_is_stopped_ran_until_then() -> None:
    timeline = of_turns((2.0, 4.0, 8.0), ended=18.5)
    timeline.next_turn()

    assert timeline.tools_s == 10.5
    assert (timeline.stages(None)["tools"], timeline.permit_s) == (10.5, None)


def test_the_first_token_is_the_first_turn_s_and_gaps_are_within_turns() -> None:
    timeline = of_turns((2.0, 4.0, 4.5, 5.0), (6.0, 60.0, 61.0, 62.0), ended=62.0)
    spans = timeline.spans()

    assert (spans["ttft_s"], spans["first_answer_s"], spans["first_chunk_s"]) == (4.0, 4.0, 2.0)
    assert spans["max_gap_s"] == 1.0
    assert spans["upstream_s"] == 3.0 + 56.0
    assert timeline.turn_first_content == 60.0


def test_the_rate_of_turns_is_of_the_time_in_which_they_spoke() -> None:
    timeline = of_turns((1.0, *range(2, 7), 7.0), (100.0, *range(102, 107), 107.0), ended=107.0)

    assert timeline.rate(said(usage=Usage(1, 9), decode_s=8.0)) == 1.0  # 8 s, 9 tokens


@given(
    gaps=st.lists(st.lists(SECONDS, min_size=2, max_size=4), min_size=1, max_size=4),
    word=st.none() | st.builds(said, st.none() | SECONDS, st.none() | SECONDS, st.none() | SECONDS),
)
def test_the_stages_add_up_to_the_total_however_many_turns_there_were(
    gaps: list[list[float]], word: Completion | None
) -> None:
    """Turns without content among them."""
    at, turns = 1.0, []
    for steps in gaps:
        turns.append(tuple(accumulate(steps[1:], initial=at + steps[0])))
        at = turns[-1][-1]
    timeline = of_turns(*turns, ended=at + 1.0)

    stages = timeline.stages(word)

    assert sum(stages.values()) == pytest.approx(at + 1.0, abs=1e-6)
    assert all(seconds >= 0 for seconds in stages.values())
