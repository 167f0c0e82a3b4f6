"""What of a script is for people alone."""

import pytest

from services.webchat.stripping import stripped


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a;\n// b\nc;", "a;\n\nc;"),
        ("/** a */\nb;", "\nb;"),
        ("/**\n * a\n */\nb;", "\n\n\nb;"),
        ("  /** @type {string} */\n  a;", "\na;"),
        ("/* a */ b;", "/* a */ b;"),
        ("a; // b", "a; // b"),
        ("a /** b */;", "a /** b */;"),
        ("/* a\nb */\n/* c */\nd;", "\n\n\nd;"),
        ("a(\n  b,\n\t c\n);", "a(\nb,\nc\n);"),
    ],
)
def test_comments_on_lines_of_their_own_and_indentation_are_left_out_and_lines_stay_lines(
    source: str, left: str
) -> None:
    assert stripped(source) == left
