import pytest

from services.wire.ids import (
    SECRET_BYTES,
    BadPosition,
    instance_of,
    is_stream_id,
    new_stream_id,
    number_of,
    position_of,
)

STREAM_ID = "k3fa." + "A" * 26


def test_a_new_id_names_its_proxy_and_holds_all_128_bits() -> None:
    ids = [new_stream_id("k3fa", secret) for secret in (bytes(SECRET_BYTES), b"\xff" * SECRET_BYTES)]

    assert ids == [STREAM_ID, "k3fa." + "7" * 25 + "4"]
    assert all(map(is_stream_id, ids))


def test_the_instance_of_an_id_is_what_it_was_made_with() -> None:
    assert instance_of(new_stream_id("k3fa", bytes(SECRET_BYTES))) == "k3fa"


@pytest.mark.parametrize(
    "text",
    ["", "k3fa", "A" * 26, f".{'A' * 26}", f"k3fa.{'A' * 25}", f"k3fa.{'a' * 26}", f"{STREAM_ID}-1", f"{STREAM_ID}\n"],
)
def test_what_has_not_the_form_is_no_stream_id(text: str) -> None:
    assert not is_stream_id(text)


def test_the_number_of_an_event_is_what_follows_the_last_dash() -> None:
    assert number_of(f"{STREAM_ID}-12") == 12


NO_NUMBERS = ["", "-", "x", "\u0661", "+1", "1_0", "1.0", " 1", "1 ", "1" * 16, "9" * 10_000]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_refused_in_words(text: str) -> None:
    """C12: garbage, negative, 10^4 characters."""
    with pytest.raises(BadPosition, match=r"^A position is a number"):
        number_of(f"{STREAM_ID}-{text}")
    with pytest.raises(BadPosition, match=r"^A position is a number"):
        position_of(STREAM_ID, {}, {"after": text})


@pytest.mark.parametrize(
    ("headers", "query", "position"),
    [
        ({}, {}, 0),
        ({}, {"after": "0"}, 0),
        ({}, {"after": "003"}, 3),
        ({"Last-Event-ID": f"{STREAM_ID}-7"}, {"after": "3"}, 7),
        ({"Last-Event-ID": f"{STREAM_ID}-0"}, {"after": "x"}, 0),
    ],
)
def test_the_header_wins_over_the_query_and_neither_is_the_beginning(
    headers: dict[str, str], query: dict[str, str], position: int
) -> None:
    assert position_of(STREAM_ID, headers, query) == position


@pytest.mark.parametrize("last_event_id", [f"k3fa.{'B' * 26}-1", f"{STREAM_ID}--1", "1", "-1", ""])
def test_an_id_of_another_stream_is_no_position_of_this_one(last_event_id: str) -> None:
    with pytest.raises(BadPosition, match="not of this stream"):
        position_of(STREAM_ID, {"Last-Event-ID": last_event_id}, {"after": "0"})
