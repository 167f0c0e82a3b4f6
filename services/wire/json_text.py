r"""JSON text that strangers wrote: half of a surrogate pair in it is U+FFFD, and its depth is told.

A model's text is cut between two tokens, and a JavaScript client's between two UTF-16 units: both put an escape such as
``\ud83d`` alone into a string. "The behavior of software that receives JSON texts containing such values is
unpredictable" (RFC 8259, 8.2): orjson refuses the whole text, Go, and so Ollama, reads U+FFFD.
"""

import re
from typing import Any, Final

import orjson

_HALF_A_PAIR: Final = re.compile(
    r"""
    \\u[dD] (?: [89abAB][0-9a-fA-F]{2} (?! \\u[dD][c-fC-F][0-9a-fA-F]{2} )     # the first half, no second behind it
              | (?<! \\u[dD][89abAB][0-9a-fA-F]{2} \\u[dD] ) [c-fC-F][0-9a-fA-F]{2} )  # the second, no first before it
    """,
    re.VERBOSE,
)


def loads(text: bytes | str) -> Any:
    """Parse ``text`` as JSON; half of a surrogate pair is U+FFFD, in any string and in any key.

    What orjson reads by itself costs nothing more.

    Raises:
        orjson.JSONDecodeError: it is not JSON, or not UTF-8.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        whole = _with_whole_pairs(text if isinstance(text, str) else text.decode("utf-8", "surrogateescape"))
        return orjson.loads(whole)


def is_deeper_than(limit: int, value: object) -> bool:
    """Return whether ``value`` is nested deeper than ``limit`` lists and objects.

    It walks level by level, not by recursion: it costs the same for any shape, and the stack cannot overflow.
    """
    level: list[Any] = [value]
    for _ in range(limit):
        if not level:
            return False
        inner = (outer.values() if type(outer) is dict else outer for outer in level)
        level = [each for outer in inner for each in outer if type(each) in (dict, list)]
    return bool(level)


def _with_whole_pairs(text: str) -> str:
    r"""Write U+FFFD for half a pair; ``\\`` is spelled out first, so that every backslash left begins an escape."""
    return _HALF_A_PAIR.sub(r"\\ufffd", text.replace("\\\\", "\\u005c"))
