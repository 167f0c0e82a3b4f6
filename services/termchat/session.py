"""What one run of the program shares between its answers; and one question, one answer: what a pipe asks."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from services.termchat import wording
from services.termchat.answer_events import AnswerFailed
from services.termchat.answering import Answering, View
from services.termchat.approving import Approver, Asker, Refuser
from services.termchat.conversation import Conversation
from services.termchat.exit_codes import exit_of
from services.termchat.following import Following
from services.termchat.gateway import Gateway
from services.termchat.options import CommandLine
from services.termchat.painting import MarkdownPainter, PlainPainter
from services.termchat.stopping import Interrupts
from services.termchat.terminal import Style, Terminal
from services.termchat.views import JsonView, PipeView, TerminalView, WholeView

LEAVING_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
SIGNALLED: Final = 128
"""A shell's exit code for what a signal ended is this and the signal's number."""


class Session:
    """What the answers of one run of the program share: where they come from and where they go."""

    def __init__(self, options: CommandLine, gateway: Gateway, out: Terminal, err: Terminal) -> None:
        self.options = options
        self.gateway = gateway
        self.out = out
        self.err = err
        self.is_streaming = options.is_streaming
        self.interrupts = Interrupts()
        self.left_by: int | None = None  # the signal

    async def answer(self, conversation: Conversation) -> Following:
        """Show the answer to the conversation's last question; return how it went.

        Raises:
            OSError: it cannot be written.
        """
        came = asyncio.Event()
        answering = Answering(
            self.gateway, conversation.request(), self._view(conversation), self._approver(came), came
        )
        with self._signals(lambda: self._interrupted(answering), answering.leave):
            following = await answering.run()
        self._tell_end(following)
        return following

    @contextlib.asynccontextmanager
    async def patience(self, most_s: float) -> AsyncIterator[None]:
        """Wait for the gateway in this block, so long at most; Ctrl-C ends the wait and nothing else.

        Raises:
            TimeoutError: the time is over, or the wait was ended.
        """
        async with asyncio.timeout(most_s) as patience:

            def end() -> None:
                if not patience.expired():
                    patience.reschedule(asyncio.get_running_loop().time())

            with self._signals(end, end):
                yield

    def told_to_leave(self, number: int, leave: Callable[[], None]) -> None:
        """Note that a signal ends the program, and leave what is done."""
        self.left_by = number
        self.interrupts.leaving = True
        leave()

    @contextlib.contextmanager
    def _signals(self, interrupt: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
        """Do this on Ctrl-C, and that where the program is told to leave, while the block lasts."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, interrupt)
        for number in LEAVING_SIGNALS:
            loop.add_signal_handler(number, self.told_to_leave, number, leave)
        try:
            yield
        finally:
            for number in (signal.SIGINT, *LEAVING_SIGNALS):
                loop.remove_signal_handler(number)

    def _approver(self, came: asyncio.Event) -> Approver:
        somebody_is_there = self.out.is_terminal and not self.options.is_json and os.isatty(0)
        return Asker(self.out, came) if somebody_is_there else Refuser(self.tell)

    def _view(self, conversation: Conversation) -> View:
        if self.options.is_json:
            return JsonView(self.out)
        if not self.out.is_terminal:
            return PipeView(self.out)
        painter = MarkdownPainter(self.out) if self.options.is_rendered else PlainPainter(self.out)
        if not self.is_streaming:
            return WholeView(self.out, painter, conversation.parameters.model or "")
        return TerminalView(self.out, painter, time.monotonic())

    def _interrupted(self, answering: Answering) -> None:
        if self.interrupts.press(time.monotonic()):
            answering.leave()
        else:
            answering.stop()

    def _tell_end(self, answer: Following) -> None:
        """Say how the answer ended, and where its time went: to people, not into pipes."""
        if answer.was_stopped:
            self.tell("[stopped]", Style.DIM)
        elif isinstance(answer.end, AnswerFailed):
            self.tell(wording.failure(answer.end), Style.ERROR)
        elif answer.end and wording.afterword(answer.end):
            self.tell(f"[{wording.afterword(answer.end)}]", Style.DIM)
        if self.err.is_terminal and answer.first_at is not None:
            self.tell(wording.timing(answer, time.monotonic()), Style.DIM)
        if self.options.rings:
            self.out.ring()

    def tell(self, words: str, style: Style = Style.PLAIN) -> None:
        """Say something beside the answer: below it on a terminal, else where diagnostics go."""
        (self.out if self.out.is_terminal and not self.options.is_json else self.err).line(words, style)


async def ask_once(session: Session, conversation: Conversation, question: str) -> int:
    """Answer one question; return the exit code."""
    conversation.ask(question)
    answer = await session.answer(conversation)
    return session.left_by + SIGNALLED if session.left_by else exit_of(answer)
