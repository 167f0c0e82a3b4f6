import pytest

from gateway.store import cursor
from services.wire.request import BadBody


def test_a_place_comes_back_as_it_was_written() -> None:
    text = cursor.written("list ada", 1_800_000_000_000, 7)

    assert cursor.read("list ada", text) == (1_800_000_000_000, 7)


@pytest.mark.parametrize(
    "text", ["", "A", "=", "AAAA", "ä" * 8, "A" * 10_000, cursor.written("list grace", 1, 2), "\udc80"]
)
def test_what_is_no_place_of_this_list_is_refused(text: str) -> None:
    with pytest.raises(BadBody):
        cursor.read("list ada", text)


def test_a_place_that_was_changed_is_none() -> None:
    text = cursor.written("list ada", 1, 2)

    for place in range(len(text) - 1):  # the last character has bits that say nothing
        other = "B" if text[place] != "B" else "C"
        with pytest.raises(BadBody):
            cursor.read("list ada", text[:place] + other + text[place + 1 :])
