import asyncio
import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings import ProxySettings
from proxy.streams.permits import (
    DOUBT,
    FORETELLING_ANSWERS,
    REMEMBERED_ANSWERS,
    REMEMBERED_MODELS,
    Admission,
    LineFull,
    NotAdmitted,
    Place,
    WaitTooLong,
    expected_wait_s,
    too_long_by_s,
)
from services.wire.model_names import canonical

MODEL = "llama3.2"
OWNER = "anonymous"


def entered(admission: Admission, count: int, model: str = MODEL, owner: str = OWNER) -> list[Place]:
    return [admission.enter(model, owner, chance=0.5) for _ in range(count)]


def granted(places: list[Place]) -> list[bool]:
    return [place.granted.done() for place in places]


def is_lost(place: Place) -> bool:
    return place.granted.done() and place.granted.exception() is not None


def noting(moves: list[tuple[int, int]], who: int) -> Callable[[int], None]:
    return lambda position: moves.append((who, position))


async def test_a_free_permit_is_granted_at_once() -> None:
    admission = Admission(permits=2, queue_length=8, queue_timeout_s=120)

    places = entered(admission, 2)

    assert granted(places) == [True, True]
    assert (admission.held, admission.waiting) == (2, 0)


async def test_who_came_first_is_granted_first() -> None:
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
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
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
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
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)

    places = entered(admission, 3)

    assert [place.position for place in places] == [None, 1, 2]


async def test_each_who_moves_up_is_told_its_new_place_once() -> None:
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
    places = entered(admission, 4)
    moves: list[tuple[int, int]] = []
    for who, place in enumerate(places):
        place.moved = noting(moves, who)

    places[0].leave()

    assert moves == [(2, 1), (3, 2)]


async def test_who_leaves_the_line_moves_up_only_those_behind() -> None:
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
    places = entered(admission, 4)

    places[2].leave()

    assert [place.position for place in (places[1], places[3])] == [1, 2]
    assert granted(places) == [True, False, False, False]
    places[0].leave()
    assert granted(places) == [True, True, False, False]


async def test_a_place_left_twice_is_given_back_once() -> None:
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
    places = entered(admission, 3)

    places[0].leave()
    places[0].leave()

    assert granted(places) == [True, True, False]
    assert (admission.held, admission.waiting) == (1, 1)


async def test_forty_requests_of_one_person_delay_another_by_one_answer() -> None:
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=120)
    forty = entered(admission, 40, owner="Ada")
    moves: list[tuple[int, int]] = []
    forty[1].moved = noting(moves, 1)

    [another] = entered(admission, 1, owner="Bob")

    assert (another.position, forty[1].position, moves) == (1, 2, [(1, 2)])
    forty[0].leave()
    assert granted([another, forty[1]]) == [True, False]


async def test_who_fills_the_line_loses_its_last_place_to_somebody_with_fewer() -> None:
    admission = Admission(permits=1, queue_length=3, queue_timeout_s=120)
    greedy = entered(admission, 4, owner="Ada")

    others = entered(admission, 1, owner="Bob")

    assert [place.position for place in others + greedy[1:3]] == [1, 2, 3]
    with pytest.raises(LineFull) as lost:
        greedy[-1].granted.result()
    assert (admission.waiting, lost.value.retry_after_s) == (3, 3)
    with pytest.raises(LineFull):
        entered(admission, 1, owner="Bob")
    greedy[-1].leave()
    assert admission.waiting == 3


async def test_a_full_line_refuses_and_changes_nothing() -> None:
    admission = Admission(permits=1, queue_length=2, queue_timeout_s=120)
    places = entered(admission, 3)

    with pytest.raises(LineFull):
        admission.enter(MODEL, OWNER, chance=0.5)

    assert (admission.held, admission.waiting) == (1, 2)
    places[1].leave()
    assert admission.enter(MODEL, OWNER, chance=0.5).position == 2


async def test_a_line_of_no_length_refuses_whoever_finds_no_permit() -> None:
    admission = Admission(permits=1, queue_length=0, queue_timeout_s=120)
    entered(admission, 1)

    with pytest.raises(LineFull):
        admission.enter(MODEL, OWNER, chance=0.5)


async def test_each_model_has_a_line_of_its_own() -> None:
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)

    busy, other = entered(admission, 2), entered(admission, 1, "mistral")

    assert granted([*busy, *other]) == [True, False, True]
    assert (admission.held, admission.waiting) == (2, 1)


async def test_the_permits_of_each_model_are_counted_whoever_waits() -> None:
    admission = Admission(permits=2, queue_length=8, queue_timeout_s=120)
    places = entered(admission, 3) + entered(admission, 1, "another")
    taken, asked = admission.held_by_model, admission.asked_by_model
    for place in places:
        place.leave()

    assert taken == {canonical(MODEL): 2, canonical("another"): 1}
    assert asked == {canonical(MODEL): 3, canonical("another"): 1}
    assert set(admission.held_by_model.values()) == {0}
    assert admission.asked_by_model == {}


async def test_a_waiter_that_gave_up_is_passed_over_when_its_turn_comes() -> None:
    """A cancelled wait leaves its future done; the permit it may get meanwhile is given back by its leaving."""
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
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
    admission = Admission(permits=2, queue_length=4, queue_timeout_s=120)
    entered(admission, 6)
    for _ in range(FORETELLING_ANSWERS):
        admission.left(MODEL, mean_s)

    with pytest.raises(LineFull) as full:
        admission.enter(MODEL, OWNER, chance=chance)

    assert full.value.retry_after_s == max(1, round(guess_s * (0.8 + 0.4 * chance)))


async def test_the_line_of_a_model_that_nobody_asks_for_is_forgotten() -> None:
    """A client's model names must not fill the memory."""
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
    for number in range(1000):
        (place,) = entered(admission, 1, f"random-{number}")
        place.leave()
        admission.left(f"random-{number}", 0.1)

    assert len(admission._lines) == 0  # noqa: SLF001 nothing else shows what is remembered


async def test_a_line_somebody_waits_in_is_not_forgotten() -> None:
    admission = Admission(permits=1, queue_length=8, queue_timeout_s=120)
    places = entered(admission, 2)
    places[0].leave()

    admission.left(MODEL, 0.1)

    assert entered(admission, 1)[0].position == 1


# --- a wait that is foretold


@pytest.mark.parametrize(
    ("position", "permits", "answers_s", "expected_s"),
    [
        (10, 1, [3.0] * FORETELLING_ANSWERS, 30.0),
        (10, 2, [3.0] * FORETELLING_ANSWERS, 15.0),
        (1, 1, [1.0, 5.0] * FORETELLING_ANSWERS, 3.0),
        (10, 1, [3.0] * (FORETELLING_ANSWERS - 1), None),
        (10, 1, [], None),
    ],
)
def test_a_wait_is_foretold_by_the_last_answers_if_there_are_enough(
    position: int, permits: int, answers_s: list[float], expected_s: float | None
) -> None:
    assert expected_wait_s(position, permits, answers_s) == expected_s


@pytest.mark.parametrize(
    ("expected_s", "by_s"), [(None, None), (0.0, None), (30.0, None), (30.0 * DOUBT, None), (46.0, 16.0)]
)
def test_a_wait_is_too_long_only_where_it_is_far_beyond_the_limit(expected_s: float | None, by_s: float | None) -> None:
    assert too_long_by_s(expected_s, 30.0) == by_s


def served(people: int, *, answer_s: int, limit_s: int, known: bool = False) -> tuple[int, int, int]:
    """Let ``people`` ask at once; return how many got an answer, waited in vain, and were turned away at the door."""
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=limit_s)
    for _ in range(FORETELLING_ANSWERS if known else 0):
        admission.left(MODEL, float(answer_s))
    here: list[Place] = []
    for _ in range(people):
        with contextlib.suppress(WaitTooLong):
            here.append(admission.enter(MODEL, OWNER, chance=0.0))
    answers = 0
    for now_s in range(0, len(here) * answer_s, answer_s):
        if now_s <= limit_s:  # who has its permit by now; the others' limit has passed
            here[answers].leave()
            answers += 1
    return answers, len(here) - answers, people - len(here)


@pytest.mark.parametrize(
    ("limit_s", "known", "outcome"),
    [
        (30, False, (11, 19, 0)),  # the default until now: nineteen waited 30 s for an error
        (120, False, (30, 0, 0)),
        (120, True, (30, 0, 0)),
        (30, True, (11, 5, 14)),
    ],
)
async def test_of_thirty_people_with_answers_of_three_seconds_so_many_are_served(
    limit_s: int, known: bool, outcome: tuple[int, int, int]
) -> None:
    assert served(30, answer_s=3, limit_s=limit_s, known=known) == outcome


async def test_the_default_limit_serves_thirty_people_with_answers_of_three_seconds() -> None:
    assert served(30, answer_s=3, limit_s=ProxySettings.model_fields["queue_timeout_s"].default) == (30, 0, 0)


@pytest.mark.parametrize(("chance", "retry_after_s"), [(0.0, 25), (0.999999, 30)])
async def test_who_would_wait_in_vain_is_told_from_when_on_it_would_not(chance: float, retry_after_s: int) -> None:
    """55 s for the eleventh of a line, where 30 are allowed: in 25 s it is the sixth's place."""
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=30)
    entered(admission, 11)
    for _ in range(FORETELLING_ANSWERS):
        admission.left(MODEL, 5.0)

    with pytest.raises(WaitTooLong) as refused:
        admission.enter(MODEL, OWNER, chance=chance)

    assert refused.value.retry_after_s == retry_after_s
    assert (admission.held, admission.waiting) == (1, 10)


async def test_another_model_s_answers_and_refusals_foretell_nothing() -> None:
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=1)
    entered(admission, 1)
    for _ in range(FORETELLING_ANSWERS):
        admission.left("mistral", 100.0)
        admission.left(MODEL, None)

    assert entered(admission, 1)[0].position == 1


async def test_a_free_permit_is_given_however_long_answers_take() -> None:
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=1)
    for _ in range(FORETELLING_ANSWERS):
        admission.left(MODEL, 1000.0)

    assert granted(entered(admission, 1)) == [True]


async def test_old_answers_do_not_count() -> None:
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=30)
    entered(admission, 1)
    for answer_s in [1000.0] * FORETELLING_ANSWERS + [1.0] * REMEMBERED_ANSWERS:
        admission.left(MODEL, answer_s)

    assert entered(admission, 1)[0].position == 1


async def test_the_answers_of_the_model_asked_longest_ago_are_forgotten_first() -> None:
    admission = Admission(permits=1, queue_length=64, queue_timeout_s=30)
    models = [MODEL, *(f"model-{number}" for number in range(REMEMBERED_MODELS))]
    for model in models:
        for _ in range(FORETELLING_ANSWERS):
            admission.left(model, 100.0)
    for model in models:
        entered(admission, 1, model)

    refused = []
    for model in models:
        try:
            entered(admission, 1, model)
        except NotAdmitted:
            refused.append(model)

    assert refused == models[1:]


@given(
    permits=st.integers(1, 3),
    steps=st.lists(st.one_of(st.just(None), st.integers(0, 20)), max_size=40),
)
def test_whatever_comes_and_goes_permits_are_full_while_somebody_waits(permits: int, steps: list[int | None]) -> None:
    async def run() -> None:
        admission = Admission(permits=permits, queue_length=5, queue_timeout_s=120)
        here: list[Place] = []
        for step in steps:
            if step is None:
                try:
                    place = admission.enter(MODEL, f"owner-{len(here) % 3}", chance=0.5)
                    here = [one for one in here if not is_lost(one)]
                    here.append(place)
                except LineFull:
                    assert admission.waiting == 5
            elif here:
                here.pop(step % len(here)).leave()
            holders = sum(granted(here))
            assert admission.held == holders == min(permits, len(here))
            positions = [place.position for place in here if place.position is not None]
            assert sorted(positions) == [*range(1, len(here) - holders + 1)]

    asyncio.run(run())
