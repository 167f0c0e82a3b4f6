from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.timeline import OWN_STAGES, ConnectionTimeline

MOMENTS = ("parsed", "admitted", "asked", "answered")
SECONDS = st.floats(0, 100, allow_subnormal=False)


def lived() -> ConnectionTimeline:
    """A connection that took 0.25 s to read, 0.5 s to be let in, 0.25 s to ask, and 10 s to be answered."""
    return ConnectionTimeline(
        accepted=100.0,
        parsed=100.25,
        admitted=100.75,
        asked=101.0,
        first_content=103.0,
        first_written=103.125,
        last_content=111.0,
        content_reads=81,
        answered=111.0,
        last_written=111.0625,
        ended=111.5,
    )


@given(
    gaps=st.lists(SECONDS, min_size=1, max_size=len(MOMENTS) + 1),
    blocked_s=SECONDS,
    proxy_ttft_s=st.none() | SECONDS,
    content_after_s=st.none() | SECONDS,
)
def test_the_stages_add_up_to_the_total_however_far_the_connection_came(
    gaps: list[float], blocked_s: float, proxy_ttft_s: float | None, content_after_s: float | None
) -> None:
    moments = list(accumulate(gaps, initial=1000.0))
    timeline = ConnectionTimeline(moments[0], ended=moments[-1], blocked_s=blocked_s)
    for name, moment in zip(MOMENTS, moments[1:-1], strict=False):
        setattr(timeline, name, moment)
    if timeline.asked is not None and content_after_s is not None:
        timeline.first_content = timeline.asked + content_after_s

    stages = timeline.stages(proxy_ttft_s)

    assert set(stages) == {*OWN_STAGES, "upstream"}
    assert sum(stages.values()) == pytest.approx(moments[-1] - moments[0], abs=1e-6)
    assert all(seconds >= 0 for seconds in stages.values())


def test_a_whole_connection_s_time_is_told_by_its_stages() -> None:
    stages = lived().stages(None)

    assert stages == {
        "pre": 0.25,
        "admission": 0.5,
        "connect": 0.25,
        "network": 0.0,
        "client_blocked": 0.0,
        "post": 0.5,
        "upstream": 10.0,
    }


def test_what_the_first_content_took_longer_to_get_here_is_the_network() -> None:
    stages = lived().stages(1.75)

    assert (stages["network"], stages["upstream"]) == (0.25, 9.75)


def test_a_proxy_that_says_more_than_we_measured_leaves_no_network() -> None:
    stages = lived().stages(99.0)

    assert (stages["network"], stages["upstream"]) == (0.0, 10.0)


def test_the_time_a_client_held_the_hop_up_is_its_own() -> None:
    timeline = lived()
    timeline.blocked_s = 4.0

    stages = timeline.stages(1.75)

    assert (stages["client_blocked"], stages["network"], stages["upstream"]) == (4.0, 0.25, 5.75)


@pytest.mark.parametrize(("tokens", "rate"), [(None, None), (0, None), (1, None), (2, 0.12), (81, 10.0)])
def test_the_rate_is_that_of_the_tokens_after_the_first(tokens: int | None, rate: float | None) -> None:
    assert lived().tokens_per_s(tokens, 8.0) == rate


def test_there_is_no_rate_without_content_unless_the_model_server_timed_what_came_at_once() -> None:
    unseen, at_once = ConnectionTimeline(1.0, ended=2.0), lived()
    at_once.last_content = at_once.first_content

    assert unseen.tokens_per_s(9, None) is None
    assert at_once.tokens_per_s(9, None) is None
    assert at_once.tokens_per_s(9, 4.5) == 2.0


# --- what the gateway itself adds


def test_what_the_gateway_added_leaves_out_the_admission_and_the_proxy_s_time() -> None:
    timeline = lived()

    assert timeline.added_first_token_s == pytest.approx(0.25 + 0.25 + 0.125)
    assert timeline.added_total_s == pytest.approx(0.25 + 0.25 + 0.0625)
    assert (timeline.first_chunk_s, timeline.upstream_s) == (2.0, 10.0)


def test_content_that_waited_for_the_client_s_headers_had_come_before() -> None:
    timeline = lived()
    timeline.first_heard = 102.75

    assert timeline.added_first_token_s == pytest.approx(0.25 + 0.25 + 0.375)
    assert timeline.first_chunk_s == 1.75


def test_the_time_that_a_client_held_the_hop_up_is_not_the_gateway_s() -> None:
    """The end is read only when the client takes bytes again: the call itself took that long."""
    timeline = lived()
    timeline.blocked_s = 5.0

    assert timeline.added_total_s == lived().added_total_s


def test_what_was_never_asked_written_or_answered_has_no_numbers() -> None:
    timeline = ConnectionTimeline(1.0, parsed=1.5, ended=2.0)

    assert (timeline.added_first_token_s, timeline.added_total_s) == (None, None)
    assert (timeline.first_chunk_s, timeline.upstream_s) == (None, None)


def test_a_call_that_was_cut_off_took_until_the_end() -> None:
    timeline = lived()
    timeline.answered = timeline.last_written = None

    assert timeline.upstream_s == 10.5
    assert timeline.added_total_s is None


def test_the_speed_of_an_answer_of_several_turns_is_within_its_turns() -> None:
    """A tool that took a minute is nobody's slow token, and no gap."""
    timeline, gaps = ConnectionTimeline(accepted=0.0), []
    for turn in ((10.0, 11.0, 12.0), (70.0, 71.0, 72.0)):
        for moment in turn:
            gap_s = timeline.content_came(moment, True)
            gaps.append(gap_s)
            if gap_s is None:
                timeline.turn_spoke(moment)
        timeline.turn_over()
        timeline.turn_over()  # a result of each of two calls

    assert gaps == [None, 1.0, 1.0, None, 1.0, 1.0]
    assert (timeline.max_gap_s, timeline.between_s) == (1.0, 58.0)
    assert timeline.tokens_per_s(6, None) == 5 / 4.0
    assert ConnectionTimeline(accepted=0.0).tokens_per_s(6, None) is None
