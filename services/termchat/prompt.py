"""Where a person types: a line editor where the terminal can, else plain lines."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from services.termchat.commands import HELP, is_open
from services.termchat.files import NotReadable, prepare_history, why
from services.termchat.sanitizing import sanitized
from services.termchat.terminal import Terminal

PROMPT: Final = ">>> "
MORE: Final = "... "
LINE_BYTES: Final = 64 << 10  # a terminal that edits lines itself hands out 4 KiB at most


class Prompt(Protocol):
    """Asks a person for what to do next."""

    async def ask(self, draft: str) -> str:
        """Return what was typed, of one line or several.

        Raises:
            EOFError: Ctrl-D: there is nothing more.
            KeyboardInterrupt: Ctrl-C, and nothing was typed.
        """
        ...

    def abandon(self) -> None:
        """Ask no more: the pending question ends as with Ctrl-D."""
        ...


class EditedPrompt:
    """A line editor: history, completion, several lines by Alt-Enter, by quotes or by pasting.

    Args:
        history: what was typed before is kept there; None keeps nothing.
        models: their names, for completion.
        tell: where a person may read why it is not kept.
    """

    def __init__(self, history: Path | None, models: Callable[[], Iterable[str]], tell: Callable[[str], None]) -> None:
        self._history = None if history is None else KeptHistory(history)
        self._tell = tell
        output = create_output()
        if isinstance(output, Vt100_Output):
            output.enable_cpr = False  # a terminal's slow report of its cursor would be typed into the next answer
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            output=output,
            history=self._history or InMemoryHistory(),
            completer=CommandCompleter(models),
            complete_while_typing=False,
            key_bindings=_bindings(),
            multiline=True,
            prompt_continuation=MORE,
            enable_open_in_editor=True,
        )

    async def ask(self, draft: str) -> str:
        """Return what was typed."""
        before = self._not_kept
        text = await self._session.prompt_async(default=draft)
        if self._not_kept != before:
            self._tell(self._not_kept)
        return text

    def abandon(self) -> None:
        """Ask no more."""
        if self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    @property
    def _not_kept(self) -> str:
        return "" if self._history is None else self._history.failed


class KeptHistory(FileHistory):
    """What was typed, in its owner's file until that cannot be written, and then for this session alone.

    Attributes:
        failed: why it is not kept any more.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.failed = ""
        self._path = path

    def store_string(self, string: str) -> None:
        """Write it, from inside a key's handler: what is raised there would be a traceback on the screen."""
        if self.failed:
            return
        try:
            prepare_history(self._path)  # somebody may have taken it away, and it is no one else's to read
            super().store_string(string)
        except NotReadable as exc:
            self.failed = str(exc)
        except OSError as exc:
            self.failed = why(exc)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_open(buffer.text):
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @bindings.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    return bindings


class CommandCompleter(Completer):
    """Completes commands, and behind /model the names of models."""

    def __init__(self, models: Callable[[], Iterable[str]]) -> None:
        self._models = models

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002 prompt_toolkit's
        """Yield what the text before the cursor may become."""
        text = document.text_before_cursor
        typed = text.removeprefix("/model ")
        if typed != text:
            yield from (Completion(name, -len(typed)) for name in self._models() if name.startswith(typed))
        elif text.startswith("/"):
            yield from (Completion(f"/{name}", -len(text)) for name in HELP if f"/{name}".startswith(text))


class PlainPrompt:
    """Lines as the terminal hands them out: where it is dumb, or the words go elsewhere."""

    def __init__(self, out: Terminal) -> None:
        self._out = out
        self._asked: asyncio.Future[bytes] | None = None

    async def ask(self, draft: str) -> str:
        """Return a line, or several between quotes."""
        if draft:
            self._out.line(sanitized(draft))  # it cannot be changed here, but typed anew
        text = await self._line(PROMPT)
        while is_open(text):
            text += await self._line(MORE)
        return text

    def abandon(self) -> None:
        """Ask no more."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(b"")

    async def _line(self, prompt: str) -> str:
        if self._out.is_terminal:
            self._out.write(prompt)
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[bytes] = loop.create_future()
        self._asked = asked
        loop.add_reader(0, _read_into, asked)
        loop.add_signal_handler(signal.SIGINT, _interrupt, asked)
        try:
            line = await asked
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            loop.remove_reader(0)
        if not line:
            raise EOFError
        return line.decode("utf-8", "replace")


def _read_into(asked: "asyncio.Future[bytes]") -> None:
    if not asked.done():
        asked.set_result(os.read(0, LINE_BYTES))


def _interrupt(asked: "asyncio.Future[bytes]") -> None:
    if not asked.done():
        asked.set_exception(KeyboardInterrupt)
