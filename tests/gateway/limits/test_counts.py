import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.allowance import Allowance
from gateway.limits.counts import Counts, Limit, Verdict
from gateway.limits.day import Day

TODAY, TOMORROW = Day("2026-11-28", 3600.0), Day("2026-11-29", 86_400.0)
NONE = Allowance()


def admitted(counts: Counts, allowance: Allowance, lease: str, tokens: int = 0, *, day: Day = TODAY) -> Verdict:
    return counts.admit("Ada", allowance, lease, tokens, day=day, now=0.0)


def test_without_limits_everything_is_let_in_with_the_tokens_that_it_wishes() -> None:
    counts = Counts()

    assert [admitted(counts, NONE, f"{number}", 512) for number in range(100)] == [Verdict(tokens=512)] * 100


def test_streams_at_once_are_counted_by_principal_and_come_back_when_released() -> None:
    counts, two = Counts(), Allowance(streams=2)
    got = [admitted(counts, two, lease).passed_limit for lease in "abc"]
    another = counts.admit("Bob", two, "d", 0, day=TODAY, now=0.0).passed_limit
    counts.release("Ada", "a")
    counts.release("Ada", "a")

    assert (got, another) == ([None, None, Limit.STREAMS], None)
    assert admitted(counts, two, "c").passed_limit is None
    assert admitted(counts, two, "e").passed_limit is Limit.STREAMS
    assert counts.standing("Ada", TODAY).streams == 2


def test_a_stream_that_runs_is_held_whatever_its_principal_may_have() -> None:
    counts, one = Counts(), Allowance(streams=1)
    admitted(counts, one, "a")
    counts.hold("Ada", "b")
    counts.release("Ada", "a")

    assert admitted(counts, one, "c").passed_limit is Limit.STREAMS
    assert counts.leases() == [("Ada", "b", 0)]


def test_tokens_are_set_aside_at_the_start_and_booked_as_they_were_used() -> None:
    counts, thousand = Counts(), Allowance(tokens_per_day=1000)
    granted = [admitted(counts, thousand, lease, 600).tokens for lease in "ab"]
    refused = admitted(counts, thousand, "c", 600)
    counts.release("Ada", "a")
    counts.book("Ada", 100, TODAY)

    assert granted == [600, 400]
    assert refused == Verdict(Limit.TOKENS)
    assert thousand.tokens_left(counts.standing("Ada", TODAY)) == 500
    assert NONE.tokens_left(counts.standing("Ada", TODAY)) is None


def test_a_request_that_used_more_than_it_had_leaves_nothing_and_owes_nothing_tomorrow() -> None:
    """A prompt is counted, too, and nobody knows its length before."""
    counts, hundred = Counts(), Allowance(tokens_per_day=100)
    admitted(counts, hundred, "a", 100)
    counts.release("Ada", "a")
    counts.book("Ada", 5000, TODAY)

    assert admitted(counts, hundred, "b", 1).passed_limit is Limit.TOKENS
    assert admitted(counts, hundred, "b", 600, day=TOMORROW).tokens == 100
    counts.book("Ada", 10, TOMORROW)
    assert hundred.tokens_left(counts.standing("Ada", TOMORROW)) == 0


def test_a_request_counts_whatever_then_refuses_it_but_not_one_that_comes_too_early() -> None:
    counts, allowance = Counts(), Allowance(streams=1, requests_per_minute=60, burst=3)
    verdicts = [admitted(counts, allowance, lease) for lease in "abcd"]

    assert [one.passed_limit for one in verdicts] == [None, Limit.STREAMS, Limit.STREAMS, Limit.RATE]
    assert [one.rate.remaining for one in verdicts if one.rate] == [2, 1, 0, 0]
    assert verdicts[-1].rate is not None
    assert verdicts[-1].rate.wait_s == pytest.approx(1.0)


def test_a_refused_request_has_no_lease() -> None:
    counts, nothing_left = Counts(), Allowance(tokens_per_day=1)
    counts.book("Ada", 1, TODAY)
    admitted(counts, nothing_left, "a", 10)

    assert counts.standing("Ada", TODAY).streams == 0


def test_a_rate_that_is_whole_again_is_forgotten() -> None:
    counts, slow = Counts(), Allowance(requests_per_minute=1)
    for number in range(1000):
        counts.count(f"owner-{number}", slow, 0.0)
    counts.forget_idle(61.0)

    assert counts._tats == {}  # noqa: SLF001 nothing else shows what is remembered
    assert counts.count("owner-1", slow, 61.0).passed_limit is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 400)), max_size=60))
def test_whatever_comes_and_goes_no_more_run_or_are_set_aside_than_may(steps: list[tuple[bool, int, int]]) -> None:
    counts, allowance = Counts(), Allowance(streams=4, tokens_per_day=1000)
    running: dict[str, int] = {}
    booked = 0
    for comes, number, tokens in steps:
        lease = f"{number}"
        if comes and lease not in running:
            verdict = admitted(counts, allowance, lease, tokens)
            if verdict.passed_limit is None:
                running[lease] = verdict.tokens
        elif not comes and lease in running:
            counts.release("Ada", lease)
            used = min(tokens, running.pop(lease))
            counts.book("Ada", used, TODAY)
            booked += used
        assert counts.standing("Ada", TODAY).streams == len(running) <= 4
        assert booked + sum(running.values()) <= 1000
        assert allowance.tokens_left(counts.standing("Ada", TODAY)) == 1000 - booked - sum(running.values())
