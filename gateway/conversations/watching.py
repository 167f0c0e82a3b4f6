"""Who listens for changes of their conversations, and the one look at the database that serves all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from gateway.conversations.news import RELOAD, Versions, frames_of
from gateway.guard.keyring import Principal
from gateway.store.refusals import StoreUnavailable
from gateway.store.rows import ANONYMOUS, MOST_WATCHED
from services.runtime.tasks import Tasks
from services.runtime.wake import Wake

log = structlog.get_logger()

AGAIN_S: Final = 2.0
"""Until a database that was lost is listened to again."""
MOST_FRAMES: Final = 1_000
"""That wait for one who is slow; then one frame says that all is to be read again."""


class Listener:
    """One connection that listens: its frames wait here until its task writes them."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.is_over = False
        self._frames: list[bytes] = []
        self._wake = Wake()

    @property
    def owner(self) -> str:
        """Whose conversations it hears of."""
        return self.principal.owner or ANONYMOUS

    def tell(self, frames: list[bytes]) -> None:
        """Let frames wait to be written."""
        waiting = [*self._frames, *frames]
        self._frames = waiting if len(waiting) <= MOST_FRAMES else [RELOAD]
        self._wake.set()

    def end(self) -> None:
        """Let it end: it comes back, here or elsewhere."""
        self.is_over = True
        self._wake.set()

    async def heard(self) -> bytes:
        """Return what is there to be written, once something is; nothing at its end."""
        await self._wake.wait()
        self._wake.clear()
        frames, self._frames = b"".join(self._frames), []
        return frames


class Heard(Protocol):
    """Who hears of changes, until the database is lost."""

    async def hear(self, tell: Callable[[str | None], None]) -> None:
        """Tell whose conversations changed; None: anybody's."""
        ...


class Watching:
    """Tells every listener what changed.

    Args:
        versions: reads those of one owner.
    """

    def __init__(self, changes: Heard, versions: Callable[[str], Awaitable[Versions]]) -> None:
        self._changes = changes
        self._versions = versions
        self._listeners: dict[str, set[Listener]] = {}
        self._known: dict[str, Versions] = {}
        self._changed: set[str] = set()
        self._wake = Wake()
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin to listen to the database."""
        self._tasks.spawn(self._hear(), "changes heard")
        self._tasks.spawn(self._look(), "changes told")

    async def close(self) -> None:
        """Listen no more."""
        self.end(lambda _principal: True)
        await self._tasks.close()

    def begin(self, principal: Principal) -> Listener:
        """Return one who listens from now on; its first frame says that all is to be read.

        That waits for a look at what there is: what changes between a list and the first look would not be told.
        """
        listener = Listener(principal)
        self._listeners.setdefault(listener.owner, set()).add(listener)
        if listener.owner in self._known:
            listener.tell([RELOAD])
        else:
            self._note(listener.owner)
        return listener

    def left(self, listener: Listener) -> None:
        """It listens no more."""
        there = self._listeners.get(listener.owner, set())
        there.discard(listener)
        if not there:
            self._listeners.pop(listener.owner, None)
            self._known.pop(listener.owner, None)

    def end(self, of: Callable[[Principal], bool]) -> None:
        """End the connections of some."""
        for there in self._listeners.values():
            for listener in there:
                if of(listener.principal):
                    listener.end()

    def _note(self, owner: str | None) -> None:
        """Something of ``owner`` changed; None: of anybody."""
        self._changed |= self._listeners.keys() if owner is None else self._listeners.keys() & {owner}
        if self._changed:
            self._wake.set()

    async def _hear(self) -> None:
        while True:
            try:
                await self._changes.hear(self._note)
            except StoreUnavailable:  # which is told where it is kept
                await asyncio.sleep(AGAIN_S)

    async def _look(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changed:
                owner = self._changed.pop()
                try:
                    now = await self._versions(owner)
                except StoreUnavailable:
                    self._changed.add(owner)
                    await asyncio.sleep(AGAIN_S)
                    continue
                self._tell(owner, now)

    def _tell(self, owner: str, now: Versions) -> None:
        there, before = self._listeners.get(owner), self._known.get(owner)
        if there is None:
            return
        self._known[owner] = now
        if frames := [RELOAD] if before is None else frames_of(before, now, most=MOST_WATCHED):
            for listener in there:
                listener.tell(frames)
