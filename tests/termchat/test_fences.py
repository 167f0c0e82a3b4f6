"""services/termchat/fences.py: where code begins and ends in text that is still being written."""

import pytest

from services.termchat.fences import FENCE_CHARACTERS, Fences

TEXT = "Look:\n```python\nx = 1  # ``` is no end here\n~~~\n```\nThat `was` it.\n  ~~~\ny\n~~~\nend ```"
CODE = "```python\nx = 1  # ``` is no end here\n~~~\n```\n  ~~~\ny\n~~~\n"


def told(text: str, piece: int) -> tuple[str, str]:
    """Return prose and code, the text fed in pieces of this length."""
    fences = Fences()
    spans = [span for at in range(0, len(text), piece) for span in fences.feed(text[at : at + piece])]
    spans += fences.end()
    assert "".join(span.text for span in spans) == text
    return "".join(span.text for span in spans if not span.is_code), "".join(
        span.text for span in spans if span.is_code
    )


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
def test_code_is_told_from_prose_wherever_the_text_was_cut(piece: int) -> None:
    prose, code = told(TEXT, piece)

    assert code == CODE
    assert prose == "Look:\nThat `was` it.\nend ```"


def test_an_open_fence_is_code_to_the_end() -> None:
    assert told("a\n```\nb", 1) == ("a\n", "```\nb")


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("```ls``` lists files.\nMore.", "More."),
        ("````md\n```py\nx\n```\nstill code\n````\nMore.", "More."),
        ("```\n```py\nstill code\n````  \nMore.", "More."),
        ("~~~ `x`\n```\n~~~\nMore.", "More."),
    ],
)
def test_a_fence_is_ended_by_one_as_long_and_a_line_with_code_in_it_is_none(text: str, prose: str, piece: int) -> None:
    assert told(text, piece) == (prose, text.removesuffix(prose))


def test_a_line_that_begins_like_a_fence_is_remembered_within_a_bound() -> None:
    assert told("```" + "x" * 3 * FENCE_CHARACTERS + "\ny\n```\nz", 100)[0] == "z"


def test_only_what_may_become_a_fence_is_held() -> None:
    fences = Fences()

    assert [span.text for span in fences.feed("``")] == []
    assert [span.text for span in fences.feed("x")] == ["``x"]
    assert [span.text for span in fences.feed("``")] == ["``"]


def test_what_is_held_back_for_the_rest_of_its_line_is_given_at_the_end() -> None:
    fences = Fences()
    begun = [span.text for span in fences.feed("x\n``")]

    assert begun == ["x\n"]
    assert [span.text for span in fences.end()] == ["``"]
