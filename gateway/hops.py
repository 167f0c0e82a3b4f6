"""Opening hops to the proxy, and what is owed to it when one does not come about."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.connection import ClientConnection
from gateway.errors import DISCONNECTED, UNAVAILABLE, refused_by_proxy
from gateway.metrics import GatewayMetrics
from gateway.relay import Head, Hop
from gateway.upstream import Follower, Upstream
from services.runtime.http_client import CallFailed
from services.runtime.http_connection import Call, End
from services.runtime.tasks import Tasks
from services.wire.chat import GatewayRequest
from services.wire.events import Refused

HEADERS_S: Final = 6.0
"""The proxy commits after one second at the latest; six without headers and it is stuck."""

Open = Callable[[Hop, bool], Awaitable[Call]]


class Hops:
    """Starts and follows streams for connections, and tells the proxy when a client left."""

    def __init__(self, upstream: Upstream, metrics: GatewayMetrics, tasks: Tasks) -> None:
        self._upstream = upstream
        self._metrics = metrics
        self._tasks = tasks

    async def start(self, connection: ClientConnection, asked: GatewayRequest, body: dict[str, object]) -> Hop:
        """Start a stream. Once its headers came a second generation is never started.

        Raises:
            Refused: by the proxy, or because there is none.
        """
        follower = connection.follower = Follower.new(connection.request_id)
        leave = asked.on_disconnect

        def ask(hop: Hop, fresh: bool) -> Awaitable[Call]:
            return self._upstream.start(asked.kind, body, leave, follower, hop, fresh=fresh)

        return (await self._open(connection, ask))[0]

    async def follow(self, connection: ClientConnection, position: int | str) -> Hop | None:
        """Follow the connection's stream after a number; None if it is over and nothing follows (204).

        Raises:
            Refused: by the proxy, or because there is none.
        """
        follower = connection.follower = Follower.new(connection.request_id)

        def ask(hop: Hop, fresh: bool) -> Awaitable[Call]:
            return self._upstream.follow(connection.stream_id, position, follower, hop, fresh=fresh)

        hop, head = await self._open(connection, ask)
        return None if head.status == 204 else hop

    async def follow_again(self, connection: ClientConnection, position: int) -> Hop | None:
        """Follow again after a hop broke; None if the stream cannot be had."""
        self._metrics.retries.labels("hop").inc()
        try:
            return await self.follow(connection, position)
        except Refused:
            return None

    def client_left(self, connection: ClientConnection, hop: Hop | None, *, unseen: bool) -> None:
        """Close the hop and say so: from a task of the app, since the handler is cancelled.

        Args:
            unseen: the client never got the headers, so nobody can come back.
        """
        if hop is not None:
            hop.abort()
        self._tasks.spawn(self._say_left(connection, hop, unseen=unseen), "depart")

    async def _say_left(self, connection: ClientConnection, hop: Hop | None, *, unseen: bool) -> None:
        left_at = time.monotonic()
        if hop is not None and hop.call is not None:
            await hop.call.released
            self._metrics.hop_closed(time.monotonic() - left_at)
        if connection.follower is not None:
            await self._upstream.depart(connection.follower, unseen=unseen)

    async def _open(self, connection: ClientConnection, ask: Open) -> tuple[Hop, Head]:
        hop, head = await self._head(connection, ask, fresh=False)
        if head.end is End.STALE:  # a pooled connection had died: nothing was taken, ask at once
            self._metrics.retries.labels("stale").inc()
            hop, head = await self._head(connection, ask, fresh=True)
        if head.status == 0:
            self.client_left(connection, hop, unseen=True)
            raise Refused(DISCONNECTED)
        if head.status not in {200, 204}:
            raise refused_by_proxy(head.headers, head.body)
        return hop, head

    async def _head(self, connection: ClientConnection, ask: Open, *, fresh: bool) -> tuple[Hop, Head]:
        hop = Hop()
        try:
            async with asyncio.timeout(HEADERS_S):
                hop.call = await ask(hop, fresh)
                connection.timeline.asked = connection.timeline.asked or time.monotonic()
                return hop, await hop.head
        except CallFailed as exc:
            raise Refused(UNAVAILABLE) from exc
        except TimeoutError as exc:
            self.client_left(connection, hop, unseen=True)
            raise Refused(DISCONNECTED) from exc
        except asyncio.CancelledError:
            self.client_left(connection, hop, unseen=True)
            raise
