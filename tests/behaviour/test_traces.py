"""Trace context over both hops: what a tracing client says reaches the model server, and both logs name the trace."""

from typing import Final

import pytest

from services.wire.hop import HOP, HOP_VERSION
from tests.behaviour.connections import calls_of, told
from tests.behaviour.script import scripted
from tests.chain import Chain
from tests.reader import Client

TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
TRACED: Final = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "vendor=opaque"}
MESSAGES: Final = [{"role": "user", "content": "hi"}]


async def ask(chain: Chain, path: str, model: str, request_id: str, headers: dict[str, str]) -> None:
    named = {"X-Request-Id": request_id, **headers}
    async with Client(chain.gateway.url) as client:
        answer = await client.ask(path, {"model": model, "messages": MESSAGES}, headers=named)
    assert answer.status == 200
    assert [await told(side, request_id) for side in (chain.gateway, chain.proxy)] == [["stop"], ["stop"]]


def traces_logged(chain: Chain, request_id: str) -> list[str | None]:
    lines = [line for side in (chain.gateway, chain.proxy) for line in side.events("stream.finished")]
    return [line["trace_id"] for line in lines if line["request_id"] == request_id]


@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat", "/ollama/api/chat"])
async def test_a_trace_passes_both_hops_unchanged_and_stands_in_both_log_lines(chain: Chain, path: str) -> None:
    model, request_id = scripted(tokens=2, prefill=0).name, f"traced{path.replace('/', '-')}"

    await ask(chain, path, model, request_id, TRACED)

    call = calls_of(chain, model)[-1]
    assert TRACED.items() <= call["headers"].items()
    assert traces_logged(chain, request_id) == [TRACE_ID, TRACE_ID]


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-nothing-of-the-kind-01", "tracestate": "a=1"}])
async def test_where_no_trace_is_named_none_is_passed_on_or_logged(chain: Chain, headers: dict[str, str]) -> None:
    model, request_id = scripted(tokens=2, prefill=0).name, f"untraced-{len(headers)}"

    await ask(chain, "/api/chat/stream", model, request_id, headers)

    assert not {"traceparent", "tracestate"} & calls_of(chain, model)[-1]["headers"].keys()
    assert traces_logged(chain, request_id) == [None, None]


async def test_an_embedding_s_trace_reaches_the_model_server(chain: Chain) -> None:
    model = scripted(tokens=1, prefill=0).name
    async with Client(chain.gateway.url) as client:
        await client.ask("/ollama/api/embed", {"model": model, "input": "hi"}, headers=TRACED)

    assert TRACED.items() <= calls_of(chain, model)[-1]["headers"].items()


async def test_a_gateway_of_another_version_is_served_and_told_of_once(chain: Chain) -> None:
    hop = {"Sluice-Leave": "cancel", "Sluice-Follower": "f" * 32, HOP: "2", "X-Request-Id": "of-version-2"}
    model = scripted(tokens=2, prefill=0).name
    async with Client(chain.proxy.url) as client:
        answers = [await client.ask("/api/chat/stream", {"model": model, "messages": MESSAGES}, hop) for _ in range(2)]
    await told(chain.proxy, "of-version-2")

    assert [answer.reason for answer in answers] == ["stop", "stop"]
    lines = [(line["gateway"], line["proxy"]) for line in chain.proxy.events("hop.other_version")]
    assert lines == [("2", HOP_VERSION)]
