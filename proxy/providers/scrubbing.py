"""A model server's own words, made fit for a stranger: no host, path, version or stack. Pure.

A dotted name is no host for its dots: ``blk.1.attn_norm.weight`` is a tensor, and who asked must read which. A host has
a scheme, a port or a path, or is one of a registry or of a private network.
"""

import re
from typing import Final

import orjson

from services.wire import json_text
from services.wire.model_names import canonical

MAX_CHARACTERS: Final = 200
READ_CHARACTERS: Final = 1000
"""So much of a line is looked at: an error line may have 8 MiB, and the pattern's time grows with its square."""
KEY_PIECE: Final = 8
"""A piece of a key so long is cut out wherever it stands; a shorter one is any word."""
_LAYERS_MAX: Final = 16
_PLACES: Final = re.compile(
    r"""
      \b[a-z][a-z0-9+.-]*://\S+                                # a URL
    | (?<=\blookup\ )[\w.-]+                                   # a host that the resolver was asked for, in Go's words
    | \b(?:[\w-]+\.)+[a-z]{2,}(?::\d+\b(?:/\S*)?|/\S*)         # a host or a file name, with its port, line or path
    | \b(?:[\w-]+\.)*(?:ollama\.(?:com|ai)|hf\.co|huggingface\.co|modelscope\.cn)\b    # a registry
    | \b(?:[\w-]+\.)+(?:internal|local|localdomain|lan|corp|intranet|home\.arpa)\b   # a host of a private network
    | (?<![\w.-])(?=[\w-]*[a-z])[\w-]+:\d{4,5}\b               # a host without a domain, by its port
    | (?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?               # an IPv4 address
    | \[[0-9a-f:]*:[0-9a-f:]*(?:%\w+)?\](?::\d+)?              # an IPv6 address, its port behind it
    | (?<![\w:])(?=[0-9a-f:]*\d)(?:[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}|[0-9a-f:]*::[0-9a-f:]*)
      (?:(?:\.\d{1,3}){3})?(?:%\w+)?                           # and without brackets
    | \blocalhost(?::\d+)?                                     # this host
    | (?<![\w<])(?:~|[a-z]:)?(?:[/\\][\w.@+-]+){2,}[/\\]?      # a path
    | \bv?\d+\.\d+\.\d+\S*                                     # a version
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_NAME: Final = re.compile(r"(?<![\w./\\@~-])\w(?:[\w./:-]*\w)?(?![\w/\\@]|:/)")
"""What may be a model's name: it stands alone, and is no part of a path."""
_PAGE: Final = re.compile(r"\s*<(?:!doctype|\?xml|html|head|body)\b", re.IGNORECASE)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def scrubbed(words: object, asked: str | None = None) -> str:
    """Return the first line of ``words`` without places, at most 200 characters; "" where there are no words.

    Args:
        asked: the model's name as it was asked for: it stays, whatever it looks like and however it is spelled.
    """
    text = _innermost(words).strip()
    if _PAGE.match(text):  # a web server's, passed on as if it were words
        return ""
    first_line = text.split("\n", 1)[0]
    if len(first_line) > READ_CHARACTERS:
        first_line = first_line[:READ_CHARACTERS].rpartition(" ")[0]  # at a space: half a place would not be known
    clean = _without_places(_CONTROLS.sub(" ", first_line), asked).strip()
    return clean if len(clean) <= MAX_CHARACTERS else clean[: MAX_CHARACTERS - 1] + "…"


def _without_places(text: str, asked: str | None) -> str:
    clean, end = "", 0
    name = canonical(asked) if asked else ""
    for word in _NAME.finditer(text) if name else ():
        if canonical(word[0]) == name:  # Ollama writes the public registry before it
            path = word[0].split("/")[-1 - name.count("/") :]
            clean += _PLACES.sub("…", text[end : word.start()]) + "/".join(path)
            end = word.end()
    return clean + _PLACES.sub("…", text[end:])


def _innermost(words: object) -> str:
    """Return the message inside an error that is JSON inside JSON, as llama-server's are."""
    for _ in range(_LAYERS_MAX):
        if isinstance(words, str) and words.lstrip().startswith("{"):
            try:
                words = json_text.loads(words)
            except orjson.JSONDecodeError:
                break
        elif isinstance(words, dict):
            words = words.get("error") or words.get("message")
        else:
            break
    return words if isinstance(words, str) else ""


def without_key(words: str, key: str | None) -> str:
    """Return ``words`` without any piece of ``key`` that has 8 characters or more: some repeat what they refuse."""
    words = words[:READ_CHARACTERS]
    at, clean = 0, ""
    while key and at < len(words):
        length = _shared(words, at, key)
        clean += "…" if length else words[at]
        at += length or 1
    return clean if key else words


def _shared(words: str, at: int, key: str) -> int:
    """Return how many characters from ``at`` on are a piece of ``key``; 0 where they are fewer than are told apart."""
    length = KEY_PIECE
    if words[at : at + length] not in key or len(words) - at < length:
        return 0
    while at + length < len(words) and words[at : at + length + 1] in key:
        length += 1
    return length
