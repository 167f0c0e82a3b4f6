"""One answer as it comes: asks, reads, comes back after a break, stops it, and shows what it hears.

One coroutine waits for one event, which sockets, Ctrl-C and the clock set. What to do next is decided by `following`
and `stopping`, which know none of them.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping
from random import random
from typing import Any, Final, Protocol

from services.http.connection import ResponseEnd
from services.termchat.answer_events import refusal
from services.termchat.approving import Approver
from services.termchat.following import HEADERS_S, UNTRUSTED, Following, Heard
from services.termchat.gateway import AnswerConnection, Gateway, TransportError
from services.termchat.stopping import Step, Stopping
from services.wire.events import ToolCall, ToolResult

LAST_CHUNK_S: Final = 0.5
"""Behind its last word a body only ends; to close before that would look like a reader who left."""
FAREWELL_S: Final = 1.0
"""How long the answer to a cancel is waited for when nothing else is."""


class View(Protocol):
    """Who shows an answer; times are those of the monotonic clock."""

    def take(self, heard: Heard, now: float) -> None:
        """An event came."""
        ...

    def reconnecting(self, now: float) -> None:
        """The connection has been lost for some time."""
        ...

    def tick(self, now: float) -> float | None:
        """Show what is due; return when something will be."""
        ...

    def close(self, answer: Following, now: float) -> None:
        """Show the rest; the answer is over."""
        ...


class Answering:
    """The way of one question to the end of its answer.

    Args:
        body: the request.
        view: hears of it.
        approver: is asked whether a tool may run.
        came: set by whoever has something for it: its connections, and the approver.

    Attributes:
        following: where it stands, and at last how it ended.
    """

    def __init__(
        self, gateway: Gateway, body: Mapping[str, Any], view: View, approver: Approver, came: asyncio.Event
    ) -> None:
        self.following = Following(time.monotonic())
        self._gateway = gateway
        self._body = body
        self._key = secrets.token_urlsafe(24)
        self._view = view
        self._approver = approver
        self._came = came
        self._stopping = Stopping()
        self._connecting: asyncio.Timeout | None = None
        self._leaving = False

    def stop(self) -> None:
        """Stop the answer, from a signal handler; it goes on to its own last word, or for some seconds without."""
        self.following.stop_asked = True
        self._stopping.ask(time.monotonic())
        self._came.set()
        if self._connecting is not None:
            self._connecting.reschedule(asyncio.get_running_loop().time())

    def leave(self) -> None:
        """Stop it and wait for nothing but that the gateway was told."""
        self._leaving = True
        self.stop()

    async def run(self) -> Following:
        """Return when the answer is over.

        Raises:
            OSError: what the view writes cannot be written; the gateway was told to stop.
        """
        try:
            while self.following.end is None:
                await self._pause(await self._once())
            self._view.close(self.following, time.monotonic())
        except OSError:
            await self._cancel()
            raise
        finally:
            self._approver.close()
        return self.following

    async def _once(self) -> float:
        """Open one connection and read it to its end; return how long to wait before the next."""
        try:
            async with asyncio.timeout(None) as self._connecting:
                connection = await self._open()
        except TransportError as failed:
            return self._not_reached(failed)
        except TimeoutError:  # stop() was called
            return 0.0
        finally:
            self._connecting = None
        try:
            return await self._read(connection)
        finally:
            connection.close()

    async def _open(self) -> AnswerConnection:
        stream_id = self.following.stream_id
        if stream_id is None:
            return await self._gateway.ask(self._body, self._key, self._came)
        return await self._gateway.follow(stream_id, self.following.last, self._came)

    def _not_reached(self, failed: TransportError) -> float:
        chance = random()  # noqa: S311 spreads clients, no secret
        is_untrusted = failed.how == UNTRUSTED
        return self.following.not_reached(time.monotonic(), chance, is_untrusted=is_untrusted) or 0.0

    async def _read(self, connection: AnswerConnection) -> float:
        """Read a connection until it, or the answer, is over; return as :meth:`_once` does."""
        following, beats = self.following, 0
        headers_due = time.monotonic() + HEADERS_S
        while True:
            now = time.monotonic()
            if connection.beats > beats:
                beats, following.heard_at = connection.beats, now
            self._take(connection, now)
            await self._tell_decisions()
            if following.end is not None:
                await self._let_end(connection)
                return 0.0
            if connection.end is not None:
                return self._after(connection, now)
            if now >= (following.dead_at if connection.status else headers_due):
                return following.disconnected(now, random()) or 0.0  # noqa: S311 as above
            if await self._stopped(now):
                return 0.0
            await self._until(following.dead_at if connection.status else headers_due)

    def _take(self, connection: AnswerConnection, now: float) -> None:
        """Take in what came."""
        if connection.carries_frames and self.following.stream_id is None:
            self.following.opened(connection.headers.get("x-stream-id", ""), now)
        while connection.events and self.following.end is None:
            heard = self.following.heard(connection.events.popleft(), now)
            if heard is not None:
                self._show(heard, now)

    def _show(self, heard: Heard, now: float) -> None:
        if isinstance(heard.event, ToolResult):
            self._approver.withdraw(heard.event.call_id)
        self._view.take(heard, now)
        if isinstance(heard.event, ToolCall) and heard.event.needs_approval:
            self._approver.ask(heard.event)
        elif isinstance(heard.event, ToolCall | ToolResult):
            self._approver.again()

    async def _tell_decisions(self) -> None:
        """Say at the gateway what was said here; a word that is lost is none, and the tool is not run."""
        for call_id, approve in self._approver.decided():
            with contextlib.suppress(TransportError):
                await self._gateway.decide(self.following.stream_id or "", call_id, approve=approve)

    def _after(self, connection: AnswerConnection, now: float) -> float:
        """Return how long to wait after a connection that ended, the answer's end not having come."""
        chance = random()  # noqa: S311 as above
        if connection.end is ResponseEnd.MALFORMED and not connection.status:
            self.following.met_a_stranger()
            return 0.0
        if connection.carries_frames or not connection.status:
            return self.following.disconnected(now, chance) or 0.0
        refused = refusal(connection.status, bytes(connection.body), connection.headers.get("retry-after", ""))
        return self.following.refused(connection.status, refused, now, chance) or 0.0

    async def _let_end(self, connection: AnswerConnection) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_CHUNK_S):
                await connection.over()

    async def _pause(self, seconds: float) -> None:
        """Wait for the next try, or stop where that is asked for."""
        following = self.following
        until = time.monotonic() + seconds
        while following.end is None:
            now = time.monotonic()
            if self._stopping.is_asked:  # no connection is open: its last word cannot come
                await self._cancel()
                following.stop()
            elif now >= until:
                return
            else:
                if following.is_reconnecting:
                    self._view.reconnecting(now)
                await self._until(until)

    async def _stopped(self, now: float) -> bool:
        """Do what is due about a stop; return whether the answer was given up."""
        step = self._stopping.next(now, has_name=self.following.stream_id is not None)
        if step is Step.CANCEL and self._leaving:
            await self._cancel()
        elif step is Step.CANCEL:
            with contextlib.suppress(TransportError):
                await self._gateway.cancel(self.following.stream_id or "")
        if step is Step.GIVE_UP or (self._leaving and self.following.stream_id is not None):
            self.following.stop()
        return self.following.end is not None

    async def _cancel(self) -> None:
        """Tell the gateway to stop the answer, if it has a name, and wait until it has heard."""
        if self.following.stream_id is None:
            return
        with contextlib.suppress(TransportError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                connection = await self._gateway.cancel(self.following.stream_id)
                await connection.over()

    async def _until(self, deadline: float) -> None:
        """Wait until something came, for ``deadline``, or until something is to be shown or done about a stop."""
        now = time.monotonic()
        shown_at = None if self._approver.is_asking else self._view.tick(now)
        times = [deadline, shown_at, self._stopping.due_at]
        due = min(when for when in times if when is not None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - now)):
                await self._came.wait()
        self._came.clear()
