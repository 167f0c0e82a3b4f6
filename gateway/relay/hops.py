"""Opening hops to the proxy, and what is owed to it when one does not come about."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from gateway.errors import DISCONNECTED, UNAVAILABLE, refused_by_proxy
from gateway.relay.connection import ClientConnection
from gateway.relay.hop import Head, Hop
from gateway.relay.proxies import ELSEWHERE, Proxies
from gateway.relay.upstream import HopFollower, RepeatKey, Upstream
from services.http.client import TransportError
from services.http.connection import HttpCall, ResponseEnd
from services.runtime.tasks import Tasks
from services.wire.events import ApiError
from services.wire.request import ModelRequest

log = structlog.get_logger()

HEADERS_S: Final = 6.0
"""The proxy commits after one second at the latest; six without headers and it is stuck."""

Open = Callable[[Hop, HopFollower, bool], Awaitable[HttpCall]]


class HopMetrics(Protocol):
    """Who counts what becomes of hops."""

    def hop_repeated(self, why: str) -> None:
        """A proxy is asked once more: a pooled connection was stale, a hop broke, or the first did not take it."""

    def hop_closed(self, seconds: float) -> None:
        """So long after a client left the hop to the proxy was closed."""


class Hops:
    """Starts and follows streams for connections, and tells the proxy when a client left."""

    def __init__(self, proxies: Proxies, metrics: HopMetrics, tasks: Tasks) -> None:
        self._proxies = proxies
        self._metrics = metrics
        self._tasks = tasks

    async def start(
        self, connection: ClientConnection, request: ModelRequest, leave: str, *, key: RepeatKey | None = None
    ) -> Hop:
        """Start a stream at the first proxy that takes it. Once headers came a second generation is never started.

        Args:
            leave: what this client's leaving means, "cancel" or "continue".
            key: by which the client may repeat it: the proxy joins a repeated one to its stream.

        Raises:
            ApiError: by the proxy, or because there is none.
        """
        model, refusals = request.model or "", list[ApiError]()
        for proxy in self._proxies.in_turn(model, connection.principal.owner, key.name if key else None):
            if refusals:
                self._metrics.hop_repeated("elsewhere")
            self._proxies.asked(proxy, model)
            try:
                return await self._start_at(proxy, connection, request, leave, key)
            except ApiError as refused:
                if refused.failed.code not in ELSEWHERE:
                    raise
                self._proxies.turned_away(proxy, refused.failed.code)
                refusals.append(refused)
        raise _most_hopeful(refusals)

    async def follow(self, connection: ClientConnection, position: int, *, fresh: bool = False) -> Hop | None:
        """Follow the connection's stream after a number; None if it is over and nothing follows (204).

        Raises:
            ApiError: by the proxy, or because there is none.
        """
        proxy = self._proxies.of(connection.stream_id)

        def ask(hop: Hop, follower: HopFollower, fresh: bool) -> Awaitable[HttpCall]:
            return proxy.follow(connection.stream_id, position, follower, hop, fresh=fresh)

        hop, head = await self._open(proxy, connection, ask, starts=False, fresh=fresh)
        return None if head.status == 204 else hop

    async def follow_again(self, connection: ClientConnection, position: int) -> Hop | None:
        """Follow again after a hop broke; None if the stream cannot be had.

        On a fresh connection: what broke this one, or silenced it, may have taken the idle ones with it. Where the
        proxy has not seen it go, the lost follower must not count as one that still reads.
        """
        self._metrics.hop_repeated("hop")
        lost = connection.follower
        try:
            hop = await self.follow(connection, position, fresh=True)
        except ApiError:
            return None
        self._take_back(connection, lost, unseen=False)
        return hop

    def client_left(self, connection: ClientConnection, hop: Hop | None, *, unseen: bool) -> None:
        """Close the hop and say so: from a task of the app, since the handler is cancelled.

        Args:
            unseen: the client never got the headers, so nobody can come back.
        """
        if hop is not None:
            hop.abort()
        if connection.comes_back:  # a word would stop the stream that it comes back for
            return
        self._tasks.spawn(self._say_left(connection.proxy, connection.follower, hop, unseen=unseen), "depart")

    def stop(self, connection: ClientConnection) -> None:
        """Stop a stream whose reader was sent away: from a task of the app."""
        if connection.proxy is not None:
            self._tasks.spawn(self._stop(connection.proxy, connection), "stop")

    @staticmethod
    async def _stop(proxy: Upstream, connection: ClientConnection) -> None:
        try:
            await proxy.stop(connection.stream_id, connection.request_id, connection.principal.owner)
        except TransportError as failed:  # its proxy ends it, as one that nobody reads
            log.warning("stream.not_stopped", stream_id=connection.stream_id, how=failed.how)

    async def _start_at(
        self, proxy: Upstream, connection: ClientConnection, request: ModelRequest, leave: str, key: RepeatKey | None
    ) -> Hop:
        def ask(hop: Hop, follower: HopFollower, fresh: bool) -> Awaitable[HttpCall]:
            return proxy.start(request, leave, follower, hop, key=key, fresh=fresh)

        return (await self._open(proxy, connection, ask, starts=True))[0]

    def _take_back(self, connection: ClientConnection, follower: HopFollower | None, *, unseen: bool) -> None:
        if connection.proxy is not None and follower is not None:
            self._tasks.spawn(connection.proxy.depart(follower, unseen=unseen), "depart")

    async def _say_left(
        self, proxy: Upstream | None, follower: HopFollower | None, hop: Hop | None, *, unseen: bool
    ) -> None:
        left_at = time.monotonic()
        if hop is not None and hop.call is not None:
            await hop.call.released
            self._metrics.hop_closed(time.monotonic() - left_at)
        if proxy is not None and follower is not None:
            await proxy.depart(follower, unseen=unseen)

    async def _open(
        self, proxy: Upstream, connection: ClientConnection, ask: Open, *, starts: bool, fresh: bool = False
    ) -> tuple[Hop, Head]:
        connection.proxy = proxy
        hop, head = await self._head(connection, ask, fresh=fresh)
        if head.end is ResponseEnd.STALE:
            hop, head = await self._ask_once_more(connection, ask, starts=starts)
        if head.status == 0:
            self.client_left(connection, hop, unseen=True)
            raise ApiError(DISCONNECTED)
        if head.status not in {200, 204}:
            raise refused_by_proxy(hop.headers, head.body)
        return hop, head

    async def _ask_once_more(self, connection: ClientConnection, ask: Open, *, starts: bool) -> tuple[Hop, Head]:
        """A pooled connection had died, and the proxy may have taken the request all the same: that reader is no more.

        A generation that it began is taken back first, so that at most one runs; but a stream that it followed must
        not find itself without a reader.
        """
        self._metrics.hop_repeated("stale")
        lost = connection.follower
        if starts:
            self._take_back(connection, lost, unseen=True)
        hop, head = await self._head(connection, ask, fresh=True)
        if not starts:
            self._take_back(connection, lost, unseen=False)
        return hop, head

    async def _head(self, connection: ClientConnection, ask: Open, *, fresh: bool) -> tuple[Hop, Head]:
        principal, hop = connection.principal, Hop()
        owner, line = principal.owner, principal.line
        follower = HopFollower.new(connection.request_id, connection.trace, owner, line, connection.chat)
        connection.follower = follower
        try:
            async with asyncio.timeout(HEADERS_S):
                hop.call = await ask(hop, follower, fresh)
                connection.timeline.asked = connection.timeline.asked or time.monotonic()
                return hop, await hop.head
        except TransportError as exc:
            raise ApiError(UNAVAILABLE) from exc
        except TimeoutError as exc:
            self.client_left(connection, hop, unseen=True)
            raise ApiError(DISCONNECTED) from exc
        except asyncio.CancelledError:
            self.client_left(connection, hop, unseen=True)
            raise


def _most_hopeful(refusals: Sequence[ApiError]) -> ApiError:
    """Return the refusal that is told of several: the first after which asking again may help."""
    return next((one for one in refusals if one.failed.may_retry), refusals[0] if refusals else ApiError(UNAVAILABLE))
