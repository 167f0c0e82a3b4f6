"""A cable to a server whose answers take their time."""

import asyncio
from contextlib import suppress
from typing import Self


class SlowCable:
    """Passes bytes on to 127.0.0.1:``target_port``; what comes back is ``latency_s`` late."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.latency_s = 0.0
        self.port = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End every connection, and take no more."""
        self._server.close()
        for writer in self._open:
            writer.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        self._open |= {writer, target[1]}
        await asyncio.gather(self._pump(reader, target[1], late=False), self._pump(target[0], writer, late=True))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, late: bool) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if late and self.latency_s:
                    await asyncio.sleep(self.latency_s)
                sink.write(data)
                await sink.drain()
        sink.close()
