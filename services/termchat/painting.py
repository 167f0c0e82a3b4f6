"""How the words of an answer look: as they come with code in a colour of its own, or as Markdown block by block."""

import io
import shutil
from typing import Literal, Protocol

from services.termchat.blocks import Blocks
from services.termchat.fences import Fences
from services.termchat.terminal import Style, Terminal


class Painter(Protocol):
    """Writes an answer's sanitized text."""

    def feed(self, text: str) -> None:
        """Write ``text``, or hold it until more of it is known."""
        ...

    def end(self) -> None:
        """Write what was held."""
        ...


class PlainPainter:
    """Writes text as it comes, and styles code."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._fences = Fences()

    def feed(self, text: str) -> None:
        """Write it, but for what may become a fence."""
        for span in self._fences.feed(text):
            self._terminal.write(span.text, Style.CODE if span.is_code else Style.PLAIN)

    def end(self) -> None:
        """Write what was held."""
        for span in self._fences.end():
            self._terminal.write(span.text, Style.CODE if span.is_code else Style.PLAIN)


class MarkdownPainter:
    """Writes finished blocks as Markdown, by rich; links show where they lead."""

    def __init__(self, terminal: Terminal) -> None:
        from rich.console import Console  # noqa: PLC0415 only --render needs it
        from rich.markdown import Markdown  # noqa: PLC0415

        self._terminal = terminal
        self._blocks = Blocks()
        self._written = io.StringIO()
        system: Literal["standard"] | None = "standard" if terminal.colours else None
        width = shutil.get_terminal_size().columns
        self._console = Console(file=self._written, force_terminal=terminal.moves, color_system=system, width=width)
        self._markdown = Markdown

    def feed(self, text: str) -> None:
        """Write the blocks that it finishes."""
        for block in self._blocks.feed(text):
            self._paint(block)

    def end(self) -> None:
        """Write the last one."""
        for block in self._blocks.end():
            self._paint(block)

    def _paint(self, block: str) -> None:
        self._console.print(self._markdown(block, hyperlinks=False))
        self._terminal.write(f"{self._written.getvalue().rstrip()}\n\n")
        self._written.seek(0)
        self._written.truncate()
