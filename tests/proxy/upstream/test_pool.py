import random
from collections import Counter

import pytest

from proxy.upstream.pool import Standing, chosen

RESIDENT = Standing(is_resident=True, lists=True)
FREE = Standing(lists=True)


def at(standing: Standing, **more: object) -> Standing:
    return Standing(**{name: getattr(standing, name) for name in Standing.__slots__} | more)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"a": FREE}, "a"),
        ({"a": FREE, "b": RESIDENT}, "b"),
        ({"a": at(RESIDENT, in_flight=1), "b": FREE}, "b"),
        ({"a": at(FREE, lists=False), "b": FREE}, "b"),
        ({"a": at(FREE, loaded_bytes=9), "b": at(FREE, loaded_bytes=5)}, "b"),
        ({"a": at(FREE, evicts=True), "b": at(FREE, loaded_bytes=5)}, "b"),
        ({"a": at(FREE, evicts=True, evicts_warm=True), "b": at(FREE, evicts=True, loaded_bytes=5)}, "b"),
        ({"a": at(FREE, evicts=True, evicts_warm=True), "b": at(FREE, in_flight=1)}, "a"),
        ({"a": at(RESIDENT, in_flight=4, permits=2), "b": at(FREE, in_flight=3, permits=2)}, "b"),
        ({"a": at(FREE, lists=False, in_flight=1), "b": at(FREE, in_flight=2)}, "b"),
        ({"a": at(FREE, lists=False, in_flight=2), "b": at(FREE, lists=False, in_flight=1)}, "b"),
    ],
)
def test_the_table_of_who_is_asked(members: dict[str, Standing], expected: str) -> None:
    """In memory with a free permit; else free, where it fits and the least is loaded; else the shortest line."""
    assert chosen(members, 0.0) == expected


def test_of_two_with_the_model_in_memory_the_one_with_less_under_way_is_asked_whatever_chance_says() -> None:
    members = {"a": at(RESIDENT, in_flight=3, permits=9), "b": at(RESIDENT, in_flight=1, permits=9)}

    assert {chosen(members, chance / 10) for chance in range(10)} == {"b"}


def test_each_pair_is_drawn_alike() -> None:
    members = {name: at(RESIDENT, in_flight=number, permits=9) for number, name in enumerate("abc")}
    drawn = Counter(chosen(members, chance / 600) for chance in range(600))

    assert drawn == {"a": 400, "b": 200}  # the fullest of the three is never asked


def test_one_of_three_that_is_ten_times_slower_gets_at_most_15_percent() -> None:
    """U17: calls come and go, and it is known by what it has under way alone."""
    dice, slow = random.Random(7), "c"
    running: dict[str, list[int]] = {name: [] for name in "abc"}
    asked: Counter[str] = Counter()
    for now in range(3000):
        for name, ends in running.items():
            running[name] = [end for end in ends if end > now]
        members = {name: at(RESIDENT, in_flight=len(ends), permits=64) for name, ends in running.items()}
        one = chosen(members, dice.random())
        asked[one] += 1
        running[one].append(now + (100 if one == slow else 10))

    assert asked[slow] / asked.total() <= 0.15
