"""services/termchat/sanitizing.py: nothing that a terminal obeys, wherever it was cut (T25)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.termchat.sanitizing import Sanitizer, one_line, sanitized
from tests.termchat.hostile import SEQUENCES


@pytest.mark.parametrize(("written", "shown"), SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_is_shown_and_not_obeyed(written: str, shown: str) -> None:
    assert sanitized(written) == shown


@pytest.mark.parametrize(("written", "shown"), SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_that_comes_character_by_character_is_shown_likewise(written: str, shown: str) -> None:
    safe = Sanitizer()

    assert "".join(map(safe.feed, written)) + safe.end() == shown


@given(st.lists(st.text()))
def test_where_text_was_cut_changes_nothing(pieces: list[str]) -> None:
    safe = Sanitizer()

    assert "".join(map(safe.feed, pieces)) + safe.end() == sanitized("".join(pieces))


@given(st.text())
def test_of_control_characters_only_newline_and_tab_are_left(text: str) -> None:
    left = {char for char in sanitized(text) if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0}

    assert left <= {"\n", "\t"}


def test_ordinary_text_of_many_scripts_is_left_as_it_is() -> None:
    text = "naïve\n\tёж, 灯台, 🌊, \u200e\u05d0\u05d1\u200f, tab\tand U+2028:\u2028."

    assert sanitized(text) == text


def test_a_windows_line_end_is_one_line_end_also_where_it_was_cut() -> None:
    safe = Sanitizer()

    assert safe.feed("one\r") + safe.feed("\ntwo\r\n") + safe.end() == "one\ntwo\n"


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert sanitized("a\ud83d").encode() == "a\ufffd".encode()


def test_a_name_stays_on_its_line() -> None:
    assert one_line("a\nb\t\x1b[31m  c") == "a b ␛[31m c"
