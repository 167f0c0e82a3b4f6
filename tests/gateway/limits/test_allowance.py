import pytest

from gateway.guard.keys import Key
from gateway.limits.allowance import Allowance


def a_key(**fields: int) -> Key:
    return Key.model_validate({"id": "a1B2c3D4", "hash": "0" * 64, "name": "Ada", **fields})


def test_a_key_without_limits_allows_everything() -> None:
    assert Allowance.of(a_key()) == Allowance()


@pytest.mark.parametrize(
    ("per_minute", "burst", "at_once"), [(1, None, 1), (45, None, 1), (60, None, 2), (600, None, 20), (600, 5, 5)]
)
def test_two_seconds_of_requests_may_come_at_once_unless_the_key_says_how_many(
    per_minute: int, burst: int | None, at_once: int
) -> None:
    said = {} if burst is None else {"burst": burst}

    assert Allowance.of(a_key(requests_per_minute=per_minute, **said)).burst == at_once


def test_a_gateway_s_share_is_the_limit_by_their_number_and_one_at_least() -> None:
    whole = Allowance.of(a_key(streams=3, requests_per_minute=600, tokens_per_day=1000))

    assert whole.share(1) == whole
    assert whole.share(4) == Allowance(streams=1, requests_per_minute=150, burst=5, tokens_per_day=250)
    assert Allowance().share(4) == Allowance()
