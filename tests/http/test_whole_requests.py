"""Requests that came by one read, whose parser is let go while they are answered, and all others: told apart alike.

This hangs on how aiohttp works inside (ARCHITECTURE.md): a new aiohttp that changes it fails here.
"""

import asyncio

import pytest
from aiohttp import web

from services.http import edge
from tests.http.served import connected, served

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
IN_A_ROW = {
    "bodies that look like the end of a head": [POST + b"1\r\n\r\nabcd", GET, POST + b"2\r\n\r\nGET "],
    "line ends before a request": [b"\r\n" + POST + b"123456789", b"\r\n\r\n" + GET],
    "a chunked body": [CHUNKED + b"4\r\nhalf\r\n5\r\nwhole\r\n0\r\n\r\n", GET, POST + b"123456789"],
    "an upgrade that is not made": [
        GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        POST + b"123456789",
    ],
}


async def _whole(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.mark.parametrize("what", IN_A_ROW)
async def test_requests_are_told_apart_wherever_they_are_cut(what: str) -> None:
    """Behind a request that came by one read another parser reads the next; cut is around line ends."""
    requests, bodies = IN_A_ROW[what], list[bytes]()

    def routes(router: web.UrlDispatcher) -> None:
        async def note(request: web.Request) -> web.Response:
            bodies.append(await edge.read_body(request, limit_bytes=1000, patience_s=30))
            return web.Response()

        router.add_route("*", "/", note)

    async with served(routes) as address, connected(address) as client:
        whole = b"".join(requests)
        cuts = [cut for cut in range(len(whole)) if b"\n" in whole[max(cut - 3, 0) : cut + 3]]
        for cut in cuts:
            for piece in (whole[:cut], whole[cut:]):
                client.send(piece)
                for _ in range(3):
                    await asyncio.sleep(0)  # the loop is the server's, too
            got = [(await client.answer())[0] for _ in requests]

            assert got == [200] * len(requests)

    expected = [request.partition(b"\r\n\r\n")[2] for request in (one.lstrip() for one in requests)]
    expected = [b"halfwhole" if b"chunked" in one else body for one, body in zip(requests, expected, strict=True)]
    assert bodies == expected * len(cuts)


async def test_a_request_that_came_by_one_read_holds_neither_a_parser_nor_its_headers_raw_while_it_is_answered() -> (
    None
):
    held: list[object] = []

    def routes(router: web.UrlDispatcher) -> None:
        async def look(request: web.Request) -> web.Response:
            held.append((request.protocol._parser, request.raw_headers))  # noqa: SLF001 aiohttp shows it nowhere
            return web.Response(body=await request.read() + await request.read())

        router.add_route("*", "/", look)

    async with served(routes) as address, connected(address) as client:
        client.send(GET)
        await client.until(b"\r\n\r\n")
        client.send(POST + b"123456789")
        await client.until(b"123456789" * 2)

    assert held == [(None, ())] * 2


async def test_a_piece_of_a_request_behind_one_that_waits_is_not_lost() -> None:
    """Three bytes: as long as the end of a head that is looked for and not found."""
    answering, go_on = asyncio.Event(), asyncio.Event()

    def routes(router: web.UrlDispatcher) -> None:
        async def wait(_request: web.Request) -> web.Response:
            answering.set()
            await go_on.wait()
            return web.Response()

        router.add_get("/", wait)

    async with served(routes) as address, connected(address) as client:
        client.send(GET)
        await asyncio.wait_for(answering.wait(), 5)
        for piece in (GET, GET[:3], GET[3:]):
            client.send(piece)
            for _ in range(3):
                await asyncio.sleep(0)
        go_on.set()
        got = [(await client.answer())[0] for _ in range(3)]

    assert got == [200] * 3


async def test_what_follows_a_request_to_close_is_not_answered() -> None:
    async with served(lambda router: router.add_get("/", _whole)) as address, connected(address) as client:
        client.send(GET[:-2] + b"Connection: close\r\n\r\n")
        for _ in range(3):
            await asyncio.sleep(0)
        client.send(GET)
        raw = await client.rest()

    assert raw.count(b"HTTP/1.1 200 ") == raw.count(b"HTTP/1.1 ") == 1
