"""On which line of a TOML text a table or a key stands: tomllib tells values without their places."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

Path = tuple[str | int, ...]
"""The way to a value: names of tables and keys; a table of an array by its number, from 0."""

_HEADER: Final = re.compile(r"\s*(\[\[?)([^\[\]#]+)\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[=.]""")
_NO_STRUCTURE: Final = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'|#.*""")


class Places:
    """The lines of a text that is TOML.

    It follows headers, keys at the beginning of a line, and brackets over several lines; in a string over several
    lines it may be mistaken, which costs no more than a wrong number.
    """

    def __init__(self, text: str) -> None:
        self._lines: Mapping[Path, int] = dict(_places(text))

    def line(self, path: Path) -> int | None:
        """Return the line of ``path``, or of the nearest table around it."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None


def _places(text: str) -> Iterator[tuple[Path, int]]:
    table: Path = ()
    counts: dict[str, int] = {}
    depth = 0  # of brackets that the lines before opened
    for number, line in enumerate(text.split("\n"), 1):
        if depth > 0:
            depth += _opened(line)
        elif (header := _HEADER.fullmatch(line.rstrip("\r"))) is not None:
            table = _table(header[2], counts, is_array=header[1] == "[[")
            yield table, number
        elif (key := _KEY.match(line)) is not None:
            yield (*table, key[1] or key[2] or key[3] or ""), number
            depth = max(0, _opened(line))


def _table(dotted: str, counts: dict[str, int], *, is_array: bool) -> Path:
    """Return the path of a header; below an array it is its last table's."""
    first, *rest = [part.strip().strip("\"'") for part in dotted.split(".")]
    if is_array and not rest:
        counts[first] = counts.get(first, -1) + 1
    return (first, counts[first], *rest) if first in counts else (first, *rest)


def _opened(line: str) -> int:
    bare = _NO_STRUCTURE.sub("", line)
    return sum(bare.count(one) for one in "[{") - sum(bare.count(one) for one in "]}")
