from dataclasses import dataclass
from math import inf

import pytest

from proxy.upstream.wedge import PREFILL_FACTOR, REMEMBERED_MODELS, UNLOAD_PERIOD_S, Wedges

MODEL = "llama3.2:latest"
LOADED = {MODEL}
FLOOR_S = 30.0


@dataclass(eq=False)
class Asked:
    """A call that was made at a moment, and what came of it."""

    asked_at: float = 0.0
    first_content_at: float | None = None
    content_at: float | None = None
    patience: int = 1

    def says(self, now: float) -> None:
        self.first_content_at = self.first_content_at or now
        self.content_at = now


def after_a_leaver(*, prefill_s: float = 1.0) -> Wedges:
    """A model whose one call, at 0, began to answer after ``prefill_s`` and was closed by us a second later."""
    wedges, call = Wedges(floor_s=FLOOR_S), Asked()
    wedges.began(MODEL, call)
    call.says(prefill_s)
    wedges.ended(MODEL, call, closed_early=True)
    return wedges


def waiting_since(wedges: Wedges, now: float, patience: int = 1) -> Asked:
    call = Asked(now, patience=patience)
    wedges.began(MODEL, call)
    return call


def wedged() -> Wedges:
    """A model that was found wedged at 131, with one call that waits."""
    wedges = after_a_leaver()
    waiting_since(wedges, 100.0)
    assert wedges.look(LOADED, 131.0) == [MODEL]
    return wedges


# --- noticed


def test_a_model_that_keeps_one_waiting_too_long_after_a_leaver_is_wedged_and_found_once() -> None:
    wedges = after_a_leaver()
    waiting_since(wedges, 100.0)

    looks = [wedges.look(LOADED, now) for now in (101.0, 130.0, 130.1, 131.0)]

    assert looks == [[], [], [MODEL], []]
    assert wedges.names == [MODEL]


def test_a_model_that_reads_long_prompts_is_given_four_times_the_longest() -> None:
    wedges = after_a_leaver(prefill_s=20.0)
    waiting_since(wedges, 100.0)

    assert wedges.look(LOADED, 100.0 + PREFILL_FACTOR * 20.0) == []
    assert wedges.look(LOADED, 100.1 + PREFILL_FACTOR * 20.0) == [MODEL]


def test_where_nobody_left_early_a_long_wait_is_a_long_prompt() -> None:
    wedges, call = Wedges(), Asked()
    wedges.began(MODEL, call)
    call.says(1.0)
    wedges.ended(MODEL, call, closed_early=False)
    waiting_since(wedges, 100.0)

    assert wedges.look(LOADED, 1000.0) == []


def test_an_answer_that_came_whole_since_the_leaver_takes_the_suspicion_away() -> None:
    wedges = after_a_leaver()
    call = waiting_since(wedges, 50.0)
    call.says(51.0)
    wedges.ended(MODEL, call, closed_early=False)
    waiting_since(wedges, 100.0)

    assert wedges.look(LOADED, 1000.0) == []


def test_a_refusal_since_the_leaver_says_nothing_about_permits() -> None:
    wedges = after_a_leaver()
    wedges.ended(MODEL, waiting_since(wedges, 50.0), closed_early=False)
    waiting_since(wedges, 100.0)

    assert wedges.look(LOADED, 131.0) == [MODEL]


def test_while_somebody_gets_content_who_waits_waits_behind_that() -> None:
    wedges = after_a_leaver()
    waiting_since(wedges, 100.0)
    other = waiting_since(wedges, 100.0)

    looks = []
    for now in (110.0, 125.0, 140.0):
        other.says(now)
        looks.append(wedges.look(LOADED, now + 14.0))

    assert looks == [[], [], []]
    assert wedges.look(LOADED, 140.1 + PREFILL_FACTOR * 10.0) == [MODEL]


def test_a_load_is_no_wait_for_content() -> None:
    """And what was loaded since the leaver has all its permits."""
    wedges = after_a_leaver()
    waiting_since(wedges, 100.0)

    assert wedges.look(set(), 150.0) == []
    assert wedges.look(LOADED, 1000.0) == []


def test_the_wait_begins_when_the_load_is_over() -> None:
    wedges = after_a_leaver()
    wedges.look(set(), 50.0)
    first = waiting_since(wedges, 50.0)
    first.says(60.0)
    wedges.ended(MODEL, first, closed_early=True)
    waiting_since(wedges, 100.0)

    assert wedges.look(LOADED, 139.9) == []
    assert wedges.look(LOADED, 140.1) == [MODEL]


def test_an_answer_that_is_held_back_is_given_more_and_teaches_nothing() -> None:
    wedges = after_a_leaver()
    held_back = waiting_since(wedges, 10.0, patience=4)
    held_back.says(90.0)
    wedges.ended(MODEL, held_back, closed_early=True)
    waiting_since(wedges, 100.0, patience=4)

    assert wedges.look(LOADED, 100.0 + 4 * FLOOR_S) == []
    assert wedges.look(LOADED, 100.1 + 4 * FLOOR_S) == [MODEL]


def test_a_model_that_nobody_waits_for_is_not_found() -> None:
    assert after_a_leaver().look(LOADED, 1000.0) == []


def test_one_model_s_trouble_is_not_another_s() -> None:
    wedges = after_a_leaver()
    wedges.began("mistral:latest", Asked(100.0))

    assert wedges.look({MODEL, "mistral:latest"}, 1000.0) == []


# --- healed


def test_content_heals_at_the_next_look() -> None:
    wedges = wedged()
    (call,) = wedges.waiting(MODEL)
    assert isinstance(call, Asked)
    call.says(140.0)
    wedges.look(LOADED, 140.5)

    assert wedges.names == []


def test_content_of_a_call_that_is_over_heals_at_once() -> None:
    wedges = wedged()
    call = waiting_since(wedges, 140.0)
    call.says(141.0)
    wedges.ended(MODEL, call, closed_early=False)

    assert wedges.names == []


def test_a_model_that_is_unloaded_is_healed() -> None:
    wedges = wedged()
    wedges.look(set(), 140.0)

    assert wedges.names == []
    assert wedges.look(LOADED, 1000.0) == []


def test_who_gives_up_waiting_heals_nothing() -> None:
    wedges = wedged()
    (call,) = wedges.waiting(MODEL)
    wedges.ended(MODEL, call, closed_early=True)
    wedges.look(LOADED, 140.0)

    assert wedges.names == [MODEL]


# --- cured


def test_a_wedged_model_is_unloaded_once_in_ten_minutes() -> None:
    wedges = wedged()

    taken = [wedges.take_unload(MODEL, 131.0 + after) for after in (0.0, 1.0, UNLOAD_PERIOD_S - 1, UNLOAD_PERIOD_S)]

    assert taken == [True, False, False, True]


def test_a_model_that_nobody_waits_for_is_not_unloaded() -> None:
    wedges = wedged()
    (call,) = wedges.waiting(MODEL)
    wedges.ended(MODEL, call, closed_early=True)

    assert not wedges.take_unload(MODEL, 140.0)


# --- silent since a moment


def test_a_model_is_silent_that_is_loaded_and_keeps_its_calls_waiting() -> None:
    wedges = after_a_leaver(prefill_s=1.0)
    waiting_since(wedges, 100.0)

    assert wedges.is_silent_since(MODEL, 100.0)
    assert not wedges.is_silent_since(MODEL, 1.0)


def test_a_model_that_streams_to_somebody_is_not_silent_though_nobody_has_looked_since() -> None:
    wedges = Wedges(floor_s=FLOOR_S)
    streams = waiting_since(wedges, 10.0)
    streams.says(20.0)
    waiting_since(wedges, 100.0)
    before = wedges.is_silent_since(MODEL, 100.0)
    streams.says(100.0)

    assert (before, wedges.is_silent_since(MODEL, 100.0)) == (True, False)


def test_a_model_that_was_being_loaded_meanwhile_was_not_silent() -> None:
    wedges = Wedges(floor_s=FLOOR_S)
    waiting_since(wedges, 100.0)
    wedges.look(set(), 101.0)
    wedges.look(LOADED, 160.0)

    assert not wedges.is_silent_since(MODEL, 100.0)
    assert wedges.is_silent_since(MODEL, 102.0)
    assert wedges.absent_at(MODEL) == 101.0


def test_of_a_model_that_was_forgotten_nobody_knows() -> None:
    assert not Wedges().is_silent_since(MODEL, 100.0)
    assert Wedges().absent_at(MODEL) == -inf


# --- bounded


@pytest.mark.parametrize(("asked_meanwhile", "remembered"), [(REMEMBERED_MODELS - 1, True), (REMEMBERED_MODELS, False)])
def test_what_is_known_of_the_model_asked_longest_ago_is_forgotten_first(
    asked_meanwhile: int, remembered: bool
) -> None:
    wedges = after_a_leaver()
    for number in range(asked_meanwhile):
        call = Asked(50.0)
        wedges.began(f"model-{number}", call)
        wedges.ended(f"model-{number}", call, closed_early=True)
    waiting_since(wedges, 100.0)

    assert bool(wedges.look(LOADED, 131.0)) is remembered


def test_a_model_that_is_asked_or_wedged_is_not_forgotten() -> None:
    wedges = wedged()
    for number in range(2 * REMEMBERED_MODELS):
        wedges.began(f"model-{number}", Asked(100.0))

    assert len(wedges.waiting(MODEL)) == len(wedges.waiting("model-0")) == 1
