"""Which of the media types on offer a client prefers, by its ``Accept`` (RFC 9110, 12.5.1). Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

REMEMBERED: Final = 64
"""Answers kept: a hop says the same of each request, and browsers differ by their versions alone."""
MOST_CHARACTERS: Final = 4096
"""What is behind them asks for nothing: a browser's has two hundred, and a request's headers may have a megabyte."""
_QUOTED: Final = r'"(?:\\.|[^"\\])*+(?:"|\\?\Z)'
"""One without an end is as long as the header: looked for anew behind each quote, it would cost the square of that."""
_BETWEEN_COMMAS: Final = re.compile(rf'(?:[^,"]|{_QUOTED})++')
_BETWEEN_SEMICOLONS: Final = re.compile(rf'(?:[^;"]|{_QUOTED})++')
_Q: Final = re.compile(r"[01]?(?:\.[0-9]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _MediaRange:
    """One element of the header, or one type on offer; all in lower case."""

    main: str
    sub: str
    parameters: frozenset[tuple[str, str]]
    q: float

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        """Of the ranges that match a type, the most specific one has the say."""
        return self.main != "*", self.sub != "*", len(self.parameters)

    def matches(self, offered: "_MediaRange", told_apart_by: frozenset[str]) -> bool:
        """Whether ``offered`` is of this range; parameters that tell no two offers apart (charset) are passed over."""
        asked = {pair for pair in self.parameters if pair[0] in told_apart_by}
        return self.main in {"*", offered.main} and self.sub in {"*", offered.sub} and asked <= offered.parameters


@lru_cache(maxsize=REMEMBERED)
def preferred(accept: str, offered: tuple[str, ...]) -> str:
    """Return the type on offer that ``accept`` gives the highest q; at equal q, and if it wants none, the first.

    Args:
        accept: the header's value, "" if there is none.
        offered: media types with their parameters, ours first choice first.
    """
    wanted = list(_ranges(accept))
    if not wanted:
        return offered[0]
    types = {text: next(_ranges(text)) for text in offered}
    told_apart_by = frozenset(name for one in types.values() for name, _ in one.parameters)

    def quality(text: str) -> float:
        matching = [one for one in wanted if one.matches(types[text], told_apart_by)]
        return max(matching, key=lambda one: one.specificity).q if matching else 0.0

    return max(offered, key=quality)  # the first of equals


def _ranges(header: str) -> Iterator[_MediaRange]:
    """Yield the elements of a header that have the form of one; a broken one asks for nothing."""
    for element in _BETWEEN_COMMAS.findall(header.lower()):
        place, *parts = [part.strip() for part in _BETWEEN_SEMICOLONS.findall(element)] or [""]
        main, slash, sub = ("*", "/", "*") if place == "*" else place.partition("/")  # Java's URLConnection says "*"
        pairs = [(name.strip(), value.strip().strip('"')) for name, _, value in (part.partition("=") for part in parts)]
        q = next((_weight(value) for name, value in pairs if name == "q"), 1.0)
        if main and slash and sub and q is not None:
            yield _MediaRange(main, sub, frozenset(pair for pair in pairs if pair[0] not in {"", "q"}), q)


def _weight(text: str) -> float | None:
    """Return a q from 0 to 1; None for what is none."""
    if not _Q.fullmatch(text) or not any(map(str.isdigit, text)):
        return None
    q = float(text)
    return q if q <= 1 else None
