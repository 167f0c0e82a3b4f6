from typing import Any

import pytest

from gateway.limits.usage import ROWS_MAX, Of, Spent, Usage, told

TODAY, BEFORE = "2026-11-28", "2026-11-27"


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, Spent(3, 4)),
        ({"input_tokens": None, "output_tokens": None}, Spent(0, 9)),
        ({"input_tokens": 3, "output_tokens": 0}, Spent(3, 0)),
        ({}, Spent(0, 9)),
        (None, Spent(0, 9)),
    ],
)
def test_what_the_model_server_did_not_count_is_counted_by_pieces(usage: dict[str, Any] | None, spent: Spent) -> None:
    assert Spent.counted(usage, 9) == spent


def test_answers_add_up_by_day_key_and_model() -> None:
    usage = Usage()
    for spent in (Spent(10, 5), Spent(1, 2)):
        usage.add(Of(TODAY, "a1B2c3D4", "tiny"), spent, 1.5)
    usage.add(Of(TODAY, "a1B2c3D4", "large"), Spent(0, 7), 0.25)

    assert told(usage.rows, None) == [
        {
            "day": TODAY,
            "key": "a1B2c3D4",
            "model": "large",
            "requests": 1,
            "input_tokens": 0,
            "output_tokens": 7,
            "seconds": 0.25,
        },
        {
            "day": TODAY,
            "key": "a1B2c3D4",
            "model": "tiny",
            "requests": 2,
            "input_tokens": 11,
            "output_tokens": 7,
            "seconds": 3.0,
        },
    ]


def test_the_newest_day_is_told_first_and_of_others_nothing() -> None:
    usage = Usage()
    for day in (BEFORE, TODAY):
        for key_id in ("a1B2c3D4", "e5F6g7H8"):
            usage.add(Of(day, key_id, "tiny"), Spent(1, 1), 1.0)

    rows = told(usage.rows, {"a1B2c3D4"})

    assert [(row["day"], row["key"]) for row in rows] == [(TODAY, "a1B2c3D4"), (BEFORE, "a1B2c3D4")]
    assert len(told(usage.rows, None)) == 4
    assert {of.key for of in usage.of_day(TODAY)} == {"a1B2c3D4", "e5F6g7H8"}
    assert {of.day for of in usage.of_day(TODAY)} == {TODAY}


def test_old_days_are_forgotten_and_so_is_the_oldest_of_too_many_rows() -> None:
    usage = Usage()
    usage.add(Of(BEFORE, "a1B2c3D4", "tiny"), Spent(), 0.0)
    for number in range(ROWS_MAX):
        usage.add(Of(TODAY, f"{number:08}", "tiny"), Spent(), 0.0)

    assert len(usage.rows) == ROWS_MAX
    assert BEFORE not in {of.day for of in usage.rows}
    usage.forget_before("2026-11-29")
    assert usage.rows == {}


def test_a_prompt_s_tokens_count_as_those_of_the_answer() -> None:
    assert Spent(3, 4).tokens == 7
