from collections import Counter
from itertools import product

import pytest

from gateway.relay.choice import choose, choose_by_key
from gateway.relay.standing import Standing, State

TINY, BIG = "tiny:latest", "big:latest"
BOTH = frozenset({TINY, BIG})
CHANCES = [(first, second) for first, second in product((0.0, 0.3, 0.5, 0.7, 0.999), repeat=2)]


def ready(models: frozenset[str] | None = BOTH, **streams: int) -> Standing:
    return Standing(State.READY, models, {f"{model}:latest": count for model, count in streams.items()})


def firsts(model: str = TINY, **proxies: Standing) -> set[str]:
    """Whoever chance lets be asked first."""
    return {choose(proxies, model, chances)[0] for chances in CHANCES}


def in_any_order(model: str = TINY, **proxies: Standing) -> set[frozenset[str]]:
    return {frozenset(choose(proxies, model, chances)) for chances in CHANCES}


@pytest.mark.parametrize("standing", [Standing(State.AWAY), Standing(State.DRAINING), ready(), ready(frozenset())])
def test_the_only_one_is_asked_however_it_stands(standing: Standing) -> None:
    """Its own words say best why it cannot."""
    assert choose({"": standing}, TINY, (0.5, 0.5)) == [""]


@pytest.mark.parametrize("state", [State.AWAY, State.DRAINING, State.MISNAMED, State.UNKNOWN])
def test_who_is_not_ready_gets_none_while_another_is(state: State) -> None:
    assert in_any_order(a=Standing(state, BOTH), b=ready(tiny=50)) == {frozenset("b")}


def test_who_has_not_the_model_gets_none_while_another_has_it() -> None:
    assert in_any_order(BIG, a=ready(frozenset({TINY})), b=ready(big=50)) == {frozenset("b")}


def test_a_model_whose_only_proxy_is_away_is_not_asked_of_one_that_does_not_know_it() -> None:
    """It would say that there is no such model; it is only away."""
    assert in_any_order(BIG, a=ready(frozenset({TINY})), b=Standing(State.AWAY, BOTH)) == {frozenset("b")}


def test_of_a_model_that_nobody_lists_anybody_who_is_ready_may_say_so() -> None:
    assert in_any_order("new:latest", a=ready(), b=ready(), c=Standing(State.AWAY, BOTH)) == {frozenset("ab")}


def test_where_nobody_is_ready_each_may_say_why() -> None:
    assert in_any_order(a=Standing(State.DRAINING, BOTH), b=Standing(State.AWAY, BOTH)) == {frozenset("ab")}


def test_where_none_is_the_one_that_is_meant_nobody_is_asked() -> None:
    assert in_any_order(a=Standing(State.MISNAMED), b=Standing(State.UNKNOWN)) == {frozenset()}


def test_of_two_the_less_loaded_is_asked_first_and_the_other_next() -> None:
    assert {tuple(choose({"a": ready(tiny=2), "b": ready(tiny=1)}, TINY, chances)) for chances in CHANCES} == {
        ("b", "a")
    }


def test_streams_of_the_same_model_weigh_more_than_those_of_others() -> None:
    """Permits are a model's: beside three of another it begins at once, behind one of its own it waits."""
    assert firsts(a=ready(tiny=1), b=ready(big=3)) == {"b"}
    assert firsts(a=ready(tiny=1, big=1), b=ready(tiny=1)) == {"b"}


def test_of_equals_chance_takes_each() -> None:
    assert firsts(a=ready(), b=ready(), c=ready()) == set("abc")


def test_the_most_loaded_is_never_first() -> None:
    assert firsts(a=ready(tiny=1), b=ready(tiny=2), c=ready(tiny=3)) == {"a", "b"}


def test_each_is_asked_once() -> None:
    proxies = {name: ready(tiny=number) for number, name in enumerate("abcde")}

    assert {tuple(sorted(choose(proxies, TINY, chances))) for chances in CHANCES} == {tuple("abcde")}


# --- by an Idempotency-Key


KEYS = [f"key-{number}" for number in range(300)]


def by_key(key: str, owner: str = "ada", **proxies: Standing) -> list[str]:
    return choose_by_key(proxies, TINY, owner, key)


def test_one_key_leads_to_one_proxy_whatever_it_has_to_do_and_wherever_it_stands_in_the_list() -> None:
    for key in KEYS:
        assert by_key(key, a=ready(), b=ready(tiny=9), c=ready()) == by_key(key, c=ready(tiny=3), b=ready(), a=ready())


def test_keys_and_owners_are_spread_over_all() -> None:
    spread = Counter(by_key(key, a=ready(), b=ready(), c=ready())[0] for key in KEYS)
    owners = {by_key(KEYS[0], f"owner {number}", a=ready(), b=ready(), c=ready())[0] for number in range(50)}

    assert min(spread[name] for name in "abc") > len(KEYS) // 6
    assert owners == set("abc")


def test_a_proxy_that_goes_takes_no_key_from_another() -> None:
    for key in KEYS:
        with_c, without = (by_key(key, a=ready(), b=ready(), c=one) for one in (ready(), Standing(State.AWAY, BOTH)))

        assert without == [name for name in with_c if name != "c"]


def test_one_that_drains_is_asked_as_before_for_it_may_hold_the_answer() -> None:
    for key in KEYS:
        assert by_key(key, a=ready(), b=ready()) == by_key(key, a=Standing(State.DRAINING, BOTH), b=ready())
