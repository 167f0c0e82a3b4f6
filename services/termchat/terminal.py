"""Where the words go: a terminal, a pipe or a file, written at once and without a buffer in between."""

import os
import select
import shutil
from collections.abc import Mapping
from enum import Enum
from typing import Final

_RESET: Final = "\x1b[0m"
_ERASE_LINE: Final = "\r\x1b[K"


class Style(Enum):
    """How a kind of text looks where there are colours."""

    PLAIN = ""
    DIM = "\x1b[2m"
    CODE = "\x1b[36m"
    ERROR = "\x1b[31m"
    NAME = "\x1b[1m"


class Terminal:
    """One file descriptor that text is written to; what it is decides what is decent.

    Args:
        fd: stays open.
        environ: ``NO_COLOR`` (https://no-color.org) and ``TERM`` count.

    Attributes:
        is_terminal: a person reads it.
        moves: lines can be drawn anew; not where ``TERM`` is dumb.
        colours: styles are shown.
    """

    def __init__(self, fd: int, environ: Mapping[str, str]) -> None:
        self._fd = fd
        self.is_terminal = os.isatty(fd)
        self.moves = self.is_terminal and environ.get("TERM", "dumb") != "dumb"
        self.colours = self.moves and not environ.get("NO_COLOR")
        self._is_at_line_start = True
        self._progress = ""

    def write(self, text: str, style: Style = Style.PLAIN) -> None:
        """Write sanitized text; the progress line is erased first.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        if not text:
            return
        self.erase_progress()
        self._is_at_line_start = text.endswith("\n")
        styled = f"{style.value}{text}{_RESET}" if self.colours and style.value else text
        _write_all(self._fd, styled.encode("utf-8", "replace"))

    def line(self, text: str, style: Style = Style.PLAIN) -> None:
        """Write a line of its own."""
        self.begin_line()
        self.write(f"{text}\n", style)

    def begin_line(self) -> None:
        """End the line in hand, if there is one."""
        self.erase_progress()
        if not self._is_at_line_start:
            self.write("\n")

    def line_was_typed(self) -> None:
        """Note that a person ended the line in hand."""
        self._is_at_line_start = True

    def ring(self) -> None:
        """Ring its bell."""
        if self.is_terminal:
            _write_all(self._fd, b"\a")

    def progress(self, text: str) -> None:
        """Show a line that goes when anything else is written; only where lines can be drawn anew."""
        if self.moves and text != self._progress:
            self.begin_line()
            shown = text[: shutil.get_terminal_size().columns - 1]
            dim = f"{Style.DIM.value}{shown}{_RESET}" if self.colours else shown
            _write_all(self._fd, dim.encode("utf-8", "replace"))
            self._progress = text

    def erase_progress(self) -> None:
        """Erase the progress line."""
        if self._progress:
            self._progress = ""
            _write_all(self._fd, _ERASE_LINE.encode())


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody who shares it made it non-blocking
            select.select([], [fd], [])
