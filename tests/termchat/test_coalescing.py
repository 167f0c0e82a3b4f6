"""services/termchat/coalescing.py: soon enough to seem at once, seldom enough that drawing is no work."""

from services.termchat.coalescing import ENOUGH_CHARACTERS, LATEST_S, QUIET_S, WriteCoalescer


def test_the_first_word_is_shown_at_once() -> None:
    assert WriteCoalescer().add("Hi", 100.0) == "Hi"


def test_a_short_word_soon_after_another_is_held_until_it_is_due() -> None:
    coalescer = WriteCoalescer()
    coalescer.add("Hi", 100.0)

    assert coalescer.add(" you", 100.01) == ""
    assert coalescer.due_at == 100.0 + QUIET_S
    assert coalescer.take(100.0 + QUIET_S) == " you"
    assert coalescer.due_at is None


def test_ten_characters_are_shown_without_waiting() -> None:
    coalescer = WriteCoalescer()
    coalescer.add("Hi", 100.0)

    assert coalescer.add("x" * (ENOUGH_CHARACTERS - 1), 100.001) == ""
    assert coalescer.add("y", 100.002) == "x" * (ENOUGH_CHARACTERS - 1) + "y"


def test_nothing_is_held_longer_than_a_tenth_of_a_second() -> None:
    coalescer = WriteCoalescer()
    coalescer.add("Hi", 100.0)
    coalescer.add("a", 100.04)

    assert coalescer.due_at is not None
    assert coalescer.due_at <= 100.04 + LATEST_S


def test_no_text_is_no_reason_to_draw() -> None:
    coalescer = WriteCoalescer()

    assert coalescer.add("", 100.0) == ""
    assert coalescer.due_at is None
