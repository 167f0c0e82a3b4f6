import pytest

from services.telemetry.timeline import Timeline


def test_the_first_content_has_no_gap_and_each_later_one_that_from_the_one_before() -> None:
    timeline = Timeline(1.0)

    gaps = [timeline.content_came(now, True) for now in (3.0, 3.5, 5.5, 5.75)]

    assert gaps == [None, 0.5, 2.0, 0.25]
    assert (timeline.first_content, timeline.last_content) == (3.0, 5.75)
    assert (timeline.content_reads, timeline.max_gap_s) == (4, 2.0)


def test_the_answer_begins_with_the_first_content_that_is_no_thinking() -> None:
    timeline = Timeline(1.0)

    for now, answers in ((2.0, False), (3.0, False), (4.0, True), (5.0, False), (6.0, True)):
        timeline.content_came(now, answers)

    assert (timeline.first_content, timeline.first_answer, timeline.last_content) == (2.0, 4.0, 6.0)


def test_of_content_that_never_came_nothing_is_told() -> None:
    timeline = Timeline(1.0, asked=2.0, ended=5.0)

    assert (timeline.first_chunk_s, timeline.upstream_s) == (None, 3.0)
    assert (timeline.added_first_token_s, timeline.added_total_s) == (None, None)
    assert timeline.tokens_per_s(9, None) is None


@pytest.mark.parametrize(
    ("reads", "reasoning_tokens", "tokens_per_s"),
    [
        ([(2.0, True), (3.0, True), (6.0, True)], 10, 1.0),
        ([(2.0, False), (3.0, True), (6.0, True)], None, 3.5),
        ([(2.0, False), (3.0, True), (6.0, True)], 10, 3.5),
        ([(2.0, False), (3.0, False), (6.0, False)], 10, 3.5),
    ],
    ids=["hidden", "not counted", "shown", "all there is"],
)
def test_the_rate_leaves_out_what_was_thought_and_not_shown(
    reads: list[tuple[float, bool]], reasoning_tokens: int | None, tokens_per_s: float
) -> None:
    timeline = Timeline(1.0, content_reads=5)
    for now, answers in reads:
        timeline.content_came(now, answers)

    assert timeline.tokens_per_s(15, None, reasoning_tokens) == tokens_per_s


@pytest.mark.parametrize("from_start", [True, False])
def test_of_a_replay_only_its_length_and_its_call_are_told(from_start: bool) -> None:
    timeline = Timeline(10.0, parsed=10.25, admitted=11.25, asked=11.5, answered=19.0, ended=20.0)
    timeline.content_came(13.5, False)
    timeline.first_written = 13.625
    timeline.content_came(16.5, True)
    timeline.last_written = 19.25

    spans = timeline.spans(from_start=from_start)

    assert spans == {
        "duration_s": 10.0,
        "upstream_s": 7.5,
        "ttft_s": 3.5 if from_start else None,
        "first_answer_s": 6.5 if from_start else None,
        "max_gap_s": 3.0 if from_start else None,
        "first_chunk_s": 2.0 if from_start else None,
        "added_first_token_s": 0.625 if from_start else None,
        "added_total_s": 0.75 if from_start else None,
    }
