from itertools import islice

import pytest

from services.simulator.prose import endless_prose, pieces, prose


def test_a_seed_gives_the_same_words_every_time() -> None:
    assert prose(500, 7) == prose(500, 7)
    assert prose(500, 7) != prose(500, 8)


def test_the_words_of_a_seed_never_change_between_versions() -> None:
    assert prose(6, 0) == ["Kindkeamlut", " stul", " toomsoorlan", " wosgeandaim", " osfisdul", " kammoonaind"]


def test_a_longer_text_begins_as_the_shorter_one() -> None:
    assert prose(900, 3)[:40] == prose(40, 3)
    assert list(islice(endless_prose(3), 40)) == prose(40, 3)


def test_a_text_of_some_length_has_marks_line_breaks_and_characters_of_every_width() -> None:
    text = "".join(prose(2000))

    assert {len(character.encode()) for character in text} == {1, 2, 3, 4}
    assert all(part in text for part in (". ", ",", "\n\n", "\u2028", "\u0085", "<b>&</b>"))


@pytest.mark.parametrize("size", [1, 2, 5, 200])
def test_size_is_the_bytes_of_each_token(size: int) -> None:
    assert {len(token.encode()) for token in prose(300, 1, size)} == {size}


@pytest.mark.parametrize("text", ["One, two; three: four.", " lead", "a  b", "x,", ",", "line\nbreak and 🌊;"])
def test_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
