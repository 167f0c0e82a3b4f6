"""services/termchat/stopping.py: Ctrl-C once stops, twice leaves."""

from services.termchat.stopping import LAST_WORD_S, NAME_S, TWICE_S, Interrupts, Step, Stopping


def test_nothing_is_done_before_it_is_asked() -> None:
    stopping = Stopping()

    assert stopping.next(1.0, has_name=True) is Step.WAIT
    assert stopping.due_at is None


def test_an_answer_with_a_name_is_cancelled_once_and_then_its_last_word_is_waited_for() -> None:
    stopping = Stopping()
    stopping.ask(1.0)

    assert stopping.next(1.0, has_name=True) is Step.CANCEL
    assert stopping.next(1.5, has_name=True) is Step.WAIT
    assert stopping.due_at == 1.0 + LAST_WORD_S
    assert stopping.next(1.0 + LAST_WORD_S, has_name=True) is Step.GIVE_UP


def test_an_answer_without_a_name_is_given_the_time_to_tell_it() -> None:
    stopping = Stopping()
    stopping.ask(1.0)

    assert stopping.next(1.0, has_name=False) is Step.WAIT
    assert stopping.next(2.0, has_name=True) is Step.CANCEL


def test_one_that_never_tells_its_name_is_given_up() -> None:
    stopping = Stopping()
    stopping.ask(1.0)

    assert stopping.due_at == 1.0 + NAME_S
    assert stopping.next(1.0 + NAME_S, has_name=False) is Step.GIVE_UP


def test_asking_again_does_not_begin_anew() -> None:
    stopping = Stopping()
    stopping.ask(1.0)
    stopping.ask(2.0)

    assert stopping.due_at == 1.0 + NAME_S


def test_a_second_ctrl_c_within_a_second_leaves() -> None:
    interrupts = Interrupts()

    assert interrupts.press(10.0) is False
    assert interrupts.press(10.0 + TWICE_S) is True
    assert interrupts.leaving


def test_a_second_one_later_does_not() -> None:
    interrupts = Interrupts()
    interrupts.press(10.0)

    assert interrupts.press(10.1 + TWICE_S) is False


def test_one_knows_whether_it_was_asked() -> None:
    stopping = Stopping()
    before = stopping.is_asked
    stopping.ask(1.0)

    assert (before, stopping.is_asked) == (False, True)
