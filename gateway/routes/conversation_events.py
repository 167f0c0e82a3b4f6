"""GET /api/conversations/events: what changes in one's own conversations, at this gateway or at another."""

from typing import Final

from aiohttp import web

from gateway.conversations.watching import Listener, Watching
from gateway.guard.guard import PRINCIPAL
from gateway.relay.connection import ClientConnection, ClientConnections
from gateway.routes.conversations import NO_STORE
from gateway.settings import GatewaySettings
from gateway.store.refusals import NotFound
from services.http import edge
from services.http.sink import ChunkedSink, SinkWatch, open_sink
from services.wire import sse

PATH: Final = "/api/conversations/events"


class ConversationEvents:
    """Frames without ids or an end: who comes back reads the list again."""

    def __init__(self, watching: Watching | None, connections: ClientConnections, settings: GatewaySettings) -> None:
        self._watching = watching
        self._connections = connections
        self._settings = settings

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the one path."""
        router.add_get(PATH, self.follow, allow_head=False)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Tell until the client leaves, or this gateway stops."""
        if self._watching is None:
            raise NotFound(NO_STORE)
        principal = request[PRINCIPAL]
        connection = ClientConnection.begin(request[edge.REQUEST_ID], PATH, "events", principal=principal)
        self._connections.admit(connection, new_stream=True)
        listener = self._watching.begin(principal)
        try:
            return await self._told(request, listener)
        finally:
            self._watching.left(listener)
            self._connections.gone(connection)

    async def _told(self, request: web.Request, listener: Listener) -> web.StreamResponse:
        headers = {**sse.HEADERS, "X-Request-Id": request[edge.REQUEST_ID]}
        sink = await open_sink(request, headers)
        watch = self._watch(sink, listener)
        try:
            while not listener.is_over:
                if (frames := await listener.heard()) and not sink.write(frames):
                    await sink.drain()
        finally:
            watch.stop()
        sink.close()
        return sink.response

    def _watch(self, sink: ChunkedSink, listener: Listener) -> SinkWatch:
        def stuck() -> None:
            listener.end()
            sink.abort()

        return SinkWatch(
            sink,
            heartbeat=lambda: sse.HEARTBEAT,
            heartbeat_s=self._settings.heartbeat_s,
            write_timeout_s=self._settings.write_timeout_s,
            owes=lambda: sink.paused,
            on_stuck=stuck,
        )
