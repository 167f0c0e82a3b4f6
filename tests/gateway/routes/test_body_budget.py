import contextlib

import pytest

from gateway.routes.body_budget import MOST_BYTES, BodyBudget
from services.wire.events import ApiError, Code


def test_bodies_fit_up_to_the_bound_together_and_give_their_room_back() -> None:
    budget = BodyBudget()
    for _ in range(3):
        with budget.reading() as first, budget.reading() as second:
            first(MOST_BYTES // 2)
            second(MOST_BYTES // 2)


def test_the_piece_that_does_not_fit_is_refused_as_overloaded_and_takes_no_room() -> None:
    budget = BodyBudget(10)
    with budget.reading() as first:
        first(6)
        with budget.reading() as second:
            second(4)
            with pytest.raises(ApiError) as refused:
                second(1)
        with budget.reading() as third:
            third(4)

    assert refused.value.failed.code is Code.OVERLOADED
    assert refused.value.retry_after_s


def test_a_reading_that_fails_gives_its_room_back() -> None:
    budget = BodyBudget(10)
    with contextlib.suppress(ConnectionError), budget.reading() as came:
        came(10)
        raise ConnectionError

    with budget.reading() as came:
        came(10)
