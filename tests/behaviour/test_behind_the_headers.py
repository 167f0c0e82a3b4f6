"""A failure of ours behind headers that have left: the body is cut, never ended by it, and it is one line in the log.

Both servers run in the test's own loop, so that they can be made to fail at a step of their own; clients read bytes.
"""

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import pytest
from structlog.testing import capture_logs

from gateway.app import GatewayService
from gateway.relay.relay import Relay
from gateway.report import ConnectionLog
from gateway.settings import GatewaySettings
from proxy.app import ProxyService
from proxy.metrics import ProxyMetrics
from proxy.providers.ollama import OllamaAdapter
from proxy.settings import ProxySettings
from proxy.streams.follower import Follower
from proxy.streams.stream import Stream
from services.dialects.ollama import OllamaLines
from services.dialects.seed import SeedFrames
from services.http.server import HttpPort
from services.http.sink import ChunkedSink, SinkWatch
from services.runtime.lifecycle import Service
from services.runtime.listening import Listener
from services.runtime.settings import Address, read_settings
from services.wire import native
from services.wire.native import NativeReader
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.http.served import connected

ONE_LINE: Final = (["response.broken_off"], ["follower.failed"])


class Step(NamedTuple):
    """Where it fails: the ``call``-th call of one of our own functions."""

    owner: Any
    name: str
    call: int = 1


SINK: Final = {
    "the sink's first write": Step(ChunkedSink, "write"),
    "the sink's third write": Step(ChunkedSink, "write", 3),
    "the watch begins": Step(SinkWatch, "__init__"),
    "the watch looks": Step(SinkWatch, "_looked"),
}
FOLLOWER: Final = {
    "the follower begins": Step(Follower, "follow"),
    "the follower is handed a chunk": Step(Follower, "_write", 2),
}
RELAY: Final = {
    "the relay begins": Step(Relay, "run"),
    "the relay writes": Step(Relay, "_write", 2),
    "the hop is read": Step(NativeReader, "text_frame", 3),
    "the connection is told": Step(ConnectionLog, "started"),
}
DIALECTS: Final = {"a frame": Step(SeedFrames, "text", 2), "a line": Step(OllamaLines, "text", 2)}
ENDED: Final = {
    "the watch ends": Step(SinkWatch, "stop"),
    "the response ends": Step(ChunkedSink, "end"),
    "the follower is counted": Step(ProxyMetrics, "follower_left"),
}
"""Where the body's end has left with its last frames."""
READING: Final = {
    "the first read": Step(OllamaAdapter, "feed"),
    "a later read": Step(OllamaAdapter, "feed", 3),
    "a read on its way to the followers": Step(Stream, "deliver", 3),
    "the last word": Step(Stream, "finish"),
}
STEPS: Final = {**SINK, **FOLLOWER, **RELAY, **DIALECTS}
CASES: Final = (
    *(("proxy", "/api/chat/stream", what) for what in (*SINK, *FOLLOWER, "a frame")),
    *(("proxy", "/api/chat", what) for what in (*SINK, *FOLLOWER, "a line")),
    *(("gateway", "/api/chat/stream", what) for what in (*SINK, *RELAY)),
)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with running_chain() as chain:
        yield chain


@asynccontextmanager
async def running(side: str, chain: Chain) -> AsyncIterator[Address]:
    """Run one of the servers here, as its lifecycle runs it; what stands behind it is the chain's process.

    Its watch looks at each client every tenth of a second, so that it does within an answer.
    """
    service: Service
    if side == "proxy":
        behind = {"SLUICE_PROXY_OLLAMA_URL": chain.simulator.url, "SLUICE_PROXY_WRITE_TIMEOUT_S": "0.5"}
        service = ProxyService(read_settings(ProxySettings, behind))
    else:
        behind = {"SLUICE_GATEWAY_PROXY_URL": chain.proxy.url, "SLUICE_GATEWAY_WRITE_TIMEOUT_S": "0.5"}
        service = GatewayService(read_settings(GatewaySettings, behind))
    port = HttpPort("address", service.app, Listener(Address("127.0.0.1", 0), 5.0), native.refused_status)
    port.bind()
    await service.start()
    try:
        yield await port.open()
    finally:
        await port.close()
        await service.close()


def failing(step: Step) -> Callable[..., Any]:
    """Return what replaces the step's function: it fails in that call and does its work in the others."""
    real, calls = getattr(step.owner, step.name), itertools.count(1)

    def called(*arguments: Any, **named: Any) -> Any:
        if next(calls) == step.call:
            raise RuntimeError
        return real(*arguments, **named)

    return called


def lasting(step: Step) -> str:
    """Return a model whose answer lasts until the step fails: what a slow machine hands on is few large pieces."""
    return scripted(tokens=3_000 if step.call > 1 else 30, rate=100).name


def asking(path: str, model: str) -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("case", CASES, ids=" ".join)
async def test_a_failure_at_any_step_behind_the_headers_cuts_the_body_and_is_one_line(
    case: tuple[str, str, str], chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, path, what = case
    async with running(side, chain) as address:
        with capture_logs() as lines, monkeypatch.context() as failure:
            failure.setattr(STEPS[what].owner, STEPS[what].name, failing(STEPS[what]))
            async with connected(address) as client:
                client.send(asking(path, lasting(STEPS[what])))
                raw = await client.rest()
        async with connected(address) as client:
            client.send(asking(path, scripted(tokens=2, rate=0).name))
            after = await client.until(b"0\r\n\r\n")

    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Transfer-Encoding: chunked\r\n" in raw
    assert raw.count(b"HTTP/1.1") == 1
    assert not raw.endswith(b"0\r\n\r\n")
    assert [line["event"] for line in lines if line["log_level"] == "error"] in ONE_LINE
    assert after.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("what", ENDED)
async def test_a_failure_behind_the_end_of_a_body_leaves_it_whole_and_is_one_line(
    what: str, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("proxy", chain) as address:
        with capture_logs() as lines, monkeypatch.context() as failure:
            failure.setattr(ENDED[what].owner, ENDED[what].name, failing(ENDED[what]))
            async with connected(address) as client:
                client.send(asking("/api/chat/stream", lasting(ENDED[what])))
                raw = await client.rest()

    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"\n\n\r\n0\r\n\r\n")
    assert [line["event"] for line in lines if line["log_level"] == "error"] in ONE_LINE


@pytest.mark.parametrize("what", READING)
async def test_a_failure_of_ours_in_a_read_of_the_model_server_is_not_the_model_server_s(
    what: str, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is `internal` and one line; raised out of the read it broke the connection, and the model was asked again."""
    step = READING[what]
    async with running("proxy", chain) as address:
        with capture_logs() as lines, monkeypatch.context() as failure:
            failure.setattr(step.owner, step.name, failing(step))
            async with connected(address) as client:
                client.send(asking("/api/chat/stream", lasting(step)))
                raw = await client.until(b"internal")

    assert b"upstream_disconnected" not in raw
    assert b"retrying" not in raw
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["producer.failed"]


@pytest.mark.parametrize("what", ["the watch begins", "the connection is told"])
async def test_a_gateway_that_fails_before_it_carries_lets_the_hop_go(
    what: str, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the model would talk to nobody for as long as the proxy bears with a gateway that reads nothing."""
    model = scripted(tokens=10_000, rate=50).name
    async with running("gateway", chain) as address, connected(address) as client:
        with monkeypatch.context() as failure:
            failure.setattr(STEPS[what].owner, STEPS[what].name, failing(STEPS[what]))
            client.send(asking("/api/chat/stream", model))
            await client.rest()

        def followers() -> list[int]:
            listed = json.loads(chain.proxy.get("/api/streams")[1])["streams"]
            return [one["followers"] for one in listed if one["model"] == model]

        await soon(lambda: followers() == [0], "the proxy has lost its follower", within_s=3.0)
