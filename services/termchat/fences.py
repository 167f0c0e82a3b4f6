"""Where code begins and ends in text that is still being written: Markdown's fences, line by line. Pure."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
FENCE_CHARACTERS: Final = 1 << 10
"""Of a line that begins like a fence: what stands behind that is no language's name."""
_MAY_BECOME_ONE: Final = re.compile(r" {0,3}(`{0,2}|~{0,2})")


def fence_after(line: str, mark: str) -> str | None:
    """Return the fence that is open behind ``line``; None where the line is no fence (CommonMark, 4.5).

    Args:
        mark: the fence that was open before it; "" for none.
    """
    found = _FENCE.match(line)
    if found is None:
        return None
    fence, behind = found[1], line[found.end() :]
    if mark:
        return "" if fence.startswith(mark) and not behind.strip() else None
    return None if "`" in fence and "`" in behind else fence


class Span(NamedTuple):
    """Neighbouring text of one kind."""

    text: str
    is_code: bool


class Fences:
    """Tells code from prose; a line's beginning waits while it may become a fence, five characters at most.

    Whether it is one, its end tells; until then what begins like a fence is code.
    """

    def __init__(self) -> None:
        self._held = ""  # of a line of which nothing was given yet
        self._is_line_open = False
        self._mark = ""  # the fence that is open
        self._fence = ""  # the line in hand, where it begins like one

    def feed(self, text: str) -> Iterator[Span]:
        """Take in ``text``; iterate the result for what is known of it."""
        for line in _lines(text):
            yield from self._take(line)

    def end(self) -> Iterator[Span]:
        """Give what was held."""
        if self._held:
            yield self._given(self._held)
            self._held = ""

    def _take(self, part: str) -> Iterator[Span]:
        """Take in a part of one line, its end included or not."""
        if not self._is_line_open:
            self._held += part
            if _MAY_BECOME_ONE.fullmatch(self._held):
                return
            part, self._held = self._held, ""
            self._is_line_open = True
            self._fence = part if _FENCE.match(part) else ""
        elif self._fence and len(self._fence) < FENCE_CHARACTERS:
            self._fence += part
        yield self._given(part)
        if part.endswith("\n"):
            self._end_line()

    def _end_line(self) -> None:
        after = fence_after(self._fence, self._mark)
        self._mark = self._mark if after is None else after
        self._is_line_open, self._fence = False, ""

    def _given(self, text: str) -> Span:
        return Span(text, bool(self._mark or self._fence))


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of ``text`` with their ends; U+2028 and the like are no line ends."""
    begin = 0
    while (end := text.find("\n", begin)) >= 0:
        yield text[begin : end + 1]
        begin = end + 1
    if begin < len(text):
        yield text[begin:]
