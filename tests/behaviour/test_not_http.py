"""What aiohttp itself refuses, on all four ports of both servers: our shape, no software, nothing repeated."""

import re
import time
from typing import Final

import pytest

import proxy.routes.responder
from services.runtime.settings import Address
from services.wire.events import Code
from tests.behaviour.refusals import parsed, refused
from tests.chain import Chain
from tests.http.served import connected
from tests.reader import raw_exchange

CANARY: Final = b"sk-canary-4711"
SOFTWARE: Final = re.compile(rb"aiohttp|python|\d\.\d+\.\d|server:", re.IGNORECASE)
PORTS: Final = ("gateway", "proxy", "gateway metrics", "proxy metrics")
NOT_HTTP: Final = {
    "no method": b"\x01\x02 / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-canary-4711\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03sk-canary-4711\r\n\r\n",
    "another version": b"GET /sk-canary-4711 HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a null in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-canary-4711\0\r\n\r\n",
    "a header of 9 KB": b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + CANARY * 700 + b"\r\n\r\n",
    "a bad chunk": b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nsk-canary-4711\r\n",
}


def port_of(chain: Chain, port: str) -> int:
    side, _, metrics = port.partition(" ")
    server = getattr(chain, side)
    return int(server.metrics_address.rpartition(":")[2]) if metrics else int(server.port)


@pytest.mark.parametrize("what", NOT_HTTP)
@pytest.mark.parametrize("port", PORTS)
async def test_bytes_that_are_no_request_get_our_400_and_a_close(port: str, what: str, chain: Chain) -> None:
    raw = await raw_exchange("127.0.0.1", port_of(chain, port), NOT_HTTP[what])

    refused(parsed(raw), Code.INVALID_REQUEST)
    assert not SOFTWARE.search(raw)
    assert CANARY not in raw


@pytest.mark.parametrize("port", PORTS)
async def test_an_expectation_that_nobody_has_heard_of_is_refused_likewise(port: str, chain: Chain) -> None:
    """Aiohttp refuses it before any middleware is asked, and would repeat it."""
    path = b"/metrics" if "metrics" in port else b"/livez"
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\nExpect: sk-canary-4711\r\nConnection: close\r\n\r\n" % path
    raw = await raw_exchange("127.0.0.1", port_of(chain, port), request)

    refused(parsed(raw), Code.INVALID_REQUEST)
    assert not SOFTWARE.search(raw)
    assert CANARY not in raw


@pytest.mark.parametrize("side", ["gateway", "proxy"])
@pytest.mark.parametrize(
    ("line", "code"), [("GET /nothing", Code.NOT_FOUND), ("DELETE /metrics", Code.METHOD_NOT_ALLOWED)]
)
async def test_a_metrics_port_refuses_in_our_shape(side: str, line: str, code: Code, chain: Chain) -> None:
    request = f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    raw = await raw_exchange("127.0.0.1", port_of(chain, f"{side} metrics"), request)

    refused(parsed(raw), code)
    assert not SOFTWARE.search(raw)


@pytest.mark.clock
async def test_a_chunk_that_is_none_is_told_at_once_and_not_when_the_body_s_time_is_over(chain: Chain) -> None:
    """At the proxy, where a body has 10 s; it is asked for its body, so that the head is not in the same packet."""
    head = b"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    began = time.monotonic()
    async with connected(Address.parse(chain.proxy.address)) as client:
        client.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        await client.until(b"\r\n\r\n")
        client.send(b"2\r\n{}\r\nzz\r\nsk-canary-4711\r\n")
        raw = await client.rest()

    refused(parsed(raw), Code.INVALID_REQUEST)
    assert CANARY not in raw
    assert time.monotonic() - began < proxy.routes.responder.BODY_S / 2


async def test_nothing_of_what_was_refused_is_in_a_log(chain: Chain) -> None:
    for server in (chain.gateway, chain.proxy):
        assert CANARY not in b"".join(server.raw)
        assert [line for line in server.lines if line["level"] == "error"] == []
