"""Which lines of a script are comment."""

import pytest

from services.webchat.stripping import without_comments


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a;\n// b\nc;", "a;\n\nc;"),
        ("/** a */\nb;", "\nb;"),
        ("/**\n * a\n */\nb;", "\n\n\nb;"),
        ("  /** @type {string} */\n  a;", "\n  a;"),
        ("/* a */ b;", "/* a */ b;"),
        ("a; // b", "a; // b"),
        ("a /** b */;", "a /** b */;"),
        ("/* a\nb */\n/* c */\nd;", "\n\n\nd;"),
    ],
)
def test_a_comment_on_lines_of_its_own_is_left_out_and_lines_stay_lines(source: str, left: str) -> None:
    assert without_comments(source) == left
