"""Clients of the chain: a well-behaved one, and raw sockets for those that are not."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from services.wire.sse import ServerSentEvent, SseDecoder


@dataclass
class Answer:
    """What one connection brought; ``ended_cleanly`` is whether the body had its last chunk."""

    status: int
    headers: Mapping[str, str]
    events: list[ServerSentEvent] = field(default_factory=list)
    body: bytes = b""
    wire: bytearray = field(default_factory=bytearray)  # the body as it came, whatever its type
    ended_cleanly: bool = False

    @property
    def data(self) -> list[dict[str, Any]]:
        """The events' data."""
        return [json.loads(event.data) for event in self.events]

    @property
    def text(self) -> str:
        """The answer's text, native or seed."""
        return "".join(
            str(data.get("content") or "") if data.get("type") == "token" else str(data.get("token") or "")
            for data in self.data
        )

    @property
    def thinking(self) -> str:
        """The model's reasoning, native or seed."""
        return "".join(
            str(data.get("content") or "") if data.get("type") == "thinking" else str(data.get("thinking") or "")
            for data in self.data
        )

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls (native)."""
        return [data for data in self.data if data.get("type") == "tool_call"]

    @property
    def last_id(self) -> str:
        """What a client would send as Last-Event-ID."""
        return next((event.last_event_id for event in reversed(self.events) if event.last_event_id), "")

    @property
    def last_number(self) -> int:
        """The number of :attr:`last_id`."""
        return int(self.last_id.rpartition("-")[2] or 0)

    @property
    def stream_id(self) -> str:
        """The stream."""
        return self.headers.get("X-Stream-Id", "")

    @property
    def path(self) -> str:
        """Where it is followed, and with ``/cancel`` behind it stopped, at a gateway."""
        return f"/api/chat/stream/{self.stream_id}"

    @property
    def end(self) -> dict[str, Any] | None:
        """The terminal event's data, if the connection carried one."""
        ends = [data for data in self.data if data.get("type") in {"done", "error"} or data.get("done") is True]
        assert len(ends) <= 1, "more than one terminal event"
        return ends[0] if ends else None

    @property
    def reason(self) -> str:
        """The finish reason or the error code; "" without a terminal event."""
        end = self.end
        if end is None:
            return ""
        reason = end["error"]["code"] if "error" in end else end.get("finish_reason") or end.get("done_reason")
        return str(reason)

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal before the stream."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error

    @property
    def failure(self) -> dict[str, Any]:
        """The error object of a failure without a word: several attempts may outlast the second that headers wait."""
        assert self.text == ""
        error: dict[str, Any] = self.end["error"] if self.end else self.error
        return error


class Reading:
    """One open connection, read as far as the test wants."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._decoder = SseDecoder()
        self.answer = Answer(response.status, response.headers)

    async def until_tokens(self, count: int) -> Answer:
        """Read until at least ``count`` content events have come."""
        while sum(1 for event in self.answer.events if _is_content(event)) < count:
            if not await self._more():
                break
        return self.answer

    async def some(self) -> bytes:
        """Read what comes next, and return the body so far, whatever its type."""
        await self._more()
        return bytes(self.answer.wire)

    async def until(self, condition: Callable[[Answer], Any]) -> Answer:
        """Read until ``condition`` holds.

        Raises:
            AssertionError: the body ended before.
        """
        while not condition(self.answer):
            assert await self._more() or condition(self.answer), f"ended before: {self.answer}"
        return self.answer

    async def until_end(self) -> Answer:
        """Read to the end of the body."""
        while await self._more():
            pass
        return self.answer

    def leave(self) -> None:
        """Close the connection as a browser's closed tab does."""
        self._response.close()

    async def _more(self) -> bool:
        try:
            chunk = await self._response.content.readany()
        except aiohttp.ClientPayloadError:
            return False
        if not chunk:
            self.answer.ended_cleanly = True
            return False
        self.answer.wire += chunk
        if self._response.content_type == "text/event-stream":
            self.answer.events.extend(self._decoder.feed(chunk))
        else:
            self.answer.body += chunk
        return True


def _is_content(event: ServerSentEvent) -> bool:
    if event.type in {"token", "thinking", "tool_call"}:
        return True
    return event.type == "message" and not json.loads(event.data)["done"]


class Client:
    """Asks one server; ``async with Client(url) as client``, and with ``tls`` if it speaks that."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._tls = tls

    async def __aenter__(self) -> Self:
        """Open."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._tls or True)
        self.session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=60), read_bufsize=1 << 16
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.session.close()

    @contextlib.asynccontextmanager
    async def open(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Reading]:
        """Open one connection."""
        async with self.session.request(method, self.url + path, json=body, headers=headers) as response:
            yield Reading(response)

    async def ask(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """POST and read to the end."""
        async with self.open("POST", path, body, headers) as reading:
            return await reading.until_end()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET and read to the end."""
        async with self.open("GET", path, None, headers) as reading:
            return await reading.until_end()

    async def chat(self, model: str, message: str = "hi", **fields: Any) -> Answer:
        """Ask the gateway's native chat route."""
        return await self.ask("/api/chat/stream", {"model": model, "message": message, **fields})


async def raw_exchange(host: str, port: int, data: bytes, *, within_s: float = 5.0) -> bytes:
    """Send bytes and return everything that comes until the server closes."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        async with asyncio.timeout(within_s):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
