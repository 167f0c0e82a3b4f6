import pytest

from gateway.store.words import MARGIN, Words, excerpt


def test_every_word_is_a_phrase_and_no_operator() -> None:
    words = Words.of('harbour OR "quoted" NEAR(a b) -minus col:umn *')

    assert words.for_fts5 == '"harbour" "OR" """quoted""" "NEAR(a" "b)" "-minus" "col:umn"'
    assert words.are_indexed


@pytest.mark.parametrize("asked", ["", "   ", '"', "***", "' -- ;"])
def test_what_has_no_letter_and_no_digit_finds_nothing(asked: str) -> None:
    assert not Words.of(asked).words
    assert not Words.of(asked).are_indexed


@pytest.mark.parametrize("asked", ["港", "harbour みなと", "ท่าเรือ", "항구", "𠀀"])
def test_languages_without_spaces_are_not_looked_up_word_by_word(asked: str) -> None:
    assert not Words.of(asked).are_indexed


def test_what_like_would_understand_is_escaped() -> None:
    assert Words.of(r"100%_a\b").for_like == (r"%100\%\_a\\b%",)


def test_an_excerpt_is_what_stands_around_the_first_word_in_one_line() -> None:
    text = "before " * 40 + "the\nHarbour lies there" + " behind" * 40

    told = excerpt(text, Words.of("harbour"))

    assert "the Harbour lies there" in told
    assert told.startswith("…") == told.endswith("…") == True  # noqa: E712 both, and true
    assert len(told) <= 3 * MARGIN + 2


def test_an_excerpt_of_what_is_not_there_as_written_is_the_beginning() -> None:
    assert excerpt("Café", Words.of("cafe")) == "Café"
