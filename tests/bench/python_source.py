"""The model server in Python, where there is no C compiler: what native/source.c does, at a tenth of its speed.

Stdout: its port; then ``gone <stream> <ns>`` whenever a reader leaves an answer that is not over.
"""

import asyncio
import re
import sys
import time
from collections.abc import Mapping
from typing import Final, cast

import uvloop

BUFFERED_BYTES: Final = 64 << 10  # owed to a reader that does not read; then no token is made
WORDS: Final = (" the", " model", " answers", " word", " by", "\\n", ' \\"so\\"', " caf\u00e9")
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
LINE: Final = '{"model":"bench","created_at":"2026-01-01T00:00:00Z",%s,"done":%s}\n'
MODEL: Final = '{"models":[{"name":"bench:latest","model":"bench:latest","details":{},"capabilities":["completion"]}]}'
WHOLE: Final[Mapping[str, str]] = {
    "GET /api/tags": MODEL,
    "GET /api/ps": MODEL,
    "GET /api/version": '{"version":"0.33.0"}',
    "POST /api/show": '{"details":{},"model_info":{},"capabilities":["completion"]}',
}
FORMS: Final[Mapping[str, str]] = {
    "POST /api/chat": '"message":{"role":"assistant","content":"%s"}',
    "POST /api/generate": '"response":"%s"',
}
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ORDER: Final = re.compile(rb"(tokens|rate|wait|stream)=(\d+)")


def chunk(line: str) -> bytes:
    """Return a line as one chunk of HTTP, as Go writes it."""
    data = line.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """One client: its requests one after the other, and the answer that is being made."""

    def __init__(self) -> None:
        self._buffer = b""
        self._form = ""  # of the answer that is being made
        self._order: dict[str, int] = {}
        self._sent = 0
        self._arrived_ns = 0
        self._due_s = 0.0
        self._full = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._transport.set_write_buffer_limits(high=BUFFERED_BYTES)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._read_requests()

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._form:
            print(f"gone {self._order.get('stream', 0)} {time.monotonic_ns()}", flush=True)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._form:
            self._speak()

    def _read_requests(self) -> None:
        while not self._form and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, length = self._buffer[:end], _LENGTH.search(self._buffer[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._answer(b" ".join(head.split(b" ", 2)[:2]).decode(), body)

    def _answer(self, asked: str, body: bytes) -> None:
        if asked not in FORMS:
            status, words = ("200 OK", WHOLE[asked]) if asked in WHOLE else ("404 Not Found", '{"error":"not found"}')
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(words)}\r\n\r\n"
            self._transport.write((head + words).encode())
            return
        self._form, self._sent, self._arrived_ns = FORMS[asked], 0, time.monotonic_ns()
        self._order = {name.decode(): int(number) for name, number in _ORDER.findall(body)}
        wait_s = self._order.get("wait", 0) / 1000
        self._due_s = time.monotonic() + wait_s
        self._later(wait_s) if wait_s else self._speak()

    def _later(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), self._speak)

    def _speak(self) -> None:
        """Make the tokens that are due, or as many as there is room for."""
        tokens, rate = self._order.get("tokens", 0), self._order.get("rate", 0)
        if self._sent == 0:
            self._transport.write(HEAD)
        while self._sent < tokens and not self._full and (not rate or self._due_s <= time.monotonic()):
            self._transport.write(chunk(LINE % (self._form % self._text(), "false")))
            self._sent += 1
            self._due_s += 1 / rate if rate else 0
        if self._sent >= tokens:
            numbers = f'true,"done_reason":"stop","eval_count":{tokens},"eval_duration":1000000'
            self._transport.write(chunk(LINE % (self._form % "", numbers)) + b"0\r\n\r\n")
            self._form = ""
            self._read_requests()
        elif not self._full:
            self._later(self._due_s - time.monotonic())

    def _text(self) -> str:
        arrived = "" if self._sent else f"#{self._arrived_ns}"
        word = WORDS[(self._order.get("stream", 0) + self._sent) % len(WORDS)]
        return f"{word}{arrived}@{time.monotonic_ns()}"


async def serve() -> None:
    """Serve until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
