"""Objects of strangers as declared models; what each body's fields are is tests/wire/test_bodies.py's."""

from typing import Any, Literal

import pytest

from services.wire.request import BadBody
from services.wire.validation import Part, read, validated


class Inner(Part):
    size: int | None = None


class Outer(Part):
    EMPTY_IS_ABSENT = frozenset({"name"})

    name: str | None = None
    note: str | None = None
    inner: Inner | None = None
    either: Literal["a", "b"] | None = None


def refusal_of(given: dict[str, Any]) -> str:
    with pytest.raises(BadBody) as refusal:
        validated(Outer, given, extra="forbid")
    return refusal.value.message


def test_an_object_is_read_and_nothing_else() -> None:
    assert read(b'{"a":[1,null]}') == {"a": [1, None]}
    for raw in (b"", b"[]", b"{", b"null"):
        with pytest.raises(BadBody, match="Send one JSON object"):
            read(raw)


def test_null_is_absent_and_so_is_the_empty_string_where_that_is_declared() -> None:
    part = validated(Outer, {"name": "", "note": "", "inner": None, "other": None}, extra="forbid")

    assert part.model_fields_set == {"note"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inner": []}, "inner must be an object"),
        ({"inner": {"size": "5"}}, "inner.size must be an integer"),
        ({"either": "c"}, "either must be 'a' or 'b'"),
        ({"inner": {"more": 1}}, "unknown field: inner.more"),
        ({"name": 5, "either": 5}, "name must be a string"),
    ],
    ids=str,
)
def test_the_first_fault_is_told_by_its_place(given: dict[str, Any], words: str) -> None:
    assert refusal_of(given) == words


def test_unknown_keys_are_left_out_where_they_are_not_refused() -> None:
    part = validated(Outer, {"more": 1, "inner": {"more": 1, "size": 2}}, extra="ignore")

    assert part == Outer(inner=Inner(size=2))
