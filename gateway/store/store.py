"""The store's life: it comes up beside a database that may be away, brings its tables up to date, keeps them tidy."""

import asyncio
import contextlib
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import structlog

from gateway.store.answers import Answers
from gateway.store.changes import Changes
from gateway.store.conversations import Conversations
from gateway.store.database import Database, Fault
from gateway.store.migrating import NewerSchema, migrate
from gateway.store.refusals import StoreUnavailable
from gateway.store.search import Search
from gateway.store.tidying import delete_old, forget
from gateway.store.transfer import Transfer
from services.runtime.settings import SettingsError
from services.runtime.tasks import Tasks

log = structlog.get_logger()

PROBE_S: Final = 2.0
TIDY_S: Final = 3_600.0
"""Between two looks for what is too old; what somebody deletes is forgotten at once."""
TOGETHER_S: Final = 2.0
"""What is deleted within it is forgotten together."""
START_S: Final = 5.0
"""How long a start waits for the database; then it comes up without, and says so."""
NEWER: Final = (
    "SLUICE_GATEWAY_DATABASE: a newer version of Sluice was here, and this one does not know its tables; "
    "start that version, or restore a backup from before"
)


class State(StrEnum):
    """What the health page says of the store."""

    STARTING = "starting"
    OK = "ok"
    AWAY = "away"
    NEWER = "newer"


class Store:
    """Conversations, kept.

    Args:
        url: of the database.
        keep_days: after their last message; 0: until they are deleted.
        told: hears whether it is away.
    """

    def __init__(self, url: str, *, keep_days: int = 0, told: Callable[[bool], object] = lambda _away: None) -> None:
        self.database = Database(url)
        self.conversations = Conversations(self.database)
        self.answers = Answers(self.database)
        self.changes = Changes(self.database)
        self.search = Search(self.database)
        self.transfer = Transfer(self.database)
        self.state = State.STARTING
        self._keep_days = keep_days
        self._told = told
        self._deleted = asyncio.Event()
        self._tidying = asyncio.Lock()
        self._tasks = Tasks()

    @property
    def available(self) -> bool:
        """Whether it answered when it was asked last."""
        return self.state is State.OK

    async def start(self) -> None:
        """Bring the tables up to date, if the database is there; else go on trying behind everything else.

        Raises:
            SettingsError: a newer version was here.
        """
        coming = self._tasks.spawn(self._look(), "store")
        await asyncio.wait({coming}, timeout=START_S)
        if self.state is State.NEWER:
            raise SettingsError([NEWER])
        self._tasks.spawn(self._keep(coming), "store")
        self._tasks.spawn(self._keep_tidy(), "store's tidying")

    def was_deleted(self) -> None:
        """Something was: soon nothing of it is left in the files either."""
        self._deleted.set()

    async def tidied(self) -> None:
        """Delete what is too old, and forget what was deleted.

        Raises:
            StoreUnavailable: some of it is left for the next time.
        """
        async with self._tidying:
            if self._keep_days and (count := await delete_old(self.database, self._keep_days)):
                log.info("store.expired", conversations=count, days=self._keep_days)
            await forget(self.database)

    async def close(self) -> None:
        """Give everything back."""
        await self._tasks.close()
        await self.database.close()

    async def _keep(self, coming: asyncio.Task[None]) -> None:
        await asyncio.wait({coming})
        while True:
            await asyncio.sleep(PROBE_S)
            await self._look()

    async def _keep_tidy(self) -> None:
        while True:
            if self.available:
                with contextlib.suppress(StoreUnavailable):
                    await self.tidied()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIDY_S):
                    await self._deleted.wait()
            self._deleted.clear()
            await asyncio.sleep(TOGETHER_S)

    async def _look(self) -> None:
        """Ask whether it is there; where it was not, its tables may have to be brought up to date, too."""
        try:
            if self.state is State.OK:
                await self.database.answers()
            else:
                await self.database.prepare(migrate)
        except StoreUnavailable as away:
            self._become(State.AWAY, why=away.why)
        except Fault as fault:  # no FTS5, no right to make tables: somebody may mend it
            self._become(State.AWAY, why=str(fault))
        except NewerSchema:
            self._become(State.NEWER, why="a newer version of Sluice was here")
        else:
            self._become(State.OK)

    def _become(self, state: State, why: str = "") -> None:
        if state is self.state:
            return
        self.state = state
        self.database.is_ready = state is State.OK
        self._told(state is not State.OK)
        if state is State.OK:
            log.info("store.ready")
        else:
            log.warning("store.away", why=why, advice="answers go on; conversations cannot be read until it is back")
