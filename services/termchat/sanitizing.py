"""What a model wrote, as text that a terminal only shows. Pure.

A terminal obeys escape sequences: they move the cursor, set its title, write its clipboard, answer as if the person
had typed. A sequence begins with a control character, so without those there is none, wherever the text was cut.
"""

from collections.abc import Mapping
from typing import Final

_KEPT: Final = "\n\t"
# ASCII's controls have pictures of one cell; the 8-bit ones (CSI is U+009B) have none.
_PICTURES: Final[Mapping[int, str]] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Overrides and isolates turn what follows around: a command could read other than it runs. Marks (U+200E, U+200F)
    # stay: Arabic and Hebrew need them.
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # half a pair has no bytes
}


def sanitized(text: str) -> str:
    """Return ``text`` with each control character but newline and tab as a picture; CRLF is a newline."""
    return text.replace("\r\n", "\n").translate(_PICTURES)


def one_line(text: str) -> str:
    """Return ``text`` sanitized and without line ends: a name, an id, the words of an error."""
    return " ".join(sanitized(text).split())


class Sanitizer:
    """The same for text that comes in pieces: a CR that may be half of a line end waits for the next one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown now."""
        text = self._held + piece
        self._held = "\r" if text.endswith("\r") else ""
        return sanitized(text.removesuffix("\r") if self._held else text)

    def end(self) -> str:
        """Return what was held."""
        held, self._held = self._held, ""
        return sanitized(held)
