"""How an answer is shown: on a terminal, in a pipe, as JSON, or at once when it is whole."""

import json
from dataclasses import asdict
from typing import Final

from services.termchat import wording
from services.termchat.answer_events import AnswerFailed, AnswerStarted, StatusReported
from services.termchat.coalescing import WriteCoalescer
from services.termchat.following import Following, Heard
from services.termchat.painting import Painter
from services.termchat.sanitizing import Sanitizer, one_line, sanitized
from services.termchat.terminal import Style, Terminal
from services.wire.events import Thinking, Token, ToolCall, ToolResult

TICK_S: Final = 0.25
"""The progress line counts seconds; it is drawn anew only where it reads otherwise."""
TOOL_CHARACTERS: Final = 200
"""Of a tool's arguments or result, on one line."""
RECONNECTING: Final = "the connection is lost; reconnecting …"


class TerminalView:
    """Words as they come, reasoning dim, and a progress line while nothing comes.

    Args:
        painter: writes the answer's words.
        since: when the person began to wait.
    """

    def __init__(self, terminal: Terminal, painter: Painter, since: float) -> None:
        self._terminal = terminal
        self._painter = painter
        self._since = since
        self._waits: StatusReported | None = None
        self._is_waiting = True
        self._is_reconnecting = False
        self._coalescer = WriteCoalescer()
        self._safe = Sanitizer()
        self._is_thinking = False

    def take(self, heard: Heard, now: float) -> None:
        """Show what came."""
        self._is_reconnecting = False
        match heard.event:
            case StatusReported() as waits:
                self._wait(waits, now)
            case Thinking(text):
                self._speak(thinking=True, now=now)
                self._show(self._coalescer.add(self._safe.feed(text), now))
            case Token(text):
                self._speak(thinking=False, now=now)
                self._show(self._coalescer.add(self._safe.feed(text), now))
            case ToolCall() | ToolResult() as tool:
                self._note(_line_of(tool), now)
            case _:
                pass

    def reconnecting(self, now: float) -> None:
        """Say that the connection is lost."""
        self._flush(now)
        self._is_reconnecting = True

    def tick(self, now: float) -> float | None:
        """Show held words, or the progress line."""
        if self._is_reconnecting:
            self._terminal.progress(RECONNECTING)
            return None
        if self._is_waiting:
            self._terminal.progress(wording.waiting(self._waits, now - self._since))
            return now + TICK_S
        due = self._coalescer.due_at
        if due is not None and now >= due:
            self._show(self._coalescer.take(now))
        return self._coalescer.due_at

    def close(self, answer: Following, now: float) -> None:  # noqa: ARG002 answering.View
        """Show the rest."""
        self._flush(now)
        self._terminal.begin_line()

    def _wait(self, waits: StatusReported, now: float) -> None:
        """Say from now on what is awaited: the first word, or the end of a tool, and then the next one."""
        self._waits = waits
        if not self._is_waiting:
            self._flush(now)
            self._is_waiting, self._since = True, now

    def _speak(self, *, thinking: bool, now: float) -> None:
        self._is_waiting = False
        if thinking != self._is_thinking:
            self._flush(now)
            self._terminal.begin_line()
            self._is_thinking = thinking
            if not self._terminal.colours:
                self._terminal.line("[thinking]" if thinking else "[answer]")

    def _show(self, text: str) -> None:
        if self._is_thinking:
            self._terminal.write(text, Style.DIM)
        else:
            self._painter.feed(text)

    def _note(self, words: str, now: float) -> None:
        self._is_waiting = False
        self._flush(now)
        self._terminal.line(words, Style.DIM)

    def _flush(self, now: float) -> None:
        self._show(self._coalescer.take(now) + self._safe.end())
        self._painter.end()


class PipeView:
    """The answer's text and nothing else, each piece as it comes."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._safe = Sanitizer()

    def take(self, heard: Heard, now: float) -> None:  # noqa: ARG002 answering.View
        """Write text."""
        if isinstance(heard.event, Token):
            self._terminal.write(self._safe.feed(heard.event.content))

    def reconnecting(self, now: float) -> None:
        """Nobody watches."""

    def tick(self, now: float) -> None:
        """Nothing is held."""

    def close(self, answer: Following, now: float) -> None:  # noqa: ARG002 answering.View
        """End the last line."""
        self._terminal.write(self._safe.end())
        self._terminal.begin_line()


class JsonView:
    """Every event as one line of JSON, in ASCII: nothing in it can be more than text."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def take(self, heard: Heard, now: float) -> None:  # noqa: ARG002 answering.View
        """Write its line."""
        if heard.data:
            self._terminal.write(json.dumps(heard.data) + "\n")

    def reconnecting(self, now: float) -> None:
        """Nobody watches."""

    def tick(self, now: float) -> None:
        """Nothing is held."""

    def close(self, answer: Following, now: float) -> None:  # noqa: ARG002 answering.View
        """Say of a failure that came without an event what an event would have."""
        if isinstance(answer.end, AnswerFailed) and not answer.end_was_heard and not answer.was_stopped:
            self._terminal.write(json.dumps({"type": "error", "error": asdict(answer.end)}) + "\n")


class WholeView:
    """Says that the model is thinking, and shows the whole answer when it is there; a tool that is called, at once."""

    def __init__(self, terminal: Terminal, painter: Painter, model: str) -> None:
        self._terminal = terminal
        self._painter = painter
        self._model = model

    def take(self, heard: Heard, now: float) -> None:  # noqa: ARG002 answering.View
        """Learn the model's name; show a tool."""
        match heard.event:
            case AnswerStarted(_, model) if model:
                self._model = model
            case ToolCall() | ToolResult() as tool:
                self._terminal.line(_line_of(tool), Style.DIM)
            case _:
                pass

    def reconnecting(self, now: float) -> None:
        """It goes on thinking."""

    def tick(self, now: float) -> None:  # noqa: ARG002 answering.View
        """Say so."""
        self._terminal.progress(f"{one_line(self._model) or 'the model'} is thinking …")

    def close(self, answer: Following, now: float) -> None:  # noqa: ARG002 answering.View
        """Show it all."""
        self._painter.feed(sanitized(answer.text))
        self._painter.end()
        self._terminal.begin_line()


def _line_of(tool: ToolCall | ToolResult) -> str:
    """Return what a tool is called with, or what came of it, as a line."""
    if isinstance(tool, ToolCall):
        return f"→ {one_line(tool.name)}({_short(tool.arguments)})"
    return f"{'←' if tool.ok else '✗'} {one_line(tool.name)}: {_short(tool.content)}"


def _short(value: object) -> str:
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= TOOL_CHARACTERS else f"{text[:TOOL_CHARACTERS]}…"
