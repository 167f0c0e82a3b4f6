from math import inf

import pytest

from proxy.upstream.deadlines import NEXT_AFTER_S, Deadlines

DEADLINES = Deadlines(first_token_s=300.0, idle_s=45.0, total_s=600.0)
ASKED_AT = 1000.0
NEXT_AT = ASKED_AT + NEXT_AFTER_S
LATEST = ASKED_AT + DEADLINES.first_token_s
LOADED_AT = ASKED_AT + 100.0


@pytest.mark.parametrize(
    ("absent_at", "due"),
    [
        (-inf, NEXT_AT),
        (ASKED_AT - 1.0, NEXT_AT),
        (ASKED_AT + 1.0, NEXT_AT + 1.0),
        (LOADED_AT, LOADED_AT + NEXT_AFTER_S),
        (LATEST - 1.0, LATEST),
    ],
)
def test_where_another_follows_a_model_is_waited_for_through_its_load_and_as_long_behind_it(
    absent_at: float, due: float
) -> None:
    assert DEADLINES.first_token_due(ASKED_AT, absent_at, own_s=None, has_others=True) == due


@pytest.mark.parametrize("absent_at", [-inf, LOADED_AT])
def test_the_last_that_could_be_asked_has_all_the_time(absent_at: float) -> None:
    assert DEADLINES.first_token_due(ASKED_AT, absent_at, own_s=None, has_others=False) == LATEST


@pytest.mark.parametrize("has_others", [True, False])
def test_what_the_operator_says_counts_through_a_load_too(*, has_others: bool) -> None:
    assert DEADLINES.first_token_due(ASKED_AT, LOADED_AT, own_s=5.0, has_others=has_others) == ASKED_AT + 5.0


def test_a_proxy_that_waits_less_for_any_first_token_waits_less_here() -> None:
    short = Deadlines(first_token_s=5.0, idle_s=45.0, total_s=600.0)

    assert short.first_token_due(ASKED_AT, LOADED_AT, own_s=None, has_others=True) == ASKED_AT + 5.0
