"""A cable between a gateway and the proxy, as a process: it spoils the hops whose request's id asks for it.

    SLUICE_CABLE_TARGET=port python -m tests.faults.cable

What is asked for is in the id (:mod:`.hop_fault`), as a simulated model's fault is in its name, so nothing has to be
told to the cable and a run's fault finds its hop among hundreds. Requests pass as they come.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Coroutine
from random import Random
from typing import Any, Final

from tests.faults.hop_fault import Bend, HopFault, RequestId

PAUSE_S: Final = 0.3
MAX_IDS: Final = 100_000
_PIECE_BYTES: Final = 1 << 16
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_STARTS: Final = re.compile(rb"(?:POST /api/(?:chat|generate)/stream|GET /api/streams/\S+\?after=\d+) HTTP/1\.1\r\n")
_ANY: Final = re.compile(rb"(?:GET|POST|DELETE|HEAD) /\S* HTTP/1\.1\r\n")
_ID: Final = re.compile(rb"\r\nx-request-id: *([\w-]+)\r\n", re.IGNORECASE)


class Broken(Exception):
    """The connection is to end here."""


class Answer:
    """Passes one answer back, as its fault says.

    Args:
        fault: None where it passes untouched.
    """

    def __init__(self, writer: asyncio.StreamWriter, fault: HopFault | None) -> None:
        self._writer = writer
        self._fault = fault
        self._head = bytearray()
        self._in_body = False
        self._passed = 0
        self._dice = Random(fault.at if fault else 0)

    async def take(self, data: bytes) -> None:
        """Pass ``data`` on.

        Raises:
            Broken: the fault ends the connection.
        """
        if self._fault is None:
            await self._write(data)
            return
        if self._fault.bend is Bend.HEADLESS:
            raise Broken
        if not self._in_body:
            self._head += data
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            self._in_body = True
            await self._write(bytes(self._head[:end]))
            data = bytes(self._head[end:])
        if data:
            await self._bend(self._fault, data)
            self._passed += len(data)

    async def _bend(self, fault: HopFault, data: bytes) -> None:
        before = max(0, fault.at - self._passed)
        reached = self._passed < fault.at <= self._passed + len(data)
        match fault.bend:
            case Bend.DRIP:
                for start in range(min(before, len(data))):
                    await self._write(data[start : start + 1])
                    await asyncio.sleep(0)
                await self._write(data[before:])
            case Bend.PIECES:
                while data:
                    size = self._dice.randint(1, fault.at)
                    await self._write(data[:size])
                    await asyncio.sleep(0)
                    data = data[size:]
            case _ if not reached:
                await self._write(data)
            case Bend.PAUSE:
                await self._write(data[:before])
                await asyncio.sleep(PAUSE_S)
                await self._write(data[before:])
            case Bend.SILENCE:
                await self._write(data[:before])
                await asyncio.Event().wait()
            case _:
                await self._write(data[:before])
                if fault.bend is Bend.RESET:
                    reset(self._writer)
                raise Broken

    async def _write(self, data: bytes) -> None:
        if data:
            self._writer.write(data)
            await self._writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Let its end be an RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Cable:
    """Joins who connects to 127.0.0.1:``target_port``."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._hops: Counter[str] = Counter()  # so many hops each id has had

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        answers: list[Answer] = [Answer(writer, None)]
        pumps = [self._pass_on(reader, target_writer, writer, answers), self._pass_back(target_reader, answers)]
        with contextlib.suppress(Broken, OSError):
            await _first_of(*pumps)
        for side in (writer, target_writer):
            if side.transport.get_write_buffer_size():
                side.transport.abort()  # its reader is stuck
            side.close()
            with contextlib.suppress(OSError):
                await side.wait_closed()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        answers: list[Answer],
    ) -> None:
        while data := await reader.read(_PIECE_BYTES):
            if _ANY.match(data):  # a body is JSON, and never begins so
                answers[0] = Answer(writer, self._fault_of(data))
            target.write(data)
            await target.drain()

    @staticmethod
    async def _pass_back(target: asyncio.StreamReader, answers: list[Answer]) -> None:
        while data := await target.read(_PIECE_BYTES):
            await answers[0].take(data)

    def _fault_of(self, head: bytes) -> HopFault | None:
        """Return what is to be done to the answer of a request, if it is a hop that asks for it."""
        found = _ID.search(head) if _STARTS.match(head) else None
        asked = RequestId.read(found[1].decode()) if found else None
        if asked is None or asked.fault is None:
            return None
        if len(self._hops) > MAX_IDS:
            self._hops.clear()
        self._hops[str(asked)] += 1
        return asked.fault if self._hops[str(asked)] <= asked.fault.times else None


async def _first_of(*pumps: Coroutine[Any, Any, None]) -> None:
    """Run the pumps until one ends."""
    tasks = [asyncio.get_running_loop().create_task(pump) for pump in pumps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> None:
    """Listen, say where, and serve until a signal."""
    cable = Cable(int(os.environ["SLUICE_CABLE_TARGET"]))
    server = await asyncio.start_server(cable.serve, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"event": "listening", "address": f"127.0.0.1:{port}"}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
