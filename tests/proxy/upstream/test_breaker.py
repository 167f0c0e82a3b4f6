import random

import pytest

from proxy.upstream.breaker import FAILURES_IN_A_ROW, LONGEST_OPEN_S, OPEN_S, Breaker, State


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(now, probe=False, chance=0.5)
    return breaker


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    """U14."""
    breaker = Breaker()
    before = [breaker.failed(1.0, probe=False, chance=0.5) for _ in range(FAILURES_IN_A_ROW - 1)]
    fifth = breaker.failed(1.0, probe=False, chance=0.5)

    assert (before, fifth) == ([False] * 4, True)
    assert (breaker.state(1.0), breaker.lets_in(1.0)) == (State.OPEN, False)


def test_a_success_between_begins_the_row_anew() -> None:
    breaker = Breaker()
    for _ in range(2):
        for _ in range(FAILURES_IN_A_ROW - 1):
            breaker.failed(1.0, probe=False, chance=0.5)
        breaker.succeeded(1.0, probe=False)

    assert breaker.state(1.0) is State.CLOSED


@pytest.mark.parametrize(("apart_s", "opens"), [(0.5, True), (2.0, False)])
def test_more_than_half_of_ten_calls_in_ten_seconds_open_it(apart_s: float, *, opens: bool) -> None:
    breaker, now = Breaker(), 0.0
    for failed in [True, True, False] * 4:
        now += apart_s
        if failed:
            breaker.failed(now, probe=False, chance=0.5)
        else:
            breaker.succeeded(now, probe=False)

    assert (breaker.state(now) is State.OPEN) is opens


def test_half_open_one_call_tries_and_its_content_closes_it() -> None:
    """U15."""
    breaker = opened()
    early, later = breaker.lets_in(OPEN_S - 1), breaker.lets_in(OPEN_S + 1)
    probe, second = breaker.began(OPEN_S + 1), breaker.began(OPEN_S + 1)
    meanwhile = breaker.lets_in(OPEN_S + 1)
    breaker.succeeded(OPEN_S + 2, probe=True)

    assert (early, later, probe, second, meanwhile) == (False, True, True, False, False)
    assert (breaker.state(OPEN_S + 2), breaker.began(OPEN_S + 2)) == (State.CLOSED, False)


def test_a_try_that_fails_opens_it_twice_as_long_up_to_five_minutes() -> None:
    """U16."""
    breaker, now, lengths = opened(), 0.0, []
    for _ in range(6):
        since = now
        while not breaker.lets_in(now):
            now += 1.0
        lengths.append(now - since)
        assert breaker.began(now)
        assert breaker.failed(now, probe=True, chance=0.5)

    assert lengths == [30.0, 60.0, 120.0, 240.0, LONGEST_OPEN_S, LONGEST_OPEN_S]


def test_a_caller_that_leaves_gives_its_try_back() -> None:
    breaker = opened()
    breaker.began(OPEN_S + 1)
    breaker.let_go(probe=True)

    assert breaker.lets_in(OPEN_S + 1)


def test_a_call_of_before_says_nothing_about_an_open_breaker() -> None:
    breaker = opened()
    breaker.succeeded(1.0, probe=False)
    again = breaker.failed(1.0, probe=False, chance=0.5)
    breaker.let_go(probe=False)

    assert (breaker.state(1.0), again) == (State.OPEN, False)


def test_a_server_that_is_seen_to_answer_is_tried_at_once() -> None:
    breaker, closed = opened(), Breaker()
    breaker.try_now(2.0)
    closed.try_now(2.0)

    assert (breaker.state(2.0), closed.state(2.0)) == (State.HALF_OPEN, State.CLOSED)


@pytest.mark.parametrize(("chance", "open_s"), [(0.0, 27.0), (0.999999, 33.0)])
def test_how_long_it_is_open_is_jittered(chance: float, open_s: float) -> None:
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(0.0, probe=False, chance=chance)

    assert not breaker.lets_in(open_s - 0.01)
    assert breaker.lets_in(open_s + 0.01)


def test_in_a_thousand_races_there_is_never_more_than_one_try() -> None:
    """U16: calls come, end and leave in any order."""
    for seed in range(1000):
        dice = random.Random(seed)
        breaker, now, probes = opened(), OPEN_S * 2, 0
        for _ in range(30):
            now += dice.random()
            if probes and dice.random() < 0.4:
                probes -= 1
                end = dice.choice(["content", "failed", "left"])
                if end == "content":
                    breaker.succeeded(now, probe=True)
                    break
                if end == "left":
                    breaker.let_go(probe=True)
                else:
                    breaker.failed(now, probe=True, chance=dice.random())
                    now += 2 * LONGEST_OPEN_S
            elif breaker.lets_in(now):
                probes += breaker.began(now)
            assert probes <= 1
