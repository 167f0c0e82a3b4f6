"""A cable between two servers that a test can cut, or let fall silent."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import Final

from tests.eventually import soon

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_PIECE_BYTES: Final = 1 << 16


class TcpRelay:
    """Passes bytes on between those who connect and 127.0.0.1:``target_port``.

    On a silent connection nothing comes back from the target any more, and the target does not hear of its client's
    end, though what is sent to it still arrives. ``last_word_at`` is when anything came back last, on any connection.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._speaking: set[asyncio.Event] = set()
        self._new_ones_speak = True
        self.last_word_at = 0.0
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def carries(self) -> bool:
        """Whether any connection is open."""
        return bool(self._open)

    def fall_silent(self, *, new_ones_too: bool = False) -> None:
        """Hold the target's words back from now on, on what is open now."""
        self._new_ones_speak = not new_ones_too
        for speaking in self._speaking:
            speaking.clear()

    def speak(self) -> None:
        """Pass the target's words on again, those held back first."""
        self._new_ones_speak = True
        for speaking in self._speaking:
            speaking.set()

    def cut(self, *, reset: bool = False) -> None:
        """End every connection, on both sides; new ones are taken."""
        self.speak()
        for writer in tuple(self._open):
            if reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def refuse(self) -> None:
        """Take no new connections any more."""
        if self._server is not None:
            self._server.close()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair, speaking = {writer}, asyncio.Event()
        if self._new_ones_speak:
            speaking.set()
        self._open.add(writer)  # before the target is connected: a cut cuts what has only been taken, too
        self._speaking.add(speaking)
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            pair.add(target_writer)
            self._open.add(target_writer)
            back = self._pass_back(target_reader, writer, speaking)
            await asyncio.gather(self._pass_on(reader, target_writer, speaking), back)
        finally:
            self._open -= pair
            self._speaking.discard(speaking)
            for side in pair:
                side.transport.abort()

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speaking: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE_BYTES):
                writer.write(data)
                await writer.drain()
        await speaking.wait()
        writer.transport.abort()  # whoever left has left, on both sides

    async def _pass_back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speaking: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE_BYTES):
                await speaking.wait()
                self.last_word_at = time.monotonic()
                writer.write(data)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def relay_to(target_port: int) -> AsyncIterator[TcpRelay]:
    """Run a relay while the block lasts."""
    relay = TcpRelay(target_port)
    await relay.start()
    try:
        yield relay
    finally:
        relay.refuse()
        relay.speak()
        relay.cut()
        await soon(lambda: not relay.carries, "the relay's connections are closed")
