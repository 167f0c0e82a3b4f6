"""services/termchat/blocks.py: where a paragraph or a code block is finished."""

import pytest

from services.termchat.blocks import MOST_CHARACTERS, Blocks

TEXT = "One\nparagraph.\n\n\nTwo.\n```\ncode\n\nmore\n```\nThree."
BLOCKS = ["One\nparagraph.\n\n", "Two.\n```\ncode\n\nmore\n```\n", "Three."]


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_blocks_end_at_blank_lines_and_behind_code_wherever_the_text_was_cut(piece: int) -> None:
    blocks = Blocks()

    given = [one for at in range(0, len(TEXT), piece) for one in blocks.feed(TEXT[at : at + piece])]

    assert [*given, *blocks.end()] == BLOCKS
    assert given == BLOCKS[:2]


def test_code_that_holds_fences_is_one_block_and_a_line_with_code_in_it_begins_none() -> None:
    nested, line = "````md\n```py\n\nx\n```\n````\n", "```ls``` lists files.\n\n"

    assert [*Blocks().feed(nested + line + "\n")] == [nested, line]


def test_a_block_that_does_not_end_is_given_as_far_as_it_came() -> None:
    blocks = Blocks()

    given = [one for _ in range(10) for one in blocks.feed("x" * (MOST_CHARACTERS // 4))]

    assert all(len(one) <= 1.25 * MOST_CHARACTERS for one in given)
    assert len("".join([*given, *blocks.end()])) == 10 * (MOST_CHARACTERS // 4)
