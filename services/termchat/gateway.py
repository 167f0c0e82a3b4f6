"""The calls of the terminal chat: the one file that touches the network.

By our own HTTP client (`services.http`): it hands bytes on in the callback that brought them, so nothing of an answer
is lost when a connection breaks; a cancel is one more call beside the one that is read; a base path is part of a path.
Refused: aiohttp's client, which loses buffered bytes when a connection breaks and takes 0.2 s to import; httpx, which
is as slow to import and the tests' alone.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from services.http.client import HttpClient, HttpResponse, TransportError
from services.http.connection import HttpCall, HttpRequest, ResponseEnd
from services.termchat.server_url import ServerUrl
from services.wire.sse import EventTooLong, ServerSentEvent, SseDecoder

CONNECT_TIMEOUT_S: Final = 5.0
ASK_TIMEOUT_S: Final = 10.0
LIST_BYTES: Final = 64 << 20
"""Of a page of messages: 8 MiB of text (PROTOCOL.md, "Conversations"), six characters of JSON for one at worst."""
REFUSAL_BYTES: Final = 64 << 10  # an error object is a line
SSE: Final = "text/event-stream"


class AnswerConnection:
    """One connection that carries an answer: what came and was not yet taken, and how it ended.

    ``came`` is set whenever there is something new, and by whoever wants its reader to wake.
    """

    def __init__(self, came: asyncio.Event) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.events: deque[ServerSentEvent] = deque()  # what one turn of the loop brought: its reader takes all
        self.body = bytearray()
        self.end: ResponseEnd | None = None
        self.beats = 0  # times that anything came, heartbeats too
        self.call: HttpCall | None = None
        self._came = came
        self._decoder = SseDecoder()

    @property
    def carries_frames(self) -> bool:
        """Whether it is an answer's, and not a refusal."""
        return self.status == 200 and self.headers.get("content-type", "").lower().startswith(SSE)

    async def over(self) -> None:
        """Return when it has ended."""
        while self.end is None:
            self._came.clear()
            await self._came.wait()

    def close(self) -> None:
        """Take nothing more."""
        if self.call is not None:
            self.call.abort()

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the head."""
        self.status, self.headers = status, headers
        self._touch()

    def on_bytes(self, data: bytes, _framed: bytes = b"") -> None:
        """Decode frames; keep the beginning of a refusal."""
        if not self.carries_frames:
            self.body += data[: REFUSAL_BYTES - len(self.body)]
        else:
            try:
                self.events.extend(self._decoder.feed(data))
            except EventTooLong:  # nothing of ours is that long
                self.close()
                self.end = ResponseEnd.MALFORMED
        self._touch()

    def on_end(self, end: ResponseEnd) -> None:
        """Note the end."""
        self.end = end
        self._touch()

    def _touch(self) -> None:
        self.beats += 1
        self._came.set()


class Gateway:
    """One server of ours, as the terminal chat asks it: a gateway, or for operators the proxy.

    Args:
        server: where it is.
        headers: sent with every request.
        tls: whom to trust, where ``server`` is secure.
    """

    def __init__(self, server: ServerUrl, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        self.server = server
        self._headers = headers
        self._client = HttpClient(server.host, server.port, connect_timeout_s=CONNECT_TIMEOUT_S, tls=tls)

    async def ask(self, body: Mapping[str, Any], key: str, came: asyncio.Event) -> AnswerConnection:
        """Ask for an answer; the same ``key`` and body again join it.

        Raises:
            TransportError: no connection came up; so for the other calls.
        """
        headers = {"Content-Type": "application/json", "Accept": SSE, "Idempotency-Key": key}
        return await self._open("POST", "/api/chat/stream", came, headers, json.dumps(body).encode())

    async def follow(self, stream_id: str, after: int, came: asyncio.Event) -> AnswerConnection:
        """Take up an answer after the event with this number."""
        return await self._open("GET", f"/api/chat/stream/{stream_id}?after={after}", came, {"Accept": SSE})

    async def cancel(self, stream_id: str) -> AnswerConnection:
        """Ask for an answer's stop, and return when that is on its way; its answer may be waited for."""
        return await self._open("POST", f"/api/chat/stream/{stream_id}/cancel", asyncio.Event(), {})

    async def decide(self, stream_id: str, call_id: str, *, approve: bool) -> AnswerConnection:
        """Say whether a tool may run, and return when that is on its way; what comes of it, the answer says."""
        path = f"/api/chat/stream/{stream_id}/tools/{quote(call_id, safe='')}"
        body = json.dumps({"approve": approve}).encode()
        return await self._open("POST", path, asyncio.Event(), {"Content-Type": "application/json"}, body)

    async def get(self, path: str) -> HttpResponse:
        """Return what is there."""
        return await self._fetch("GET", path)

    async def post(self, path: str, body: bytes) -> HttpResponse:
        """Make what JSON describes."""
        return await self._fetch("POST", path, body)

    async def delete(self, path: str) -> HttpResponse:
        """Do away with what is there."""
        return await self._fetch("DELETE", path)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def _open(
        self, method: str, path: str, came: asyncio.Event, headers: Mapping[str, str], body: bytes = b""
    ) -> AnswerConnection:
        connection = AnswerConnection(came)
        request = HttpRequest(method, self.server.base + path, {**self._headers, **headers}, body)
        # fresh: an idle connection may have died unseen, and a person's next question comes after minutes
        connection.call = await self._client.open(request, connection, fresh=True)
        return connection

    async def _fetch(self, method: str, path: str, body: bytes = b"") -> HttpResponse:
        kind = {"Content-Type": "application/json"} if body else {}
        request = HttpRequest(
            method, self.server.base + path, {**self._headers, "Accept": "application/json", **kind}, body
        )
        return await self._client.fetch(request, max_bytes=LIST_BYTES, timeout_s=ASK_TIMEOUT_S)


__all__ = ["AnswerConnection", "Gateway", "HttpResponse", "TransportError"]
