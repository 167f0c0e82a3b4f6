"""Permits of the further turns of answers: before all whose answer has not begun, and never refused."""

from proxy.streams.permits import Admission

MODEL = "llama3.2"


def admission(*, queue_length: int = 8) -> Admission:
    return Admission(permits=1, queue_length=queue_length, queue_timeout_s=120)


async def test_a_free_permit_is_granted_at_once_and_is_nobody_s_turn_in_line() -> None:
    line = admission()
    again = line.enter_again(MODEL, "a")
    newcomers = [line.enter(MODEL, owner, chance=0.5) for owner in ("a", "b")]

    assert again.granted.done()
    assert [place.position for place in newcomers] == [1, 2]


async def test_a_further_turn_stands_before_newcomers_and_they_are_told() -> None:
    line = admission()
    first, newcomer = (line.enter(MODEL, owner, chance=0.5) for owner in ("a", "b"))
    moved: list[int] = []
    newcomer.moved = moved.append

    again = line.enter_again(MODEL, "c")
    assert (again.position, moved) == (1, [2])
    first.leave()

    assert (again.granted.done(), newcomer.granted.done(), moved) == (True, False, [2, 1])
    assert (line.held, line.waiting) == (1, 1)


async def test_a_full_line_refuses_no_further_turn_and_takes_no_place_from_it() -> None:
    line = admission(queue_length=0)
    first = line.enter(MODEL, "a", chance=0.5)

    again = line.enter_again(MODEL, "a")
    first.leave()

    assert again.granted.done()
    again.leave()
    line.left(MODEL, 1.0)
    assert line.asked_by_model == {}
