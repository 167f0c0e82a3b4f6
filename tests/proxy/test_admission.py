import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.admission import Admission, LineFull, Place

MODEL = "llama3.2"


def entered(admission: Admission, count: int, model: str = MODEL) -> list[Place]:
    return [admission.enter(model, chance=0.5) for _ in range(count)]


def granted(places: list[Place]) -> list[bool]:
    return [place.granted.done() for place in places]


def noting(moves: list[tuple[int, int]], who: int) -> Callable[[int], None]:
    return lambda position: moves.append((who, position))


async def test_a_free_permit_is_granted_at_once() -> None:
    admission = Admission(permits=2, queue_length=8)

    places = entered(admission, 2)

    assert granted(places) == [True, True]
    assert (admission.held, admission.waiting) == (2, 0)


async def test_who_came_first_is_granted_first() -> None:
    admission = Admission(permits=1, queue_length=8)
    places = entered(admission, 4)
    order = []

    for turn in range(4):
        order.append(granted(places))
        places[turn].leave()

    assert order == [[waits <= turn for waits in range(4)] for turn in range(4)]
    assert (admission.held, admission.waiting) == (0, 0)


@pytest.mark.parametrize(
    "spelled", ["llama3.2:latest", "LLAMA3.2", "library/llama3.2", "registry.ollama.ai/library/llama3.2"]
)
async def test_the_spellings_of_a_model_share_its_permits(spelled: str) -> None:
    admission = Admission(permits=1, queue_length=8)
    [first], [second] = entered(admission, 1), entered(admission, 1, spelled)
    before = granted([first, second])
    first.leave()
    admission.left(MODEL, 1.0)

    assert before == [True, False]
    assert granted([second]) == [True]
    second.leave()
    admission.left(spelled, 1.0)
    assert (admission.held, admission.waiting) == (0, 0)


async def test_places_in_line_are_counted_from_one_and_a_permit_has_none() -> None:
    admission = Admission(permits=1, queue_length=8)

    places = entered(admission, 3)

    assert [place.position for place in places] == [None, 1, 2]


async def test_each_who_moves_up_is_told_its_new_place_once() -> None:
    admission = Admission(permits=1, queue_length=8)
    places = entered(admission, 4)
    moves: list[tuple[int, int]] = []
    for who, place in enumerate(places):
        place.moved = noting(moves, who)

    places[0].leave()

    assert moves == [(2, 1), (3, 2)]


async def test_who_leaves_the_line_moves_up_only_those_behind() -> None:
    admission = Admission(permits=1, queue_length=8)
    places = entered(admission, 4)

    places[2].leave()

    assert [place.position for place in (places[1], places[3])] == [1, 2]
    assert granted(places) == [True, False, False, False]
    places[0].leave()
    assert granted(places) == [True, True, False, False]


async def test_a_place_left_twice_is_given_back_once() -> None:
    admission = Admission(permits=1, queue_length=8)
    places = entered(admission, 3)

    places[0].leave()
    places[0].leave()

    assert granted(places) == [True, True, False]
    assert (admission.held, admission.waiting) == (1, 1)


async def test_a_full_line_refuses_and_changes_nothing() -> None:
    admission = Admission(permits=1, queue_length=2)
    places = entered(admission, 3)

    with pytest.raises(LineFull):
        admission.enter(MODEL, chance=0.5)

    assert (admission.held, admission.waiting) == (1, 2)
    places[1].leave()
    assert admission.enter(MODEL, chance=0.5).position == 2


async def test_a_line_of_no_length_refuses_whoever_finds_no_permit() -> None:
    admission = Admission(permits=1, queue_length=0)
    entered(admission, 1)

    with pytest.raises(LineFull):
        admission.enter(MODEL, chance=0.5)


async def test_each_model_has_a_line_of_its_own() -> None:
    admission = Admission(permits=1, queue_length=8)

    busy, other = entered(admission, 2), entered(admission, 1, "mistral")

    assert granted([*busy, *other]) == [True, False, True]
    assert (admission.held, admission.waiting) == (2, 1)


async def test_a_waiter_that_gave_up_is_passed_over_when_its_turn_comes() -> None:
    """A cancelled wait leaves its future done; the permit it may get meanwhile is given back by its leaving."""
    admission = Admission(permits=1, queue_length=8)
    places = entered(admission, 3)
    places[1].granted.cancel()

    places[0].leave()
    places[1].leave()

    assert places[2].granted.done()
    assert (admission.held, admission.waiting) == (1, 0)


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999999])
@pytest.mark.parametrize(("mean_s", "guess_s"), [(0.01, 1), (4.0, 8), (1000.0, 30)])
async def test_retry_after_is_the_line_s_length_in_time_within_bounds_and_jitter(
    mean_s: float, guess_s: float, chance: float
) -> None:
    """clamp(waiting x mean stream / permits, 1, 30) +- 20 %: those refused together do not come back together."""
    admission = Admission(permits=2, queue_length=4)
    for _ in range(400):
        admission.left("another", mean_s)
    entered(admission, 6)

    with pytest.raises(LineFull) as full:
        admission.enter(MODEL, chance=chance)

    assert full.value.retry_after_s == max(1, round(guess_s * (0.8 + 0.4 * chance)))


async def test_the_line_of_a_model_that_nobody_asks_for_is_forgotten() -> None:
    """A client's model names must not fill the memory."""
    admission = Admission(permits=1, queue_length=8)
    for number in range(1000):
        (place,) = entered(admission, 1, f"random-{number}")
        place.leave()
        admission.left(f"random-{number}", 0.1)

    assert len(admission._lines) == 0  # noqa: SLF001 nothing else shows what is remembered


async def test_a_line_somebody_waits_in_is_not_forgotten() -> None:
    admission = Admission(permits=1, queue_length=8)
    places = entered(admission, 2)
    places[0].leave()

    admission.left(MODEL, 0.1)

    assert entered(admission, 1)[0].position == 1


@given(
    permits=st.integers(1, 3),
    steps=st.lists(st.one_of(st.just(None), st.integers(0, 20)), max_size=40),
)
@settings(max_examples=100, deadline=None)
def test_whatever_comes_and_goes_permits_are_full_while_somebody_waits(permits: int, steps: list[int | None]) -> None:
    async def run() -> None:
        admission = Admission(permits=permits, queue_length=5)
        here: list[Place] = []
        for step in steps:
            if step is None:
                try:
                    here.append(admission.enter(MODEL, chance=0.5))
                except LineFull:
                    assert admission.waiting == 5
            elif here:
                here.pop(step % len(here)).leave()
            holders = sum(granted(here))
            assert admission.held == holders == min(permits, len(here))
            assert [place.position for place in here if not place.granted.done()] == [
                *range(1, len(here) - holders + 1)
            ]

    asyncio.run(run())
