import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.stages import milliseconds, output_rate, spread

NAMES = ("pre", "wait", "decode", "post")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=4).map(sorted), st.integers(0, 4), st.floats(0, 10))
def test_stages_add_up_to_the_total_whatever_has_happened(moments: list[float], happened: int, rest: float) -> None:
    end = moments[-1] + rest
    ends = [moment if at < happened else None for at, moment in enumerate(moments)]
    steps = [*zip(NAMES, ends, strict=False), ("post", end)]

    spent = spread(0.0, end, steps, NAMES)

    assert sum(spent.values()) == pytest.approx(end)


def test_what_is_left_belongs_to_the_first_stage_that_has_not_ended() -> None:
    spent = spread(10.0, 20.0, [("pre", 11.0), ("wait", None), ("decode", None)], NAMES)

    assert spent == {"pre": 1.0, "wait": 9.0, "decode": 0.0, "post": 0.0}


def test_a_stage_that_comes_twice_has_both_its_times() -> None:
    spent = spread(0.0, 6.0, [("wait", 1.0), ("pre", 3.0), ("wait", 6.0)], NAMES)

    assert spent["wait"] == 4.0


@pytest.mark.parametrize(
    ("tokens", "first", "last", "rate"),
    [(11, 1.0, 2.0, 10.0), (2, 0.0, 0.5, 2.0), (1, 0.0, 1.0, None), (None, 0.0, 1.0, None), (5, None, None, None)],
)
def test_a_rate_is_of_the_steps_between_tokens(
    tokens: int | None, first: float | None, last: float | None, rate: float | None
) -> None:
    assert output_rate(tokens, first, last) == rate


def test_tokens_that_came_at_once_have_no_rate() -> None:
    assert output_rate(10, 3.0, 3.0) is None


@pytest.mark.parametrize(("seconds", "shown"), [(1.23456, 1234.6), (0.0, 0.0), (None, None)])
def test_milliseconds_go_to_a_tenth(seconds: float | None, shown: float | None) -> None:
    assert milliseconds(seconds) == shown
