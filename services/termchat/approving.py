"""May this tool run? Asked of the person at the terminal, or refused where nobody is there."""

import asyncio
import os
import termios
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from services.termchat.sanitizing import one_line
from services.termchat.terminal import Style, Terminal
from services.wire.events import ToolCall

LINE_BYTES: Final = 4096  # what a terminal that edits lines itself hands out at most
WORDS: Final = {"y": True, "yes": True, "n": False, "no": False}
NOBODY: Final = "refused, for nobody is there to ask: a tool that must be approved needs a terminal"


class Approver(Protocol):
    """Who says whether a tool may run."""

    @property
    def is_asking(self) -> bool:
        """Whether a question stands on the screen: nothing else is drawn there meanwhile."""
        ...

    def ask(self, call: ToolCall) -> None:
        """Take in a call that waits for a word."""
        ...

    def withdraw(self, call_id: str) -> None:
        """Forget one: it was answered elsewhere, or is over."""
        ...

    def again(self) -> None:
        """Put the question anew: something was written behind it."""
        ...

    def decided(self) -> list[tuple[str, bool]]:
        """Return what was said since, by the id of its call."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


class Refuser:
    """Refuses everything, and says why.

    Args:
        tell: where a person may read it.
    """

    is_asking = False

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._refused: list[tuple[str, bool]] = []

    def ask(self, call: ToolCall) -> None:
        """Refuse it."""
        self._refused.append((call.call_id, False))
        self._tell(f"{one_line(call.name)}: {NOBODY}")

    def withdraw(self, call_id: str) -> None:
        """It was answered at once."""

    def again(self) -> None:
        """There is no question."""

    def decided(self) -> list[tuple[str, bool]]:
        """Return the refusals."""
        refused, self._refused = self._refused, []
        return refused

    def close(self) -> None:
        """Nothing is held."""


class Asker:
    """Asks y or n, one call after another, on the terminal's own lines.

    Args:
        came: set when something was said.
    """

    def __init__(self, terminal: Terminal, came: asyncio.Event) -> None:
        self._terminal = terminal
        self._came = came
        self._waiting: deque[ToolCall] = deque()
        self._said: list[tuple[str, bool]] = []

    @property
    def is_asking(self) -> bool:
        """Whether a question stands on the screen."""
        return bool(self._waiting)

    def ask(self, call: ToolCall) -> None:
        """Ask, now or behind those that wait."""
        self._waiting.append(call)
        if len(self._waiting) == 1:
            _forget_typed()
            asyncio.get_running_loop().add_reader(0, self._read)
            self.again()

    def withdraw(self, call_id: str) -> None:
        """Forget one."""
        still = [call for call in self._waiting if call.call_id != call_id]
        if len(still) < len(self._waiting):
            self._terminal.begin_line()
            self._wait_for(still)

    def again(self) -> None:
        """Put the question."""
        if self._waiting:
            self._terminal.begin_line()
            self._terminal.write(f"run {one_line(self._waiting[0].name)}? [y/n] ", Style.NAME)

    def decided(self) -> list[tuple[str, bool]]:
        """Return what was said since."""
        said, self._said = self._said, []
        return said

    def close(self) -> None:
        """Ask no more."""
        self._wait_for([])

    def _read(self) -> None:
        line = os.read(0, LINE_BYTES)
        self._terminal.line_was_typed()
        approve = WORDS.get(line.decode("utf-8", "replace").strip().lower(), False if not line else None)
        if approve is not None:
            self._said.append((self._waiting[0].call_id, approve))
            self._wait_for(list(self._waiting)[1:])
            self._came.set()
        self.again()

    def _wait_for(self, calls: list[ToolCall]) -> None:
        asked, self._waiting = next(iter(self._waiting), None), deque(calls)
        if not calls:
            asyncio.get_running_loop().remove_reader(0)
        elif calls[0] is not asked:
            _forget_typed()


def _forget_typed() -> None:
    """Forget what was typed before a question stood there: no word on it."""
    try:
        termios.tcflush(0, termios.TCIFLUSH)
    except termios.error:
        return
