"""The cable passes everything on untouched, but for the hops whose id asks for a fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.eventually import soon
from tests.faults.cable import Cable
from tests.faults.hop_fault import Bend, HopFault, RequestId

BODY = bytes(range(256)) * 40
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A cable before a server that answers each request with HEAD and BODY."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1 << 16):
                writer.write(HEAD + BODY)
                await writer.drain()
        await closed(writer)

    target = await asyncio.start_server(answer, "127.0.0.1", 0)
    cable = Cable(target.sockets[0].getsockname()[1])
    server = await asyncio.start_server(cable.serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    target.close()
    await soon(lambda: len(asyncio.all_tasks()) == 1, "every connection is over")


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def hop(fault: HopFault | None, line: str = "POST /api/chat/stream") -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {RequestId(1, fault)}\r\n\r\n".encode()


async def asked(port: int, request: bytes, within_s: float = 5.0) -> bytes:
    """Return all that comes until the whole answer is here, or the connection is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    got = b""
    try:
        async with asyncio.timeout(within_s):
            while len(got) < len(HEAD + BODY) and (data := await reader.read(1 << 16)):
                got += data
    except (ConnectionResetError, TimeoutError):
        pass
    await closed(writer)
    return got


@pytest.mark.parametrize(
    "fault",
    [None, HopFault(Bend.PAUSE, 100), HopFault(Bend.DRIP, 500), HopFault(Bend.PIECES, 7), HopFault(Bend.CUT, 20_000)],
)
async def test_what_breaks_nothing_changes_nothing(port: int, fault: HopFault | None) -> None:
    assert await asked(port, hop(fault)) == HEAD + BODY


@pytest.mark.parametrize("bend", [Bend.CUT, Bend.RESET])
async def test_a_hop_is_cut_after_so_many_bytes_of_its_body_as_often_as_asked(port: int, bend: Bend) -> None:
    fault = HopFault(bend, 1234, times=2)
    answers = [await asked(port, hop(fault)) for _ in range(3)]

    assert answers[2] == HEAD + BODY
    assert all((HEAD + BODY[:1234]).startswith(answer) for answer in answers[:2])
    if bend is Bend.CUT:
        assert answers[:2] == [HEAD + BODY[:1234]] * 2


async def test_a_headless_hop_brings_nothing(port: int) -> None:
    assert await asked(port, hop(HopFault(Bend.HEADLESS))) == b""


async def test_a_silent_hop_stays_open(port: int) -> None:
    assert await asked(port, hop(HopFault(Bend.SILENCE, 10)), within_s=0.3) == HEAD + BODY[:10]


@pytest.mark.parametrize("line", ["DELETE /api/followers/x", "GET /api/tags", "GET /readyz"])
async def test_what_is_no_hop_passes_whatever_its_id_says(port: int, line: str) -> None:
    assert await asked(port, hop(HopFault(Bend.HEADLESS), line)) == HEAD + BODY


async def test_a_follow_is_a_hop(port: int) -> None:
    assert await asked(port, hop(HopFault(Bend.HEADLESS), "GET /api/streams/abcd.X?after=3")) == b""
