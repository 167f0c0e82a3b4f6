"""A model server's own words, made fit for a stranger: no host, path, version or stack. Pure."""

import re
from typing import Final

import orjson

MAX_CHARACTERS: Final = 200
READ_CHARACTERS: Final = 1000
"""So much of a line is looked at: an error line may have 8 MiB, and the pattern's time grows with its square."""
_LAYERS_MAX: Final = 16
_PLACES: Final = re.compile(
    r"""
      \b[a-z][a-z0-9+.-]*://\S+                                # a URL
    | \b(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?(?:/\S*)?           # a host or a file name, with what follows it
    | (?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?               # an IPv4 address
    | \[[0-9a-f:]*:[0-9a-f:]*\](?::\d+)?                       # an IPv6 address
    | \blocalhost(?::\d+)?                                     # this host
    | (?<![\w<])(?:~|[a-z]:)?(?:[/\\][\w.@+-]+){2,}[/\\]?      # a path
    | \bv?\d+\.\d+\.\d+\S*                                     # a version
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def scrubbed(words: object) -> str:
    """Return the first line of ``words`` without places, at most 200 characters; "" where there are no words."""
    text = _innermost(words).strip()
    first_line = text.split("\n", 1)[0]
    if len(first_line) > READ_CHARACTERS:
        first_line = first_line[:READ_CHARACTERS].rpartition(" ")[0]  # at a space: half a place would not be known
    clean = _PLACES.sub("…", _CONTROLS.sub(" ", first_line)).strip()
    return clean if len(clean) <= MAX_CHARACTERS else clean[: MAX_CHARACTERS - 1] + "…"


def _innermost(words: object) -> str:
    """Return the message inside an error that is JSON inside JSON, as llama-server's are."""
    for _ in range(_LAYERS_MAX):
        if isinstance(words, str) and words.lstrip().startswith("{"):
            try:
                words = orjson.loads(words)
            except orjson.JSONDecodeError:
                break
        elif isinstance(words, dict):
            words = words.get("error", words.get("message", ""))
        else:
            break
    return words if isinstance(words, str) else ""
