"""Writes what is pending, one entry after the other, for as long as the database takes."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

import structlog

from gateway.conversations.pending import Entry, PendingWrites
from gateway.store.refusals import NotFound, StoreUnavailable
from gateway.store.rows import Answer, NewTurn
from services.runtime.wake import Wake

log = structlog.get_logger()

FIRST_WAIT_S: Final = 0.1
MOST_WAIT_S: Final = 2.0
"""Between two attempts while the database is away: it is told soon when it is back, and not asked without end."""


class Loss(StrEnum):
    """Why a question, or the end of an answer, was not written."""

    FULL = "full"
    """There was no room for it to wait."""
    UNWRITABLE = "unwritable"
    """The database is there, and does not take it."""


class AnswerRows(Protocol):
    """Where answers are written; what waiting may mend is a StoreUnavailable."""

    async def begin(self, turn: NewTurn, answer: Answer | None = None) -> None:
        """Write the rows of a turn, unless they are there; NotFound: its conversation is gone."""
        ...

    async def save(self, answer: Answer, keeper: str) -> bool:
        """Write what an answer says now; whether its row has it."""
        ...


class Writer:
    """Takes what is to be written, at once, and writes it in time.

    Args:
        keeper: the name under which this gateway holds its rows.
        lost: called with the reason for each row that is not written, and never will be by this gateway.
        gone: called with the id of an answer whose conversation was deleted before its row was there.
    """

    def __init__(
        self,
        rows: AnswerRows,
        pending: PendingWrites,
        keeper: str,
        lost: Callable[[Loss], None],
        gone: Callable[[str], None],
    ) -> None:
        self._rows = rows
        self._pending = pending
        self._keeper = keeper
        self._lost = lost
        self._gone = gone
        self._wake = Wake()
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._is_away = False

    def begin(self, turn: NewTurn) -> None:
        """Take the rows of a turn."""
        if not self._took(self._pending.begin(turn)):
            self._lost(Loss.FULL)

    def save(self, answer: Answer) -> asyncio.Future[bool]:
        """Take what is known of an answer; the future says whether its row has it, or never will."""
        saved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._took(self._pending.save(answer)):
            self._tell(answer.id, False)  # whoever waited for what was known before
            self._waiting[answer.id] = saved
            return saved
        if answer.is_final:  # of one that goes on more will come
            self._lost(Loss.FULL)
        saved.set_result(False)
        return saved

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._write_all()

    async def finish(self, within_s: float) -> None:
        """Write what is left, for so long at the most; then nobody waits any more."""
        try:
            async with asyncio.timeout(within_s):
                await self._write_all()
        except TimeoutError:
            log.warning("conversations.left", rows=len(self._pending), advice="the database did not take them in time")
        for answer_id in tuple(self._waiting):
            self._tell(answer_id, False)

    async def _write_all(self) -> None:
        wait_s = FIRST_WAIT_S
        while (entry := self._pending.oldest()) is not None:
            try:
                written = await self._write(entry)
            except StoreUnavailable as away:
                self._note_away(away.why)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, MOST_WAIT_S)
                continue
            except NotFound:
                self._pending.drop(entry)
                self._gone(entry.id)
                self._tell(entry.id, False)
                continue
            except Exception as exc:  # noqa: BLE001 a row that cannot be written must not keep all others from it
                log.error("conversation.not_kept", error_type=type(exc).__name__)  # noqa: TRY400 its words quote the row
                self._pending.drop(entry)
                self._lost(Loss.UNWRITABLE)
                self._tell(entry.id, False)
                continue
            wait_s = FIRST_WAIT_S
            self._pending.written(entry)
            if entry.answer is not None and entry.id not in self._pending:
                self._tell(entry.id, written)
        self._note_back()

    async def _write(self, entry: Entry) -> bool:
        """Write an entry; return whether there are rows that have it.

        A turn that was begun without our hearing of it has its answer yet to come.
        """
        if entry.turn is not None:
            await self._rows.begin(entry.turn, entry.answer)
        return entry.answer is None or await self._rows.save(entry.answer, self._keeper)

    def _took(self, taken: bool) -> bool:
        if taken:
            self._wake.set()
        return taken

    def _tell(self, answer_id: str, written: bool) -> None:
        saved = self._waiting.pop(answer_id, None)
        if saved is not None and not saved.done():
            saved.set_result(written)

    def _note_away(self, why: str) -> None:
        if not self._is_away:
            self._is_away = True
            waiting = {"rows": len(self._pending), "bytes": self._pending.bytes}
            log.warning(
                "conversations.waiting", why=why, **waiting, advice="answers go on; they are written once it is back"
            )

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("conversations.written")
