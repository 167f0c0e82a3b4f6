import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import json_text

CASES: dict[str, tuple[str, Any]] = {
    "a whole pair": (r'"\ud83d\ude00"', "😀"),
    "the first half alone": (r'"a\ud83d"', "a\ufffd"),
    "the second half alone": (r'"\ude00b"', "\ufffdb"),
    "the halves the wrong way round": (r'"\ude00\ud83d"', "\ufffd\ufffd"),
    "a half before a pair": (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
    "a half behind a pair": (r'"\ud83d\ude00\ude00"', "😀\ufffd"),
    "a half before another escape": (r'"\ud83d\u0041\ud83d\n"', "\ufffdA\ufffd\n"),
    "in upper case": (r'"\uD83D \uDE00"', "\ufffd \ufffd"),
    "what a backslash makes no escape": (r'"\\ud83d \ud83d \\\ud83d \\\\ud83d"', "\\ud83d \ufffd \\\ufffd \\\\ud83d"),
    "an escaped first half is none": (r'"\\ud83d\ude00"', "\\ud83d\ufffd"),
    "a key": (r'{"\ud83d":{"\udfff":[1]}}', {"\ufffd": {"\ufffd": [1]}}),
    "characters of four bytes beside it": ('"🌊\\ud83d🌊"', "🌊\ufffd🌊"),
}


@pytest.mark.parametrize("as_bytes", [True, False], ids=["bytes", "text"])
@pytest.mark.parametrize("name", CASES)
def test_half_a_surrogate_pair_is_the_replacement_character(name: str, as_bytes: bool) -> None:
    text, expected = CASES[name]

    assert json_text.loads(text.encode() if as_bytes else text) == expected


@pytest.mark.parametrize(
    "text", [b"", b"{", b'"\\ud83"', b'"\xff\\ud83d"', b'"\xed\xa0\xbd"', b'{"a":"\\ud83d"', b"\\ud83d", b"[" * 2000]
)
def test_what_is_not_json_or_not_utf_8_stays_refused(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        json_text.loads(text)


@given(st.lists(st.sampled_from([*"\\ud83e0c", r"\ud83d", r"\ude00", r"\\", r"\n", r"\u0041", "é", "\\ud83d\\ude00"])))
def test_any_escapes_are_read_as_the_standard_library_reads_them_but_for_halves(parts: list[str]) -> None:
    text = '"' + "".join(parts) + '"'
    try:
        expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(text))
    except ValueError:
        with pytest.raises(orjson.JSONDecodeError):
            json_text.loads(text)
    else:
        assert json_text.loads(text) == expected


def test_eight_megabytes_of_halves_are_read_in_one_pass() -> None:
    """The time-out is the guard against a pass for each of them."""
    halves = 1_000_000

    assert json_text.loads(b'"' + rb"\ud83d\\" * halves + b'"') == "\ufffd\\" * halves
