"""What a row is, before a database has it (`gateway/store/rows.py`)."""

from gateway.store.rows import size_of, without_nul


def test_a_message_weighs_what_its_parts_are_in_a_page() -> None:
    assert size_of("räuber", "", None, [], {"a": 1}, ["x"]) == 7 + len('{"a":1}') + len('["x"]')


def test_a_nul_is_kept_as_what_stands_for_what_cannot_be_shown() -> None:
    assert without_nul("a\0b") == "a\ufffdb"
