import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.streams.fair_line import FairLine


def entered(*names: str) -> FairLine[str]:
    """Return a line that these have entered; the owner of `a2` is `a`."""
    line: FairLine[str] = FairLine()
    for name in names:
        line.enter(name[0], name)
    return line


def served(line: FairLine[str]) -> list[str]:
    return [line.next() for _ in range(len(line))]


@pytest.mark.parametrize(
    ("came", "order"),
    [
        ("", ""),
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 b1 c1", "a1 b1 c1"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"),
        ("a1 b1 b2 b3 a2", "a1 b1 a2 b2 b3"),
    ],
)
def test_owners_take_turns_and_one_owner_s_go_in_the_order_of_their_coming(came: str, order: str) -> None:
    line = entered(*came.split())

    assert list(line) == order.split()
    assert served(line) == order.split()
    assert len(line) == 0


def test_whose_answer_runs_is_behind_who_comes_meanwhile() -> None:
    line = entered()
    line.served("a")
    for name in ("a1", "a2", "b1", "c1"):
        line.enter(name[0], name)

    assert list(line) == ["b1", "c1", "a1", "a2"]


def test_who_comes_behind_another_s_turn_waits_for_those_who_wait() -> None:
    """Or people who come without end would pass by who has waited long."""
    line = entered("a1", "b1")
    line.served("a")
    first = line.next()
    line.enter("c", "c1")

    assert (first, list(line)) == ("b1", ["a1", "c1"])


def test_who_leaves_keeps_the_turn_of_its_owner_s_others() -> None:
    line = entered("a1", "a2", "b1", "c1")

    assert line.leave("a", "a1")
    assert not line.leave("a", "a1")
    assert not line.leave("d", "d1")
    assert list(line) == ["a2", "b1", "c1"]


@pytest.mark.parametrize(
    ("came", "owner", "displaced"),
    [
        ("", "b", None),
        ("a1", "b", None),
        ("a1 a2", "b", "a2"),
        ("a1 a2 a3 b1", "b", "a3"),
        ("a1 a2 b1", "b", None),
        ("a1 a2 a3", "a", None),
    ],
)
def test_the_greediest_is_who_has_more_even_when_the_newcomer_is_in(
    came: str, owner: str, displaced: str | None
) -> None:
    assert entered(*came.split()).greediest_but(owner) == displaced


def test_who_has_an_answer_already_stands_before_all_others_first_come_first_served() -> None:
    line = entered("a1", "a2", "b1")
    for name in ("a3", "c1"):
        line.enter_first(name)

    assert list(line) == ["a3", "c1", "a1", "b1", "a2"]
    assert (len(line), line.position_of_new("c"), line.position_of_new("a")) == (5, 5, 6)
    assert line.leave("c", "c1")
    assert not line.leave("c", "c1")
    assert served(line) == ["a3", "a1", "b1", "a2"]


def test_nobody_loses_a_place_that_an_answer_needs_to_go_on() -> None:
    line: FairLine[str] = FairLine()
    line.enter_first("a1")

    assert line.greediest_but("b") is None


OWNERS = st.sampled_from("abcd")


@given(st.lists(st.tuples(st.sampled_from(["enter", "enter", "next", "leave", "served"]), OWNERS), max_size=60))
def test_whatever_happens_positions_are_true_and_each_other_is_served_once_before_one_s_turn(
    steps: list[tuple[str, str]],
) -> None:
    line: FairLine[str] = FairLine()
    passed_by: dict[str, list[str]] = {}  # who was served while this owner waited
    for number, (step, owner) in enumerate(steps):
        waiting = list(line)
        if step == "enter":
            foretold, name = line.position_of_new(owner), f"{owner}{number}"
            line.enter(owner, name)
            passed_by.setdefault(owner, [])
            assert list(line).index(name) + 1 == foretold
        elif step == "next" and waiting:
            chosen = line.next()
            assert chosen == waiting[0]
            for others in passed_by.values():
                others.append(chosen[0])
            passed_by[chosen[0]] = []
        elif step == "leave" and waiting:
            line.leave(waiting[-1][0], waiting[-1])
        elif step == "served" and not waiting:
            line.served(owner)
        here = {name[0] for name in line}
        passed_by = {one: others for one, others in passed_by.items() if one in here}

        assert len(line) == len(list(line))
        assert all(len(others) == len(set(others)) for others in passed_by.values())
