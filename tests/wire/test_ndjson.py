from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire.ndjson import BadLine, LineTooLong, NdjsonDecoder
from tests.wire.cuts import PIECES, cut_anywhere, pieces_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def decoded(chunks: Sequence[bytes], **limits: int) -> list[Any]:
    decoder = NdjsonDecoder(**limits)
    values = [value for chunk in chunks for value in decoder.feed(chunk)]
    last = decoder.finish()
    return values if last is None else [*values, last]


CASES: dict[str, tuple[bytes, list[Any]]] = {
    "one line": (b'{"n":1}\n', [{"n": 1}]),
    "two lines in one chunk": (b'{"n":1}\n{"n":2}\n', [{"n": 1}, {"n": 2}]),
    "any JSON value": (b'1\n"x"\ntrue\n[]\nnull\n', [1, "x", True, [], None]),
    "characters of four bytes": ('{"t":"ёж 🌊"}\n'.encode(), [{"t": "ёж 🌊"}]),
    "Unicode line separators end no line": (
        '{"t":"a\u2028b\u2029c\u0085d"}\n'.encode(),
        [{"t": "a\u2028b\u2029c\u0085d"}],
    ),
    "CRLF line ends": (b'{"n":1}\r\n{"n":2}\r\n', [{"n": 1}, {"n": 2}]),
    "blank lines": (b'\n\r\n  \n{"n":1}\n\n\n', [{"n": 1}]),
    "byte order mark in front": (b'\xef\xbb\xbf{"n":1}\n{"n":2}\n', [{"n": 1}, {"n": 2}]),
    "nothing but a byte order mark": (b"\xef\xbb\xbf\n", []),
    "unterminated last line": (b'{"n":1}\n{"n":2}', [{"n": 1}, {"n": 2}]),
    "one object without a newline": (b'{"n":1}', [{"n": 1}]),
    "an unterminated half object": (b'{"n":1}\n{"n":', [{"n": 1}, BadLine(5)]),
    "an empty stream": (b"", []),
    "a line that is not JSON": (b'{"n":1}\noops\n{"n":2}\n', [{"n": 1}, BadLine(4), {"n": 2}]),
    "a lone CR ends no line": (b'{"n":1}\r{"n":2}\n', [BadLine(15)]),
    "two values on a line": (b'{"n":1} {"n":2}\n', [BadLine(15)]),
    "NaN": (b'{"n":NaN}\n', [BadLine(9)]),
    "a number beyond a double": (b'{"n":1e309}\n', [BadLine(11)]),
    "the largest numbers": (b'{"n":1e308,"m":-0}\n', [{"n": 1e308, "m": 0}]),
    "invalid UTF-8 inside a string": (b'{"t":"a\xffb\xe2\x82"}\n', [{"t": "a\ufffdb\ufffd"}]),
    "invalid UTF-8 outside a string": (b"{\xff}\n", [BadLine(3)]),
    "half a surrogate pair": (b'{"t":"\\ud83d"}\n{"t":"\\ud83d\\ude00"}\n', [{"t": "\ufffd"}, {"t": "😀"}]),
    "half a surrogate pair beside invalid UTF-8": (b'{"\\ude00":"\xff"}\n', [{"\ufffd": "\ufffd"}]),
    "of a key given twice the last counts": (b'{"n":1,"n":2}\n', [{"n": 2}]),
    "ten thousand levels": (b"[" * 10_000 + b"]" * 10_000 + b"\n1\n", [BadLine(20_000), 1]),
}


def shape(values: Sequence[Any]) -> list[Any]:
    """Forget the sizes of bad lines: a CR or a newline at a cut may or may not be counted."""
    return [BadLine(0) if isinstance(value, BadLine) else value for value in values]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("name", CASES)
def test_values_do_not_depend_on_where_the_bytes_were_cut(name: str, piece: int) -> None:
    body, expected = CASES[name]

    assert shape(decoded(pieces_of(body, piece))) == shape(expected)


@given(lines=st.lists(JSON), data=st.data())
def test_any_values_survive_any_cuts(lines: list[object], data: st.DataObject) -> None:
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)

    got = decoded(data.draw(cut_anywhere(body)))

    assert got == lines


@given(st.binary(max_size=200), st.integers(1, 8))
def test_any_bytes_become_values_or_bad_lines_and_never_an_exception(body: bytes, piece: int) -> None:
    whole, cut = decoded([body]), decoded(pieces_of(body, piece))

    assert shape(cut) == shape(whole)


def test_a_decoder_that_was_finished_holds_nothing_back() -> None:
    decoder = NdjsonDecoder()
    list(decoder.feed(b'{"n":1}'))

    assert decoder.finish() == {"n": 1}
    assert decoder.finish() is None


def test_six_megabytes_in_tiny_chunks_is_one_line() -> None:
    """A decoder that searches its whole buffer again for each chunk takes minutes here: the time-out is the guard."""
    text = "x" * (6 << 20)

    got = decoded(pieces_of(orjson.dumps({"t": text}) + b"\n", 11))

    assert got == [{"t": text}]


def test_many_lines_in_one_chunk_all_come_out() -> None:
    got = decoded([b'{"n":1}\n' * 200_000])

    assert len(got) == 200_000


@pytest.mark.parametrize("piece", PIECES)
def test_a_line_of_exactly_the_limit_passes(piece: int) -> None:
    got = decoded(pieces_of(b'"345678"\n"345678"\n', piece), max_line_bytes=8)

    assert got == ["345678", "345678"]


@pytest.mark.parametrize("line_end", [b"\n", b""], ids=["ended", "endless"])
@pytest.mark.parametrize("piece", PIECES)
def test_a_line_over_the_limit_ends_the_decoder_after_the_values_before_it(piece: int, line_end: bytes) -> None:
    decoder = NdjsonDecoder(max_line_bytes=8)
    got: list[object] = []

    with pytest.raises(LineTooLong, match="8 bytes"):
        got.extend(value for chunk in pieces_of(b'1\n2\n"3456789"' + line_end, piece) for value in decoder.feed(chunk))

    assert got == [1, 2]


def test_a_dead_decoder_stays_dead_and_holds_nothing() -> None:
    decoder = NdjsonDecoder(max_line_bytes=4)
    with pytest.raises(LineTooLong):
        list(decoder.feed(b"123456"))

    for chunk in (b"1\n", b"", b"1"):
        with pytest.raises(LineTooLong):
            list(decoder.feed(chunk))

    assert decoder.finish() is None
