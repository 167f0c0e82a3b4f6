"""Markdown that is still being written, taken apart where a paragraph or a code block is finished. Pure."""

from collections.abc import Iterator
from typing import Final

from services.termchat.fences import fence_after

MOST_CHARACTERS: Final = 64 << 10
"""A block that is longer is given as far as it came: nobody waits for its end."""


class Blocks:
    """Gives text in blocks, at blank lines outside of code and behind code."""

    def __init__(self) -> None:
        self._block = ""
        self._line = ""
        self._mark = ""  # the fence that is open

    def feed(self, text: str) -> Iterator[str]:
        """Take in ``text``; iterate the result for the blocks that it finishes."""
        *ended, rest = (self._line + text).split("\n")
        for line in ended:
            yield from self._take(line)
        self._line = rest
        if len(self._block) + len(rest) > MOST_CHARACTERS:
            yield from self.end()

    def end(self) -> Iterator[str]:
        """Give what was held."""
        block, self._block, self._line = self._block + self._line, "", ""
        if block.strip():
            yield block

    def _take(self, line: str) -> Iterator[str]:
        after = fence_after(line, self._mark)
        self._mark = self._mark if after is None else after
        self._block += f"{line}\n"
        if not self._mark and (after is not None or not line.strip()):
            block, self._block = self._block, ""
            if block.strip():
                yield block
