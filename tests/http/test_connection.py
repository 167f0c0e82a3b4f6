import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from services.http.client import HttpClient
from services.http.connection import OVERHEAD_BYTES, HttpCall, HttpRequest, ResponseEnd
from tests.eventually import soon
from tests.http.raw_server import Heard, Peer, RawServer, raw_server, released

ASK = HttpRequest("POST", "/api/chat", {"Content-Type": "application/json"}, b'{"model":"m"}')
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
"""They differ in what a broken connection says."""


class Exchange:
    """One request on its way, seen from both sides."""

    def __init__(self, server: RawServer, client: HttpClient, peer: Peer, heard: Heard, call: HttpCall) -> None:
        self.server, self.client, self.peer, self.heard, self.call = server, client, peer, heard, call

    async def again(self) -> tuple[Heard, HttpCall]:
        """Ask once more, on a pooled connection if there is one."""
        heard = Heard()
        return heard, await self.client.open(ASK, heard)


@asynccontextmanager
async def asked() -> AsyncIterator[Exchange]:
    """A request that the server has read and not answered."""
    with raw_server() as server:
        client = HttpClient("127.0.0.1", server.port, connect_timeout_s=5)
        heard = Heard()
        call = await client.open(ASK, heard)
        peer = server.accept()
        peer.asked()
        try:
            yield Exchange(server, client, peer, heard, call)
        finally:
            await client.close()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# --- whole answers

WHOLE: dict[str, tuple[bytes, int, bytes]] = {
    "Content-Length": (OK + b"Content-Length: 5\r\n\r\nhello", 200, b"hello"),
    "no body": (OK + b"Content-Length: 0\r\n\r\n", 200, b""),
    "chunks": (CHUNKED + chunk(b"hel") + chunk(b"lo") + b"0\r\n\r\n", 200, b"hello"),
    "chunks with extensions": (CHUNKED + b"5;a=b\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
    "trailers": (CHUNKED + chunk(b"hello") + b"0\r\nX-Sum: 1\r\n\r\n", 200, b"hello"),
    "an interim answer first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
    "early hints first": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
        200,
        b"ok",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "another status": (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 503, b"busy"),
}


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_is_heard_whole_and_its_connection_is_kept(name: str, piece: int) -> None:
    answer, status, body = WHOLE[name]
    async with asked() as exchange:
        for at in range(0, len(answer), piece):
            exchange.peer.send(answer[at : at + piece])
            if piece < 100:
                await one_read()
        end = await exchange.heard.end()

        assert (exchange.heard.heads, exchange.heard.body, end) == ([status], body, ResponseEnd.COMPLETE)
        assert exchange.client.connections.idle == 1
        assert exchange.call.released.done()


async def one_read() -> None:
    """Let the loop read what was sent: each piece is a read of its own."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "answer",
    [OK + b"\r\nhello", b"HTTP/1.0 200 OK\r\n\r\nhello", OK + b"Connection: close\r\n\r\nhello"],
    ids=["no framing", "HTTP/1.0", "said so"],
)
async def test_a_body_that_the_close_ends_is_whole_and_its_connection_is_not_kept(answer: bytes) -> None:
    async with asked() as exchange:
        exchange.peer.send(answer)
        exchange.peer.fin()
        end = await exchange.heard.end()

        assert (exchange.heard.body, end) == (b"hello", ResponseEnd.COMPLETE)
        assert exchange.client.connections.idle == 0


@pytest.mark.parametrize("version", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
async def test_a_framed_body_whose_server_will_close_ends_at_its_length(version: bytes) -> None:
    async with asked() as exchange:
        exchange.peer.send(version + b"Content-Length: 5\r\n\r\nhello")
        end = await exchange.heard.end()

        assert (exchange.heard.body, end) == (b"hello", ResponseEnd.COMPLETE)
        assert exchange.client.connections.idle == 0
        assert await exchange.peer.sees_the_close()


async def test_header_names_are_in_lower_case_and_trailers_are_none() -> None:
    async with asked() as exchange:
        exchange.peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nSluice-Heartbeat: 10\r\n\r\n"))
        exchange.peer.send(chunk(b"x") + b"0\r\nSluice-Heartbeat: 99\r\n\r\n")
        await exchange.heard.end()

        assert exchange.heard.headers["sluice-heartbeat"] == "10"


async def test_what_one_read_brings_is_handed_on_at_once() -> None:
    async with asked() as exchange:
        exchange.peer.send(CHUNKED + chunk(b"a") + chunk(b"b") + chunk(b"c"))
        await soon(lambda: exchange.heard.chunks, "bytes came")

        assert exchange.heard.chunks == [b"abc"]
        assert exchange.heard.ends == []


@pytest.mark.parametrize("more", [b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nevil", b"garbage", b"\x00" * 40])
async def test_what_follows_a_whole_answer_in_one_read_is_no_part_of_it_and_ends_the_connection(more: bytes) -> None:
    """T13: nothing that nobody asked for can pass for this answer, or for the next one."""
    async with asked() as exchange:
        exchange.peer.send(OK + b"Content-Length: 2\r\n\r\nok" + more)
        end = await exchange.heard.end()

        assert (exchange.heard.heads, exchange.heard.body, end) == ([200], b"ok", ResponseEnd.COMPLETE)
        assert await exchange.peer.sees_the_close()
        heard, _ = await exchange.again()
        assert exchange.server.has_another
        assert heard.heads == []


async def test_what_follows_a_whole_answer_later_ends_the_idle_connection() -> None:
    async with asked() as exchange:
        exchange.peer.send(OK + b"Content-Length: 2\r\n\r\nok")
        await exchange.heard.end()
        exchange.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await soon(lambda: exchange.client.connections.idle == 0, "it is no longer kept")

        assert exchange.heard.body == b"ok"


# --- answers that break

BROKEN: dict[str, bytes] = {
    "no byte": b"",
    "half a head": OK + b"Content-Le",
    "a head alone": OK + b"Content-Length: 5\r\n\r\n",
    "half a body": OK + b"Content-Length: 5\r\n\r\nhel",
    "between chunks": CHUNKED + chunk(b"hel"),
    "inside a chunk": CHUNKED + b"5\r\nhel",
    "inside a chunk's size": CHUNKED + chunk(b"hel") + b"1",
    "before the last chunk's end": CHUNKED + chunk(b"hel") + b"0\r\n",
}


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_connection_that_ends_early_is_disconnected_and_what_came_was_heard(name: str, how: str) -> None:
    """U1, U2, U3: data and its end wait together in one turn of the loop; the data is heard first."""
    body = b"hel" if "hel" in BROKEN[name].decode("latin-1") else b""
    async with asked() as exchange:
        exchange.peer.send(BROKEN[name])
        exchange.peer.fin() if how == "FIN" else exchange.peer.rst()
        end = await exchange.heard.end()

        assert (exchange.heard.body, end) == (body, ResponseEnd.DISCONNECTED)
        assert exchange.client.connections.idle == 0
        assert exchange.call.released.done()


@pytest.mark.parametrize("how", ["FIN", "RST"])
async def test_a_whole_answer_and_a_close_in_one_turn_are_a_whole_answer(how: str) -> None:
    """The last tokens, even the ``done`` line, come with the RST."""
    async with asked() as exchange:
        exchange.peer.send(CHUNKED + chunk(b"x" * 50_000) + chunk(b'{"done":true}\n') + b"0\r\n\r\n")
        exchange.peer.fin() if how == "FIN" else exchange.peer.rst()
        end = await exchange.heard.end()

        assert exchange.heard.body.endswith(b'{"done":true}\n')
        assert end is ResponseEnd.COMPLETE


async def test_a_body_that_the_close_should_end_and_a_reset_ends_is_disconnected() -> None:
    async with asked() as exchange:
        exchange.peer.send(OK + b"\r\nhel")
        await soon(lambda: exchange.heard.chunks, "bytes came")
        exchange.peer.rst()
        end = await exchange.heard.end()

        assert (exchange.heard.body, end) == (b"hel", ResponseEnd.DISCONNECTED)


MALFORMED: dict[str, bytes] = {
    "garbage": b"SSH-2.0-OpenSSH_9.6\r\n",
    "binary": bytes(range(256)),
    "a bad chunk size": CHUNKED + chunk(b"hel") + b"zz\r\nx\r\n",
    "a chunk longer than it says": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "a bad header": OK + b"No colon here\r\n\r\n",
    "a bad length": OK + b"Content-Length: five\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_not_http_is_malformed_and_what_was_good_of_it_was_heard(name: str) -> None:
    """M11, M12: it never hangs."""
    async with asked() as exchange:
        exchange.peer.send(MALFORMED[name])
        end = await exchange.heard.end()

        assert end is ResponseEnd.MALFORMED
        assert exchange.heard.body in {b"", b"hel"}
        assert await exchange.peer.sees_the_close()


@pytest.mark.parametrize(
    ("start", "filler"),
    [
        (OK, b"X-Filler: " + b"x" * 1000 + b"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED + chunk(b"hel") + b"0\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
    ],
    ids=["an endless head", "endless interim answers", "100 KB of trailers"],
)
async def test_what_is_no_body_is_bounded(start: bytes, filler: bytes) -> None:
    """M12: memory stays flat."""
    async with asked() as exchange:
        exchange.peer.send(start)
        sent = 0
        while not exchange.heard.ends and sent < 10 * OVERHEAD_BYTES:
            exchange.peer.send(filler * 4)
            sent += 4 * len(filler)
            await one_read()
        end = await exchange.heard.end()

        assert end is ResponseEnd.MALFORMED
        assert sent <= 2 * OVERHEAD_BYTES


async def test_a_long_answer_of_small_chunks_is_not_taken_for_overhead() -> None:
    async with asked() as exchange:
        exchange.peer.send(CHUNKED)
        for _ in range(40):
            exchange.peer.send(chunk(b"x") * 1000)
            await soon(lambda: sum(map(len, exchange.heard.chunks)) % 1000 == 0, "all was read")
        exchange.peer.send(b"0\r\n\r\n")
        end = await exchange.heard.end()

        assert (len(exchange.heard.body), end) == (40_000, ResponseEnd.COMPLETE)


# --- abort, pause


async def test_abort_closes_the_connection_and_the_reader_hears_nothing_more() -> None:
    async with asked() as exchange:
        exchange.peer.send(CHUNKED + chunk(b"a"))
        await soon(lambda: exchange.heard.chunks, "bytes came")
        exchange.call.abort()
        exchange.call.abort()
        await released(exchange.call)

        assert exchange.heard.ends == []
        assert await exchange.peer.sees_the_close()


async def test_abort_within_a_callback_stops_the_rest_of_that_read() -> None:
    async with asked() as exchange:
        exchange.heard.on_first_bytes = exchange.call.abort
        exchange.peer.send(CHUNKED + chunk(b"a") + b"0\r\n\r\n")
        await released(exchange.call)

        assert exchange.heard.ends == []
        assert await exchange.peer.sees_the_close()


async def test_abort_of_an_answer_that_is_over_leaves_its_connection_alone() -> None:
    """The connection may carry somebody else's answer by now."""
    async with asked() as exchange:
        exchange.peer.send(OK + b"Content-Length: 2\r\n\r\nok")
        await exchange.heard.end()
        heard, _ = await exchange.again()
        exchange.call.abort()
        exchange.call.pause()
        exchange.peer.asked()
        exchange.peer.send(OK + b"Content-Length: 2\r\n\r\nme")

        assert await heard.end() is ResponseEnd.COMPLETE
        assert heard.body == b"me"


async def test_a_paused_call_takes_a_bounded_amount_from_its_server_until_it_is_resumed() -> None:
    async with asked() as exchange:
        exchange.peer.send(OK + b"Content-Length: 16000000\r\n\r\n")
        await soon(lambda: exchange.heard.heads, "the head came")
        exchange.call.pause()
        taken = exchange.peer.send_what_fits(b"x" * 16_000_000)
        await one_read()
        heard_while_paused = len(exchange.heard.body)
        exchange.call.resume()
        await soon(lambda: len(exchange.heard.body) == taken, "all that was sent is read")

        assert heard_while_paused <= 65_536 * 4
        assert 0 < taken < 16_000_000


async def test_a_call_that_ends_while_paused_gives_back_a_connection_that_reads() -> None:
    async with asked() as exchange:
        exchange.heard.on_first_bytes = exchange.call.pause
        exchange.peer.send(OK + b"Content-Length: 2\r\n\r\nok")
        await exchange.heard.end()
        heard, _ = await exchange.again()
        exchange.peer.asked()
        exchange.peer.send(OK + b"Content-Length: 2\r\n\r\nme")

        assert await heard.end() is ResponseEnd.COMPLETE


# --- requests


def test_a_request_has_a_length_and_a_host() -> None:
    assert ASK.encode("127.0.0.1:11434") == (
        b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1:11434\r\nContent-Type: application/json\r\n"
        b'Content-Length: 13\r\n\r\n{"model":"m"}'
    )


def test_a_post_without_a_body_says_so_and_a_get_says_nothing() -> None:
    assert b"Content-Length: 0\r\n" in HttpRequest("POST", "/").encode("h")
    assert b"Content-Length" not in HttpRequest("GET", "/").encode("h")


@pytest.mark.parametrize("evil", ["a\r\nX-Evil: 1", "a\nb", "a\rb"])
def test_a_line_end_in_a_header_or_a_path_is_refused(evil: str) -> None:
    """T12."""
    with pytest.raises(ValueError, match="line end"):
        HttpRequest("GET", "/", {"X": evil}).encode("h")
    with pytest.raises(ValueError, match="line end"):
        HttpRequest("GET", f"/{evil}").encode("h")
