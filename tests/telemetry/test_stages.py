import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.telemetry.stages import milliseconds, output_rate, spread

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


RATES = [
    # tokens, first and last, pieces, decode_s -> rate
    ("the steps between tokens", 11, (1.0, 2.0), 11, 1.0, 10.0),
    ("two tokens have one step", 2, (0.0, 0.5), 2, 0.5, 2.0),
    ("the model server's durations are not needed", 11, (1.0, 2.0), 11, None, 10.0),
    ("one token has no pace", 1, (0.0, 1.0), 1, 1.0, None),
    ("no token has none", 0, (0.0, 1.0), 1, 1.0, None),
    ("without a count there is none", None, (0.0, 1.0), 9, 1.0, None),
    ("two pieces of 200 tokens", 200, (5.0, 5.001), 2, 10.0, 20.0),
    ("all of it in one read", 200, (5.0, 5.0), 1, 10.0, 20.0),
    ("just fewer than half as many pieces as tokens", 21, (0.0, 2.0), 10, 3.0, 7.0),
    ("half as many", 20, (0.0, 2.0), 10, 3.0, 9.5),
    ("within half of the decoding", 21, (0.0, 2.0), 21, 4.0, 5.25),
    ("just not within half of it", 21, (0.0, 2.0), 21, 3.9, 10.0),
    ("a burst whose decoding nobody timed", 200, (5.0, 5.001), 2, None, None),
    ("a burst that took no time to decode", 200, (5.0, 5.0), 200, 0.0, None),
    ("no content, but tokens that were not shown", 40, (None, None), 0, 2.0, 20.0),
    ("nothing at all is known", 5, (None, None), 0, None, None),
]


@pytest.mark.parametrize(
    ("tokens", "moments", "pieces", "decode_s", "rate"), [row[1:] for row in RATES], ids=[row[0] for row in RATES]
)
def test_a_rate_is_of_what_came_or_of_a_burst_what_the_model_server_says(
    tokens: int | None,
    moments: tuple[float | None, float | None],
    pieces: int,
    decode_s: float | None,
    rate: float | None,
) -> None:
    assert output_rate(tokens, *moments, pieces=pieces, decode_s=decode_s) == rate


@pytest.mark.parametrize(("seconds", "shown"), [(1.23456, 1234.6), (0.0, 0.0), (None, None)])
def test_milliseconds_go_to_a_tenth(seconds: float | None, shown: float | None) -> None:
    assert milliseconds(seconds) == shown
