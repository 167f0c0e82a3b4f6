"""A person at a terminal: types into the chat and reads the screen, which pyte keeps as a terminal would."""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pexpect  # type: ignore[import-untyped] # it has no types
import pyte
from pyte.screens import Char as Cell

from tests.chain import ROOT

COLUMNS: Final = 100
LINES: Final = 60  # so that nothing scrolls away in a test
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"
PROMPTED: Final = "\x1b[?2004h"
ALT_ENTER: Final = "\x1b\r"


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which the terminal chat is started by a test."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "NO_COLOR"))}
    return {**clean, "TERM": "xterm-256color", **more}


class AnsweringScreen(pyte.Screen):
    """A screen whose reports (where is the cursor?) go back to the program."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self.reports: list[str] = []

    def write_process_input(self, data: str) -> None:
        self.reports.append(data)


class Person:
    """One run of `sluice` on a pty."""

    def __init__(self, *arguments: str, environ: Mapping[str, str]) -> None:
        self.began = time.monotonic()
        self.raw = ""
        self._prompts = 0  # that were answered
        self._screen = AnsweringScreen(COLUMNS, LINES)
        self._stream = pyte.Stream(self._screen)
        self._program = pexpect.spawn(
            sys.executable,
            ["-m", "services.termchat", *arguments],
            cwd=str(ROOT),
            env=dict(environ),
            dimensions=(LINES, COLUMNS),
            encoding="utf-8",
            timeout=10,
        )
        self._program.delaybeforesend = None
        self._program.delayafterclose = self._program.ptyproc.delayafterclose = 0.0  # it is gone by then

    @property
    def screen(self) -> str:
        """What the terminal shows, without blanks at the ends."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def cells(self) -> list[list[Cell]]:
        """What the terminal shows, with its colours."""
        return [[self._screen.buffer[line][column] for column in range(COLUMNS)] for line in range(LINES)]

    @property
    def pid(self) -> int:
        return int(self._program.pid)

    def type(self, keys: str) -> None:
        """Press keys."""
        self._program.send(keys)

    def type_bytes(self, keys: bytes) -> None:
        """Press what a terminal of another encoding sends."""
        os.write(self._program.child_fd, keys)

    def presses_until(self, key: str, words: str) -> None:
        """Press a key again and again until the screen has these words."""

        def pressed() -> bool:
            if words not in self.screen:
                self.type(key)
            return words in self.screen

        self._read_until(pressed, 10.0, words)

    def answered(self) -> None:
        """Count a prompt that was answered by other keys than :meth:`enter`'s."""
        self._prompts += 1

    def enter(self, line: str) -> None:
        """Type a line at the prompt."""
        self.sees_prompt()
        self._prompts += 1
        self.type(f"{line}\r")

    def sees_prompt(self) -> None:
        """Read until the next prompt is there: each begins by asking the terminal to mark what is pasted."""
        self._read_until(lambda: self.raw.count(PROMPTED) > self._prompts, 10.0, "a new prompt")

    def sees(self, words: str, within_s: float = 10.0) -> str:
        """Read until the screen has these words; return the screen."""
        return self._read_until(lambda: words in self.screen, within_s, words)

    def sees_not(self, words: str) -> None:
        """Read until these words are gone from the screen."""
        self._read_until(lambda: words not in self.screen, 10.0, f"no {words}")

    def sees_more_than(self, characters: int) -> None:
        """Read until the last line is an answer's and so long."""
        self._read_until(lambda: len(self._last_line) > characters, 10.0, f"{characters} characters of an answer")

    @property
    def _last_line(self) -> str:
        last = self.screen.rpartition("\n")[2]
        return "" if last.startswith(">>>") or last.endswith("…") else last

    def signal(self, number: int) -> None:
        self._program.kill(number)

    def leaves(self, within_s: float = 10.0) -> int:
        """Read to the end; return the exit code."""
        deadline = time.monotonic() + within_s
        with contextlib.suppress(pexpect.EOF):
            while time.monotonic() < deadline:
                self._read()
            raise AssertionError(f"it did not leave; the screen: {self.screen}")
        self._program.wait()
        status: int | None = self._program.exitstatus
        return -int(self._program.signalstatus) if status is None else status

    def gone(self) -> None:
        """Take the program and its terminal away, whatever it does and however long the machine takes."""
        if self._program.isalive():
            self.signal(signal.SIGKILL)
            self._program.wait()
        self._program.close()

    def _read_until(self, condition: Callable[[], bool], within_s: float, what: str) -> str:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not on the screen within {within_s} s: {what}\n{self.screen}")
            try:
                self._read()
            except pexpect.EOF:
                raise AssertionError(f"it ended without: {what}\n{self.screen}") from None
        return self.screen

    def _read(self) -> None:
        with contextlib.suppress(pexpect.TIMEOUT):
            piece = self._program.read_nonblocking(4096, timeout=0.05)
            self.raw += piece
            self._stream.feed(piece)
        while self._screen.reports:
            self._program.send(self._screen.reports.pop(0))


@contextlib.contextmanager
def person(*arguments: str, url: str, environ: Mapping[str, str] | None = None) -> Iterator[Person]:
    """Start `sluice` for a person, with a home of its own."""
    with tempfile.TemporaryDirectory() as state:
        own = environment(**{"SLUICE_TERM_URL": url, "XDG_STATE_HOME": state, **(environ or {})})
        somebody = Person(*arguments, environ=own)
        try:
            yield somebody
        finally:
            somebody.gone()


__all__ = ["ALT_ENTER", "CTRL_C", "CTRL_D", "Cell", "Person", "environment", "person", "signal"]
